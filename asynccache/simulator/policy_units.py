"""DeepSeek since V4: a request hits only a whole persisted prefix unit, not just any common beginning.

Units are persisted at the end of the user input, at the end of the model's output, at a common prefix once two requests
have shown it (so the third one is the first to hit it), and at fixed intervals of long inputs.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, final

from .trail import Point, extended, fine_trail
from .verdict import Plan, Verdict, Why

if TYPE_CHECKING:
    from .cache import PrefixCache
    from .prompt import Block, Prompt
    from .rules import CacheRule

_SEEN = b"seen:"
_UNIT = b"unit:"


@final
class Units:
    """Stateless; the cache holds the units, and the prefixes seen that may become units."""

    def ask(self, cache: PrefixCache, prompt: Prompt, rule: CacheRule, now: float) -> Verdict:
        """The longest unit that the prompt begins with, counted down to a whole step."""
        total = prompt.tokens
        trail = fine_trail(prompt)
        unit, common = _longest(cache, trail, now)
        read = 0 if unit is None else max(0, min(unit.tokens, total - 1)) // rule.step * rule.step
        if unit is not None:
            cache.refresh(_UNIT + unit.digest, now)

        ends = trail[-1:] + _every(trail, rule.interval)
        if common is not None:
            ends.append(common)
        plans = tuple(
            [Plan(_SEEN + point.digest, rule.lifetime) for point in trail]
            + [Plan(_UNIT + point.digest, rule.lifetime) for point in ends]
        )
        why = "hit" if read else _why(cache, trail, rule, now)
        cache.announce(plans, now)
        return Verdict(total=total, read=read, written={}, why=why, at=now, plans=plans)

    def after(self, prompt: Prompt, rule: CacheRule, output: tuple[Block, ...]) -> tuple[Plan, ...]:
        """The end of the model's output is a unit too."""
        trail = extended(prompt, output)
        ends = trail[-1:] + _every(trail, rule.interval)
        return tuple(
            [Plan(_SEEN + point.digest, rule.lifetime) for point in trail]
            + [Plan(_UNIT + point.digest, rule.lifetime) for point in ends]
        )


def _longest(cache: PrefixCache, trail: list[Point], now: float) -> tuple[Point | None, Point | None]:
    """The longest unit, and the end of what was seen before in any form."""
    unit = common = None
    for point in trail:
        if cache.state(_SEEN + point.digest, now) != "hit":
            break
        common = point
        if cache.state(_UNIT + point.digest, now) == "hit":
            unit = point
    return unit, common


def _every(trail: list[Point], interval: int) -> list[Point]:
    """The first point at or behind each multiple of the interval."""
    return [
        after
        for here, after in itertools.pairwise(trail)
        if here.tokens // interval < after.tokens // interval
    ]


def _why(cache: PrefixCache, trail: list[Point], rule: CacheRule, now: float) -> Why:
    if not trail or trail[-1].tokens < rule.minimum:
        return "below_minimum"
    state = cache.state(_UNIT + trail[-1].digest, now)
    return "cold" if state == "hit" else state
