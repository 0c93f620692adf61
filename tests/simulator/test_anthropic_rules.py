"""Anthropic's cache as its page describes it, rule by rule."""

from __future__ import annotations

from typing import Any

import pytest

from asynccache.simulator.anthropic_check import check_anthropic
from asynccache.simulator.rules import anthropic_rule
from asynccache.simulator.wire import Refusal

from .prompts import EPHEMERAL, HOUR, LONG, OTHER, Provider, claude, text

TOOL = {"name": "look", "description": "Looks.", "input_schema": {"type": "object"}}


def refused(body: dict[str, Any]) -> str:
    with pytest.raises(Refusal) as caught:
        check_anthropic(body)
    assert caught.value.status == 400
    return caught.value.message


def test_writes_then_reads() -> None:
    """The first request writes up to its breakpoint, the second reads exactly that."""
    provider = Provider()
    body = claude("hi", system=[text(LONG, EPHEMERAL)])
    first, second = provider.ask(body), provider.ask(body)
    assert first.read == 0
    assert first.written == {300: first.total - first.uncached}
    assert second.read == first.write_total
    assert second.written == {}


def test_without_a_mark_nothing_is_cached() -> None:
    """No breakpoint, no cache, however often the prompt comes."""
    provider = Provider()
    for _ in range(2):
        verdict = provider.ask(claude("hi", system=LONG))
        assert (verdict.read, verdict.write_total, verdict.why) == (0, 0, "not_asked")


def test_below_the_minimum_is_silent() -> None:
    """Below the model's minimum both counters stay 0 and nobody complains."""
    provider = Provider()
    body = claude("hi", system=[text("short", EPHEMERAL)])
    check_anthropic(body)
    for _ in range(2):
        verdict = provider.ask(body)
        assert (verdict.read, verdict.write_total, verdict.why) == (0, 0, "below_minimum")


@pytest.mark.parametrize(
    ("model", "minimum"),
    [
        ("claude-opus-5-5", 512),
        ("claude-haiku-5-5", 512),
        ("claude-fable-5-2", 512),
        ("claude-sonnet-5", 1024),
        ("claude-opus-4-8", 1024),
        ("claude-sonnet-4-5-20250929", 1024),
        ("claude-3-7-sonnet-20250219", 1024),
        ("claude-opus-4-7", 2048),
        ("claude-3-5-haiku-20241022", 2048),
        ("claude-opus-4-6", 4096),
        ("claude-haiku-4-5-20251001", 4096),
    ],
)
def test_minimum_by_model(model: str, minimum: int) -> None:
    """The table of minimum lengths, model by model."""
    assert anthropic_rule(model).minimum == minimum


def test_expires_five_minutes_after_the_start() -> None:
    """A 5m entry is gone 300 s after the request that wrote it began."""
    provider = Provider()
    body = claude("hi", system=[text(LONG, EPHEMERAL)])
    provider.ask(body)
    provider.now += 299
    assert provider.ask(body).read
    provider.now += 301
    late = provider.ask(body)
    assert (late.read, late.why) == (0, "expired")
    assert late.write_total


def test_a_read_refreshes() -> None:
    """Each read gives the entry its whole lifetime again."""
    provider = Provider()
    body = claude("hi", system=[text(LONG, EPHEMERAL)])
    provider.ask(body)
    for _ in range(4):
        provider.now += 200
        assert provider.ask(body).read


def test_an_hour_lasts_an_hour() -> None:
    """A 1h entry survives 59 minutes and not 61."""
    provider = Provider()
    body = claude("hi", system=[text(LONG, HOUR)])
    assert set(provider.ask(body).written) == {3600}
    provider.now += 59 * 60
    assert provider.ask(body).read
    provider.now += 61 * 60
    assert not provider.ask(body).read


def test_lifetime_counts_from_the_start_not_from_the_answer() -> None:
    """An answer that begins after more than five minutes leaves an entry that has expired already."""
    provider = Provider()
    body = claude("hi", system=[text(LONG, EPHEMERAL)])
    slow = provider.start(body)
    provider.now += 301
    provider.cache.begin(slow)
    assert provider.ask(body).why == "expired"


def test_readable_only_after_the_first_answer_began() -> None:
    """Of requests sent together each writes; one sent after the first event reads."""
    provider = Provider()
    body = claude("hi", system=[text(LONG, EPHEMERAL)])
    first, second = provider.start(body), provider.start(body)
    assert (second.read, second.why) == (0, "not_ready")
    assert second.write_total == first.write_total > 0
    provider.cache.begin(first)
    assert provider.start(body).read == first.write_total


