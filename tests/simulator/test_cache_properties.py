"""What holds of every cache, whatever is asked of it in whatever order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asynccache.simulator.cache import PrefixCache
from asynccache.simulator.prompt import Block, Prompt
from asynccache.simulator.rules import (
    DEEPSEEK,
    OPENAI_55,
    OPENAI_BREAKPOINTS,
    OPENAI_IN_MEMORY,
    CacheRule,
    anthropic_rule,
)

RULES = [OPENAI_IN_MEMORY, OPENAI_55, OPENAI_BREAKPOINTS, DEEPSEEK, anthropic_rule("claude-sonnet-4-6")]

blocks = st.builds(
    lambda letter, length, lifetime, ends, setting: Block(
        content=letter * (length * 4),
        tokens=0 if setting else length,
        lifetime=None if setting else lifetime,  # a setting has no end to mark
        ends_message=ends and not setting,
        is_setting=setting,
    ),
    st.sampled_from([b"a", b"b", b"c"]),
    st.integers(1, 900),
    st.sampled_from([None, None, 300, 3600]),
    st.booleans(),
    st.booleans(),
)
prompts = st.builds(
    lambda made, scope: Prompt(model="m", scope=scope, blocks=tuple(made)),
    st.lists(blocks, min_size=1, max_size=8),
    st.sampled_from(["x", "y"]),
)
rules = st.sampled_from(RULES)


@settings(max_examples=150, deadline=None)
@given(rule=rules, asked=st.lists(st.tuples(prompts, st.integers(0, 4000), st.booleans()), max_size=8))
def test_counts_never_exceed_the_prompt(rule: CacheRule, asked: list[tuple[Prompt, int, bool]]) -> None:
    """read ≥ 0, written ≥ 0, read + written ≤ prompt, reads in whole steps, and a hit is a hit."""
    cache, now = PrefixCache(), 0.0
    for prompt, pause, answered in asked:
        now += pause
        verdict = cache.ask(prompt, rule, now)
        assert verdict.read >= 0
        assert all(tokens > 0 for tokens in verdict.written.values())
        assert verdict.read + verdict.write_total <= verdict.total == prompt.tokens
        assert verdict.read % rule.step == 0
        assert (verdict.read > 0) == (verdict.why == "hit")
        assert verdict.read == 0 or verdict.read >= rule.minimum
        if answered:
            cache.begin(verdict)


@settings(max_examples=100, deadline=None)
@given(rule=rules, prompt=prompts)
def test_equal_requests_read_what_the_first_wrote(rule: CacheRule, prompt: Prompt) -> None:
    """Asked again at once, a request reads all that it wrote, and writes nothing."""
    cache = PrefixCache()
    first = cache.ask(prompt, rule, 0.0)
    cache.begin(first)
    second = cache.ask(prompt, rule, 1.0)
    assert second.read >= first.read + first.write_total
    assert second.write_total == 0


@settings(max_examples=100, deadline=None)
@given(rule=rules, prompt=prompts, more=st.lists(blocks, max_size=3))
def test_a_longer_prompt_reads_no_less(rule: CacheRule, prompt: Prompt, more: list[Block]) -> None:
    """What is appended to a prompt takes nothing away from what its beginning reads, within the lookback."""
    grown = Prompt(model=prompt.model, scope=prompt.scope, blocks=prompt.blocks + tuple(more))
    cache = PrefixCache()
    cache.begin(cache.ask(prompt, rule, 0.0))
    again = cache.ask(prompt, rule, 1.0).read
    assert cache.ask(grown, rule, 1.0).read >= again // max(rule.step, rule.interval) * rule.step * (
        rule.kind != "units"
    )


@settings(max_examples=100, deadline=None)
@given(rule=rules, prompt=prompts, stranger=prompts)
def test_scopes_never_touch(rule: CacheRule, prompt: Prompt, stranger: Prompt) -> None:
    """What one scope asks changes nothing for another."""
    other = Prompt(model=stranger.model, scope="another", blocks=stranger.blocks)
    alone, shared = PrefixCache(), PrefixCache()
    shared.begin(shared.ask(other, rule, 0.0))
    assert shared.ask(prompt, rule, 1.0) == alone.ask(prompt, rule, 1.0)


@settings(max_examples=60, deadline=None)
@given(rule=rules, prompt=prompts)
def test_nothing_outlives_its_lifetime(rule: CacheRule, prompt: Prompt) -> None:
    """Two days later everything is a miss."""
    cache = PrefixCache()
    cache.begin(cache.ask(prompt, rule, 0.0))
    assert cache.ask(prompt, rule, 200_000.0).read == 0


def test_the_cache_is_bounded() -> None:
    """Old entries make room for new ones."""
    cache = PrefixCache(max_entries=10)
    rule = anthropic_rule("claude-sonnet-4-6")
    made = [
        Prompt(model="m", scope="s", blocks=(Block(content=b"%d" % number, tokens=2000, lifetime=300),))
        for number in range(30)
    ]
    for prompt in made:
        cache.begin(cache.ask(prompt, rule, 0.0))
    assert cache.ask(made[0], rule, 1.0).read == 0
    assert cache.ask(made[-1], rule, 1.0).read == 2000


@pytest.mark.parametrize("rule", RULES)
def test_an_empty_prompt_is_no_fault(rule: CacheRule) -> None:
    """A prompt without blocks reads and writes nothing."""
    verdict = PrefixCache().ask(Prompt(model="m", scope="s", blocks=()), rule, 0.0)
    assert (verdict.total, verdict.read, verdict.write_total) == (0, 0, 0)
