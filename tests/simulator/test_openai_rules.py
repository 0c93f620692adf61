"""OpenAI's two caches, before GPT-5.6 and since, and DeepSeek's, rule by rule."""

from __future__ import annotations

from typing import Any

import pytest

from asynccache.simulator.chat_prompt import spoken_blocks
from asynccache.simulator.rules import openai_rule, openai_version

from .prompts import LONG, OTHER, Provider, chat, part, understood

OLD, NEW, DEEP = "gpt-4o", "gpt-5.6-sol", "deepseek-flash"


@pytest.mark.parametrize(
    ("model", "version", "kind"),
    [
        ("gpt-4o-mini", (0, 0), "automatic"),
        ("gpt-4.1", (4, 1), "automatic"),
        ("gpt-5", (5, 0), "automatic"),
        ("gpt-5.5", (5, 5), "automatic"),
        ("gpt-5.6-luna", (5, 6), "breakpoints"),
        ("gpt-6-astra", (6, 0), "breakpoints"),
        ("gpt-6.2-sol", (6, 2), "breakpoints"),
        ("o4-mini", (0, 0), "automatic"),
    ],
)
def test_regime_by_model(model: str, version: tuple[int, int], kind: str) -> None:
    """GPT-5.6 and later have breakpoints; everything before is automatic."""
    assert openai_version(model) == version
    assert openai_rule(model).kind == kind


def test_automatic_reads_in_steps_of_128() -> None:
    """The second equal request reads the whole prefix but the last step; no writes are told."""
    provider = Provider()
    body = chat("hi", model=OLD, system=LONG)
    first, second = provider.ask(body), provider.ask(body)
    assert first.read == 0
    assert second.read == (second.total - 1) // 128 * 128
    assert second.written == {}


def test_automatic_needs_1024_tokens() -> None:
    """A prompt below 1024 tokens is never read."""
    provider = Provider()
    body = chat("hi", model=OLD, system="word " * 700)
    assert 800 < provider.ask(body).total < 1024
    assert provider.ask(body).why == "below_minimum"


def test_automatic_reads_any_common_prefix() -> None:
    """The same system prompt with another question is read up to where they part."""
    provider = Provider()
    provider.ask(chat("first question", model=OLD, system=LONG))
    second = provider.ask(chat("something else", model=OLD, system=LONG))
    assert second.total - 256 < second.read < second.total


def test_a_changed_first_word_misses() -> None:
    """What differs at its beginning has nothing in common."""
    provider = Provider()
    provider.ask(chat("hi", model=OLD, system=LONG))
    assert provider.ask(chat("hi", model=OLD, system="X" + LONG)).read == 0


@pytest.mark.parametrize(("model", "lives", "dies"), [(OLD, 500, 700), ("gpt-5.4", 80_000, 90_000)])
def test_automatic_lifetimes(model: str, lives: int, dies: int) -> None:
    """In memory for minutes; a day where extended retention is the default."""
    provider = Provider()
    body = chat("hi", model=model, system=LONG)
    provider.ask(body)
    provider.now += lives
    assert provider.ask(body).read
    provider.now += dies
    assert provider.ask(body).why == "expired"


def test_retention_can_be_asked_for() -> None:
    """`prompt_cache_retention: in_memory` shortens what would stay a day."""
    provider = Provider()
    body = chat("hi", model="gpt-5.4", system=LONG, prompt_cache_retention="in_memory")
    provider.ask(body)
    provider.now += 3600
    assert not provider.ask(body).read


def test_answers_are_kept_too() -> None:
    """The next turn reads beyond the last prompt, over the answer: recorded conversations show it."""
    provider = Provider()
    body = chat("hi", model=OLD, system=LONG)
    verdict = provider.ask(body)
    prompt, rule = understood(body, "key")
    said = {"role": "assistant", "content": "word " * 400}
    provider.cache.finish(prompt, rule, verdict, spoken_blocks(said))
    after = provider.ask(
        {**body, "messages": [*body["messages"], said, {"role": "user", "content": "go on"}]}
    )
    assert after.read > verdict.total


def test_breakpoints_count_exactly() -> None:
    """Implicit mode writes to the end of the latest user message, reads it exactly, and tells both."""
    provider = Provider()
    body = chat("hi", model=NEW, system=LONG)
    first, second = provider.ask(body), provider.ask(body)
    assert first.write_total == second.read
    assert first.write_total % 128
    assert set(first.written) == {1800}


def test_breakpoints_know_no_shorter_prefix() -> None:
    """A common beginning that ended in no written breakpoint is not read."""
    provider = Provider()
    provider.ask(chat(LONG + "one", model=NEW))
    assert provider.ask(chat(LONG + "two", model=NEW)).read == 0


def test_the_developer_block_is_no_implicit_write() -> None:
    """Only the latest eligible message is written implicitly; an explicit breakpoint keeps the system prompt."""
    provider = Provider()
    provider.ask(chat("one", model=NEW, system=LONG))
    assert provider.ask(chat("two", model=NEW, system=LONG)).read == 0
    provider = Provider()
    marked = [part(LONG, marked=True)]
    first = provider.ask(chat("one", model=NEW, system=marked))
    assert provider.ask(chat("two", model=NEW, system=marked)).read
    assert first.write_total


