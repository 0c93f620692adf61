"""However often and wherever usage is told: one `Usage`, last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynccache.errors import ConfigurationError, InternalServerError
from asynccache.events import Finished, ReportedUsage, Started, TextDelta, Unknown
from asynccache.reply import Usage
from asynccache.request import Mark, Request
from asynccache.usage.normalizer import UsageNormalizer, normalize_usage
from tests.usage.answers import Transport

if TYPE_CHECKING:
    from asynccache.events import Event

pytestmark = pytest.mark.anyio

_REQUEST = Request(model="openai/gpt-6-sol", messages=[{"role": "user", "content": "hi"}], stream=True)
_FULL = {
    "prompt_tokens": 100,
    "completion_tokens": 10,
    "total_tokens": 110,
    "prompt_tokens_details": {"cached_tokens": 64},
}
_START = {"input_tokens": 86, "cache_read_input_tokens": 1420, "output_tokens": 1}
_SPLIT = {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 200}


async def _events(*items: Any, request: Request = _REQUEST) -> list[Event]:
    stream = await normalize_usage(request, Transport(items))
    return [event async for event in stream]


async def _usage(*items: Any, request: Request = _REQUEST) -> Usage:
    events = await _events(*items, request=request)
    assert [type(event) for event in events].count(Usage) == 1
    assert not any(type(event) is ReportedUsage for event in events)
    last = events[-1]
    assert type(last) is Usage
    return last


def _openai(raw: Any) -> ReportedUsage:
    return ReportedUsage(raw, "openai")


def _anthropic(raw: Any) -> ReportedUsage:
    return ReportedUsage(raw, "anthropic")


@pytest.mark.parametrize(
    "items",
    [
        [TextDelta("a"), Finished("stop"), _openai(_FULL)],
        [_openai(None), TextDelta("a"), _openai(None), Finished("stop"), _openai(_FULL)],
        [_openai(_FULL), _openai(_FULL)],
        [
            _openai({"prompt_tokens": 100, "completion_tokens": 1, "total_tokens": 101}),
            TextDelta("a"),
            _openai(_FULL),
        ],
        [_openai(_FULL), Finished("stop")],
        [_openai(_FULL), _openai({**_FULL, "prompt_tokens_details": None})],
        [_openai(_FULL), _openai({"prompt_tokens_details": {"cached_tokens": None}})],
    ],
    ids=["end", "nulls", "twice", "cumulative", "before the finish", "null details", "null count"],
)
async def test_usage_is_the_same_wherever_it_is_told(items: list[Any]) -> None:
    """At the end, on every chunk, twice, before the finish, with nulls around: the same counts, last."""
    usage = await _usage(Started(id="1", model="m"), *items)
    assert (usage.source, usage.prompt_tokens, usage.completion_tokens) == ("provider", 100, 10)
    assert (usage.total_tokens, usage.cached_tokens) == (110, 64)


async def test_other_events_pass_in_order_and_untouched() -> None:
    """The stage takes reported usage out and nothing else."""
    items = [Started(id="1"), TextDelta("a"), Unknown("x", {}), TextDelta("b"), Finished("stop")]
    events = await _events(items[0], items[1], _openai(_FULL), *items[2:])
    assert len(events) == 6
    assert all(got is sent for got, sent in zip(events, items, strict=False))


async def test_no_usage_told_is_missing() -> None:
    """The usage still comes, with every count None."""
    assert await _usage(TextDelta("a"), Finished("stop")) == Usage(source="missing")


async def test_the_only_object_told_is_kept_as_it_is() -> None:
    """raw is the provider's own object; told in parts, it is each field as last told."""
    assert (await _usage(_openai(_FULL))).raw is _FULL
    delta = {"output_tokens": 300}
    assert (await _usage(_anthropic(_START), _anthropic(delta))).raw == {**_START, **delta}
    assert _START["output_tokens"] == 1


async def test_anthropic_deltas_replace_and_never_add() -> None:
    """Counts that a delta repeats are not doubled, larger ones of server tools win, and add 5m writes."""
    start = {**_START, "cache_creation_input_tokens": 500, "cache_creation": _SPLIT}
    same = {"input_tokens": 86, "cache_creation_input_tokens": 500, "cache_read_input_tokens": 1420}
    usage = await _usage(_anthropic(start), TextDelta("a"), _anthropic({**same, "output_tokens": 300}))
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (2006, 300, 2306)
    assert (
        usage.cache_creation.ephemeral_5m_input_tokens,
        usage.cache_creation.ephemeral_1h_input_tokens,
    ) == (
        300,
        200,
    )

    larger = {**same, "input_tokens": 186, "cache_creation_input_tokens": 900, "output_tokens": 300}
    usage = await _usage(_anthropic(start), _anthropic({"output_tokens": 20}), _anthropic(larger))
    assert usage.prompt_tokens == 186 + 1420 + 900
    assert (
        usage.cache_creation.ephemeral_5m_input_tokens,
        usage.cache_creation.ephemeral_1h_input_tokens,
    ) == (
        700,
        200,
    )


async def test_what_only_the_start_of_a_message_told_is_partial() -> None:
    """The start's output count is a placeholder in a stream, and final in an answer of one piece."""
    streamed = await _usage(_anthropic(_START), TextDelta("a"), Finished("stop"))
    assert (streamed.source, streamed.prompt_tokens, streamed.completion_tokens) == ("partial", 1506, None)
    whole = await _usage(_anthropic(_START), request=Request(model="anthropic/claude-opus-5", messages=[]))
    assert (whole.source, whole.completion_tokens) == ("provider", 1)