def test_a_request_that_never_answers_leaves_nothing() -> None:
    """Without an answer there is no entry, also not later."""
    provider = Provider()
    body = claude("hi", system=[text(LONG, EPHEMERAL)])
    provider.start(body)
    assert provider.start(body).why == "not_ready"


@pytest.mark.parametrize(("behind", "hit"), [(18, True), (19, True), (20, False), (25, False)])
def test_lookback_is_twenty_positions(behind: int, hit: bool) -> None:
    """A written prefix is found 19 blocks before the breakpoint and no further: the breakpoint itself is position 1."""
    provider = Provider()
    opening = [text(LONG, EPHEMERAL)]
    provider.ask(claude(opening))
    more = [text(LONG), *(text(f"block {number}") for number in range(behind - 1)), text("last", EPHEMERAL)]
    assert bool(provider.ask(claude(more)).read) is hit


def test_reads_only_what_was_written() -> None:
    """An equal beginning that ended in no breakpoint is not read."""
    provider = Provider()
    provider.ask(claude([text(LONG), text("one", EPHEMERAL)]))
    assert provider.ask(claude([text(LONG), text("two", EPHEMERAL)])).read == 0


def test_render_order_is_tools_system_messages() -> None:
    """A breakpoint on the system block covers the tools before it and not the messages behind."""
    provider = Provider()
    body = claude(OTHER, tools=[{**TOOL, "description": LONG}], system=[text("short", EPHEMERAL)])
    first = provider.ask(body)
    assert first.write_total > 4000
    assert first.uncached > 4000
    assert provider.ask(claude("else", tools=body["tools"], system=body["system"])).read == first.write_total


def test_mixed_lifetimes_are_billed_apart() -> None:
    """1h is written from the hit to the last 1h breakpoint, 5m from there to the last breakpoint."""
    provider = Provider()
    verdict = provider.ask(claude([text(OTHER, EPHEMERAL)], system=[text(LONG, HOUR)]))
    whole = sum(verdict.written.values())
    alone = Provider().ask(claude("hi", system=[text(LONG, HOUR)])).written[3600]
    assert verdict.written == {3600: alone, 300: whole - alone}
    assert verdict.uncached == 0


def test_a_growing_conversation_writes_only_what_is_new() -> None:
    """The breakpoint moves on with the conversation; what was before is read."""
    provider = Provider()
    first = provider.ask(claude([text(LONG, EPHEMERAL)]))
    second = provider.ask(claude([text(LONG)], "yes", [text("and then?", EPHEMERAL)]))
    assert second.read == first.write_total
    assert 0 < second.write_total < 50


def test_top_level_marks_the_last_block() -> None:
    """Automatic caching is a breakpoint on the last block that can carry one."""
    provider = Provider()
    first = provider.ask(claude(LONG, cache_control=EPHEMERAL))
    assert first.uncached == 0
    second = provider.ask(claude(LONG, "yes", "go on", cache_control=EPHEMERAL))
    assert second.read == first.write_total


