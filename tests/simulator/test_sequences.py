"""The cache engine says of recorded conversations what the providers counted."""

from __future__ import annotations

from functools import lru_cache

import pytest

from tests.shared import requires_shared, shared

from .replay import Turn, judged, replay, replay_others, report

pytestmark = requires_shared
PROVIDERS = ("openai", "anthropic", "deepseek", "bedrock")


@lru_cache(maxsize=1)
def turns() -> tuple[Turn, ...]:
    return tuple(replay(shared("recordings")))


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("hit", [True, False])
def test_hit_or_miss(provider: str, hit: bool) -> None:
    """At least 95 % of hits and 95 % of misses are said right, for each provider by itself."""
    mine = [turn for turn in judged(list(turns())) if turn.provider == provider and turn.hit is hit]
    wrong = [turn.case for turn in mine if not turn.right]
    assert mine
    assert len(wrong) <= len(mine) * 0.05, wrong


@pytest.mark.parametrize("provider", PROVIDERS)
def test_counts(provider: str) -> None:
    """Read and written counts are exact, or within the 128-token step that the provider rounds to."""
    mine = [turn for turn in judged(list(turns())) if turn.provider == provider and turn.count_listed is None]
    wrong = [turn.case for turn in mine if not turn.counts_right]
    assert mine
    assert len(wrong) <= len(mine) * 0.05, wrong


def test_every_turn_is_judged_or_listed() -> None:
    """Nothing is dropped: each turn not judged appears in the report with the rule that excuses it."""
    text = report(list(turns()))
    for turn in turns():
        if turn.listed is not None and "not a wire" not in turn.listed:
            assert f"listed {turn.case}" in text
    assert len(judged(list(turns()))) >= 100


def test_listed_turns_are_excused_by_the_recording() -> None:
    """Being warm from before is only ever the excuse of a hit: a miss has none."""
    assert all(turn.hit for turn in turns() if turn.listed and turn.listed.startswith("first sight"))


def test_other_cassettes() -> None:
    """Recorded conversations that are not among the sequences, mostly too short to be cached, agree too."""
    others = judged(replay_others(shared("recordings")))
    assert len(others) >= 8
    assert [turn.case for turn in others if not turn.right] == []
