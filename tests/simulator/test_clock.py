"""The clock that moves, and the estimate that says it is one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynccache.simulator import SimulatorSettings, VirtualClock, tokens
from asynccache.simulator.clock import seconds
from asynccache.simulator.invention import invent


@pytest.mark.parametrize(
    ("span", "length"), [(90, 90), ("90", 90), ("6m", 360), ("1h30m", 5400), ("2d", 172800), ("1.5s", 1.5)]
)
def test_spans(span: float | str, length: float) -> None:
    """Seconds, or a number with its unit."""
    clock = VirtualClock(start=1000.0)
    assert seconds(span) == length
    assert clock.advance(span) == clock.now() == 1000.0 + length


@pytest.mark.parametrize("span", ["six minutes", "", "-5", -5, "5x", float("inf"), float("nan")])
def test_spans_that_are_none(span: float | str) -> None:
    """A span that cannot be read or goes backwards is refused by name."""
    with pytest.raises(ValueError, match=r"span of time|forward"):
        VirtualClock().advance(span)


def test_real_time_goes_on() -> None:
    """Without a start the clock runs with real time, ahead by what was added."""
    clock = VirtualClock()
    before = clock.now()
    clock.advance("1h")
    assert 3600 <= clock.now() - before < 3700


@given(st.text(), st.text())
def test_the_estimate_grows(left: str, right: str) -> None:
    """Deterministic, 0 only for nothing, and never less for more text."""
    whole = (left + right).encode("utf-8", "replace")
    part = left.encode("utf-8", "replace")
    assert tokens.estimate(whole) == tokens.estimate(whole)
    assert tokens.estimate(whole) >= tokens.estimate(part)
    assert (tokens.estimate(part) == 0) == (part == b"")


def test_it_says_that_it_is_an_estimate() -> None:
    """Nobody takes it for a tokenizer."""
    assert "ESTIMATE" in (tokens.__doc__ or "")
    assert tokens.estimate(b"four") == 1
    assert tokens.estimate("世界".encode()) == 2


@pytest.mark.parametrize("wrong", [{"rate": 0}, {"rate": -1}, {"latency": -1}, {"answer_tokens": -1}])
def test_settings_that_cannot_be(wrong: dict[str, float]) -> None:
    """A pace or a size that cannot be is refused at once."""
    with pytest.raises(ValueError, match=r"must be above 0|cannot be negative"):
        SimulatorSettings(**wrong)  # type: ignore[arg-type]  # that is the test


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "Paris"),
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "number"}, 1.5),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["null", "string"]}, "Paris"),
        ({"enum": ["a", "b"]}, "a"),
        ({"const": 7}, 7),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, 1),
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}, "required": ["a"]}, {"a": 1}),
        ({}, {}),
    ],
)
def test_invented_values_fit(schema: dict[str, object], value: object) -> None:
    """A value for every kind of schema, from the user's words where it can be."""
    assert invent(schema, "How is it in Paris?") == value