@pytest.mark.parametrize(
    ("change", "survives"),
    [
        ({"tool_choice": {"type": "any"}}, True),
        ({"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, True),
        ({"output_config": {"effort": "low"}}, True),
        ({"thinking": {"type": "adaptive"}}, True),
        ({"speed": "fast"}, False),
        ({"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}}, False),
        ({"tools": [{**TOOL, "name": "seek"}]}, False),
    ],
)
def test_what_invalidates_the_system_level(change: dict[str, Any], survives: bool) -> None:
    """tool_choice and thinking leave tools and system; fast mode, formats and tools do not. Messages never survive."""
    provider = Provider()
    body = claude([text(OTHER, EPHEMERAL)], system=[text(LONG, EPHEMERAL)], tools=[TOOL])
    provider.ask(body)
    changed = provider.ask({**body, **change})
    assert bool(changed.read) is survives
    assert changed.write_total > 4000


@pytest.mark.parametrize(
    "default",
    [
        {"tool_choice": {"type": "auto"}},
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": False}},
        {"output_config": {"effort": "high"}},
        {"thinking": {"type": "disabled"}},
        {"speed": "standard"},
    ],
)
def test_a_default_said_aloud_changes_nothing(default: dict[str, Any]) -> None:
    """Setting a parameter to its default is as good as leaving it out."""
    provider = Provider()
    body = claude([text(LONG, EPHEMERAL)], tools=[TOOL])
    provider.ask(body)
    assert provider.ask({**body, **default}).uncached == 0


def test_an_image_anywhere_invalidates_messages() -> None:
    """Images leave tools and system and cost the messages."""
    provider = Provider()
    body = claude([text(OTHER, EPHEMERAL), text("hi")], system=[text(LONG, EPHEMERAL)])
    first = provider.ask(body)
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    seen = provider.ask(claude([text(OTHER, EPHEMERAL), image], system=body["system"]))
    assert 0 < seen.read < first.write_total


@pytest.mark.parametrize(("model", "kept"), [("claude-haiku-4-5", False), ("claude-opus-4-5", True)])
def test_older_models_drop_earlier_thinking(model: str, kept: bool) -> None:
    """Newer models keep the thinking of earlier turns in the prompt, older ones strip it once the user speaks again."""
    thought = {"type": "thinking", "thinking": OTHER, "signature": "x"}
    with_thought = Provider().ask(claude(LONG, [thought, text("yes")], "go on", model=model)).total
    without = Provider().ask(claude(LONG, [text("yes")], "go on", model=model)).total
    assert (with_thought > without) is kept


def test_keys_and_models_are_apart() -> None:
    """Nothing is shared between keys, nor between models."""
    provider = Provider()
    body = claude("hi", system=[text(LONG, EPHEMERAL)])
    provider.ask(body, key="one")
    assert provider.ask(body, key="two").read == 0
    assert provider.ask({**body, "model": "claude-sonnet-4-5"}, key="one").read == 0
    assert provider.ask(body, key="one").read


def test_more_than_four_breakpoints() -> None:
    """A fifth breakpoint is refused; the top-level one counts."""
    five = [text(f"{number}", EPHEMERAL) for number in range(5)]
    assert "Found 5" in refused(claude(five))
    assert "Found 5" in refused(claude([*five[:4], text("end")], cache_control=EPHEMERAL))
    check_anthropic(claude(five[:4]))
    check_anthropic(claude(five[:4], cache_control=EPHEMERAL))


def test_one_hour_stands_before_five_minutes() -> None:
    """In render order every 1h breakpoint comes before any 5m one."""
    assert "1h" in refused(claude([text("a", HOUR)], system=[text("s", EPHEMERAL)]))
    check_anthropic(claude([text("a", EPHEMERAL)], system=[text("s", HOUR)]))
    assert "different ttl" in refused(claude([text("a", HOUR)], cache_control=EPHEMERAL))


@pytest.mark.parametrize(
    "block",
    [
        text("", EPHEMERAL),
        {"type": "thinking", "thinking": "hm", "signature": "x", "cache_control": EPHEMERAL},
        text("a", {"type": "ephemeral", "ttl": "2h"}),
        text("a", {"type": "lasting"}),
    ],
)
def test_marks_that_are_refused(block: dict[str, Any]) -> None:
    """Not on empty text, not on thinking, no other lifetimes, no other types."""
    assert refused(claude("hi", [block], "go on"))


@pytest.mark.parametrize(
    "body",
    [
        {"model": "claude-sonnet-4-6", "messages": [{"role": "user", "content": "hi"}]},
        {"model": "claude-sonnet-4-6", "max_tokens": 10},
        {"model": "claude-sonnet-4-6", "max_tokens": 10, "messages": []},
        {"model": "claude-sonnet-4-6", "max_tokens": 10, "messages": [{"role": "tool", "content": "x"}]},
        claude("hi", "{", model="claude-sonnet-4-6"),
        claude("hi", model="claude-opus-4-7", thinking={"type": "enabled", "budget_tokens": 1024}),
        claude("hi", thinking={"type": "enabled", "budget_tokens": 100}),
        claude("hi", model="claude-fable-5", thinking={"type": "disabled"}),
        claude("hi", model="claude-opus-5-5", temperature=0.2),
        claude("hi", [{"type": "tool_use", "id": "t", "name": "look", "input": {}}], "and?"),
        claude([{"type": "tool_result", "tool_use_id": "t", "content": "x"}]),
        {**claude("hi"), "max_tokens": 0, "stream": True},
        claude(""),
    ],
)
def test_bodies_that_are_refused(body: dict[str, Any]) -> None:
    """Bodies that Anthropic answers with 400."""
    assert refused(body)
