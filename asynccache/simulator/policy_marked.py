"""Caches that keep only what was marked: Anthropic's cache_control, Converse's cachePoint, OpenAI's breakpoints since 5.6.

They differ in numbers and in where they look, and those are in the rule: Anthropic looks back 20 block positions from
each breakpoint; OpenAI looks at the latest 80 breakpoints, its implicit ones included.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from .trail import block_trail
from .verdict import Plan, Verdict, Why

if TYPE_CHECKING:
    from .cache import PrefixCache
    from .prompt import Block, Prompt
    from .rules import CacheRule
    from .trail import Point


@final
class Marked:
    """Stateless; the cache holds what was written."""

    def ask(self, cache: PrefixCache, prompt: Prompt, rule: CacheRule, now: float) -> Verdict:
        """Reads up to the longest entry found; writes from there to each later breakpoint, for its lifetime."""
        trail = block_trail(prompt)
        marks = [index for index, block in enumerate(prompt.blocks) if block.lifetime is not None]
        places = _places(prompt, rule, marks)
        read, why = _read(cache, [trail[index] for index in places], rule, now)

        written: dict[int, int] = {}
        plans: list[Plan] = []
        done = read
        for index in marks[-rule.max_writes :]:
            point, lifetime = trail[index], prompt.blocks[index].lifetime
            if lifetime is None or point.tokens < rule.minimum:
                continue
            if point.tokens <= read:
                cache.refresh(point.digest, now)
                continue
            plans.append(Plan(point.digest, lifetime))
            written[lifetime] = written.get(lifetime, 0) + point.tokens - done
            done = point.tokens

        cache.announce(tuple(plans), now)
        return Verdict(
            total=prompt.tokens,
            read=read,
            written={lifetime: tokens for lifetime, tokens in written.items() if tokens},
            why=why if read or plans or not marks else "below_minimum",
            at=now,
            plans=tuple(plans),
        )

    def after(self, prompt: Prompt, rule: CacheRule, output: tuple[Block, ...]) -> tuple[Plan, ...]:
        """Answers are not kept: no breakpoint can stand on them yet."""
        del prompt, rule, output
        return ()


def _places(prompt: Prompt, rule: CacheRule, marks: list[int]) -> list[int]:
    """The blocks at whose ends an entry is looked for."""
    if rule.kind == "breakpoints":
        if not marks:
            return []
        ends = [index for index, block in enumerate(prompt.blocks) if block.ends_message]
        return sorted({*marks, *ends})[-rule.lookback :]

    places: set[int] = set()
    for mark in marks:
        left = rule.lookback
        for index in range(mark, -1, -1):
            if prompt.blocks[index].is_setting:
                continue
            places.add(index)
            left -= 1
            if not left:
                break
    return sorted(places)


def _read(cache: PrefixCache, points: list[Point], rule: CacheRule, now: float) -> tuple[int, Why]:
    why: Why = "cold" if points else "not_asked"
    for point in reversed(points):
        state = cache.state(point.digest, now)
        if state == "hit" and point.tokens >= rule.minimum:
            cache.refresh(point.digest, now)
            return point.tokens, "hit"
        if state in ("expired", "not_ready") and why == "cold":
            why = state
    return 0, why