def test_a_conversation_reads_its_earlier_endings() -> None:
    """The ending of an earlier user message is found again when the conversation has grown."""
    provider = Provider()
    first = provider.ask(chat(LONG, model=NEW))
    second = provider.ask(chat(LONG, "yes", "go on", model=NEW))
    assert second.read == first.write_total
    assert 0 < second.write_total < 50


def test_explicit_mode_without_breakpoints_uses_no_cache() -> None:
    """Neither read nor written, even where an entry exists."""
    provider = Provider()
    body = chat("hi", model=NEW, system=LONG)
    provider.ask(body)
    verdict = provider.ask({**body, "prompt_cache_options": {"mode": "explicit"}})
    assert (verdict.read, verdict.write_total, verdict.why) == (0, 0, "not_asked")


def test_explicit_mode_leaves_the_tail_unwritten() -> None:
    """Only the marked prefix is written."""
    provider = Provider()
    options = {"mode": "explicit"}
    body = chat(OTHER, model=NEW, system=[part(LONG, marked=True)], prompt_cache_options=options)
    first = provider.ask(body)
    assert first.uncached > 4000
    assert provider.ask(body).read == first.write_total


def test_excess_breakpoints_are_not_written() -> None:
    """Of six explicit breakpoints the latest four are written; the others are no error."""
    provider = Provider()
    parts = [part(f"{LONG} {number}", marked=True) for number in range(6)]
    options = {"mode": "explicit"}
    provider.ask(chat(parts, model=NEW, prompt_cache_options=options))
    assert not provider.ask(chat(parts[:2], model=NEW, prompt_cache_options=options)).read
    assert provider.ask(chat(parts[:3], model=NEW, prompt_cache_options=options)).read


def test_twelve_hours_on_a_part() -> None:
    """A part's own ttl outlives the request's 30 minutes."""
    provider = Provider()
    body = chat("hi", model=NEW, system=[part(LONG, marked=True, ttl="12h")])
    assert set(provider.ask(body).written) == {12 * 3600, 1800}
    provider.now += 6 * 3600
    assert provider.ask(body).read > 0


def test_thirty_minutes_and_no_more() -> None:
    """A 30m entry is read after 29 minutes and gone after 31."""
    provider = Provider()
    body = chat("hi", model=NEW, system=LONG)
    provider.ask(body)
    provider.now += 29 * 60
    assert provider.ask(body).read
    provider.now += 31 * 60
    assert provider.ask(body).why == "expired"


@pytest.mark.parametrize(
    "change",
    [
        {"prompt_cache_key": "other"},
        {"service_tier": "flex"},
        {"reasoning_effort": "low"},
        {"parallel_tool_calls": False},
        {"tools": [{"type": "function", "function": {"name": "look"}}]},
    ],
)
def test_what_misses_since_5_6(change: dict[str, Any]) -> None:
    """Settings that are part of the beginning, and a changed key, miss."""
    provider = Provider()
    body = chat("hi", model=NEW, system=LONG)
    provider.ask(body)
    assert provider.ask({**body, **change}).read == 0
    assert provider.ask({**body, "tool_choice": "none"}).read


def test_before_5_6_the_key_only_routes() -> None:
    """`prompt_cache_key` is a hint to the old cache, not a wall in it."""
    provider = Provider()
    provider.ask(chat("hi", model=OLD, system=LONG))
    assert provider.ask(chat("hi", model=OLD, system=LONG, prompt_cache_key="k")).read


@pytest.mark.parametrize("model", [OLD, NEW, DEEP])
def test_organisations_are_apart(model: str) -> None:
    """One key never reads what another wrote."""
    provider = Provider()
    body = chat("hi", model=model, system=LONG)
    provider.ask(body, key="one")
    assert provider.ask(body, key="two").read == 0
    assert provider.ask(body, key="one").read


def test_deepseek_hits_whole_units_only() -> None:
    """A+B, A+C, A+D: the second finds no unit that ends at A, the third finds the common prefix that the second showed."""
    provider = Provider()
    beginning = "A sentence that all three share, of some length. " * 40
    verdicts = [provider.ask(chat(beginning + tail * 30, model=DEEP)) for tail in ("One. ", "Two? ", "Six! ")]
    assert [bool(verdict.read) for verdict in verdicts] == [False, False, True]
    assert verdicts[2].read % 128 == 0


def test_deepseek_reads_the_whole_prompt_again() -> None:
    """The end of the user input is a unit: an equal request reads it, in steps of 128, and a longer one too."""
    provider = Provider()
    first = provider.ask(chat("hi", model=DEEP, system=LONG))
    again = provider.ask(chat("hi", model=DEEP, system=LONG))
    longer = provider.ask(chat("hi", "ho", "hey", model=DEEP, system=LONG))
    assert again.read == (first.total - 1) // 128 * 128
    assert longer.read == first.total // 128 * 128


def test_deepseek_long_inputs_have_units_inside() -> None:
    """At fixed intervals of a long input there are units, though no request ended there."""
    provider = Provider()
    long = LONG + LONG[:8000]
    provider.ask(chat("one", model=DEEP, system=long))
    second = provider.ask(chat("two", model=DEEP, system=long))
    assert second.read == 4096 < second.total - 1000


def test_deepseek_parts_users() -> None:
    """`user_id` isolates; the OpenAI field `user` does not."""
    provider = Provider()
    body = chat("hi", model=DEEP, system=LONG)
    provider.ask(body)
    assert provider.ask({**body, "user_id": "u1"}).read == 0
    assert provider.ask({**body, "user": "u1"}).read