async def test_the_tier_that_answered_is_taken_from_where_it_is_told() -> None:
    """OpenAI tells the service tier beside the usage, perhaps late; the usage's own comes first."""
    tiers = [Started(service_tier="auto"), TextDelta("a"), Started(service_tier="priority"), Started()]
    assert (await _usage(*tiers, _openai(_FULL))).service_tier == "priority"
    own = _anthropic({**_START, "service_tier": "batch"})
    assert (await _usage(*tiers, own, own)).service_tier == "batch"


@pytest.mark.parametrize(
    ("marks", "params", "lifetime"),
    [
        ((), {}, "ephemeral_30m_input_tokens"),
        ((), {"prompt_cache_options": {"ttl": "12h"}}, "ephemeral_12h_input_tokens"),
        ((), {"prompt_cache_options": {"mode": "explicit"}}, "ephemeral_30m_input_tokens"),
        (("12h", None), {}, "ephemeral_12h_input_tokens"),
        (("12h", "30m"), {}, "ephemeral_30m_input_tokens"),
    ],
)
async def test_writes_without_a_split_last_as_long_as_asked(
    marks: tuple[str | None, ...], params: dict[str, Any], lifetime: str
) -> None:
    """What the request asked for decides where OpenAI's chat does not say."""
    request = Request(
        model="openai/gpt-6-sol",
        messages=[],
        params=params,
        marks=tuple(Mark(("messages", 0, "content", n), ttl) for n, ttl in enumerate(marks)),
    )
    told = {**_FULL, "prompt_tokens_details": {"cache_write_tokens": 30}}
    usage = await _usage(_openai(told), request=request)
    assert usage.cache_creation[lifetime] == 30


async def test_invalid_usage_is_told_as_such() -> None:
    """The stream succeeds; the counts are None and the raw object is kept."""
    raw = {**_FULL, "completion_tokens": -5}
    assert await _usage(TextDelta("a"), _openai(raw)) == Usage(source="invalid", raw=raw)


async def test_a_usage_made_within_is_kept_for_the_end() -> None:
    """A stage that answers from elsewhere may speak of usage itself; the provider's word comes first."""
    given_usage = Usage(prompt_tokens=1, completion_tokens=1, total_tokens=2, source="estimated")
    assert await _usage(given_usage, TextDelta("a")) is given_usage
    assert (await _usage(given_usage, _openai(_FULL))).prompt_tokens == 100


def _interrupt(*items: Event, streamed: bool = True) -> list[Event]:
    machine, out = UsageNormalizer(streamed=streamed), list[Any]()
    for item in items:
        machine.feed(item, lambda _: None)
    machine.interrupted(InternalServerError("broke"), out.append)
    machine.interrupted(None, out.append)
    machine.flush(out.append)
    return out


def test_a_broken_answer_tells_what_is_known_once() -> None:
    """Interrupted: partial with what was told, missing without, invalid stays invalid; never twice."""
    (usage,) = _interrupt(TextDelta("a"), _openai(_FULL))
    assert type(usage) is Usage
    assert (usage.source, usage.total_tokens) == ("partial", 110)
    (start,) = _interrupt(_anthropic(_START))
    assert type(start) is Usage
    assert (start.source, start.prompt_tokens, start.completion_tokens) == ("partial", 1506, None)
    assert _interrupt(TextDelta("a")) == [Usage(source="missing")]
    (bad,) = _interrupt(_openai({"prompt_tokens": "many"}))
    assert type(bad) is Usage
    assert bad.source == "invalid"


async def test_a_dialect_without_a_row_is_named_at_the_end_and_hides_no_other_error() -> None:
    """A whole answer ends in the error that names the row; a broken one in what broke it."""
    with pytest.raises(ConfigurationError, match="no row 'klingon'"):
        await _events(TextDelta("a"), ReportedUsage(_FULL, "klingon"))
    assert _interrupt(ReportedUsage(_FULL, "klingon")) == [Usage(source="invalid", raw=_FULL)]


async def test_a_stage_outside_that_fails_at_the_end_hears_no_second_usage() -> None:
    """An outer machine that raises in its flush interrupts the stream; the usage was already spoken."""
    heard: list[Event] = []

    class Fails:
        def feed(self, event: Event, emit: Any, /) -> None:
            heard.append(event)

        def flush(self, emit: Any, /) -> None:
            raise InternalServerError("late")

    stream = (await normalize_usage(_REQUEST, Transport([_openai(_FULL)]))).pipe(Fails())
    with pytest.raises(InternalServerError, match="late"):
        await stream.receive()
    assert [type(event) for event in heard] == [Usage]


@given(
    st.permutations(["prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"]),
    st.lists(st.sampled_from(["nothing", "null", "again", "earlier"]), min_size=4, max_size=4),
)
def test_any_order_and_repetition_of_the_fields_gives_the_same_usage(
    order: list[str], noise: list[str]
) -> None:
    """Fields told one by one, in any order, with nulls, repeats and smaller earlier counts between."""
    machine, out = UsageNormalizer(streamed=True), list[Any]()
    smaller = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "prompt_tokens_details": {}}
    for name, also in zip(order, noise, strict=True):
        if also == "earlier":
            machine.feed(_openai({name: smaller[name]}), out.append)
        machine.feed(_openai({name: _FULL[name]}), out.append)
        if also == "null":
            machine.feed(_openai(dict.fromkeys(_FULL)), out.append)
        if also == "again":
            machine.feed(_openai({name: _FULL[name]}), out.append)
    machine.flush(out.append)
    (usage,) = out
    assert (usage.source, usage.prompt_tokens, usage.completion_tokens) == ("provider", 100, 10)
    assert usage.cached_tokens == 64
