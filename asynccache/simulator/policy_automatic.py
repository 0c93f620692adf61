"""OpenAI before GPT-5.6: any common prefix is read, counted down to steps of 128 tokens; nothing is said of writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from .trail import extended, fine_trail
from .verdict import Plan, Verdict, Why

if TYPE_CHECKING:
    from .cache import PrefixCache
    from .prompt import Block, Prompt
    from .rules import CacheRule


@final
class Automatic:
    """Stateless; the cache holds what was seen."""

    def ask(self, cache: PrefixCache, prompt: Prompt, rule: CacheRule, now: float) -> Verdict:
        """The longest prefix seen, down to a whole step; at least one token is always computed anew."""
        total = prompt.tokens
        trail = fine_trail(prompt)
        common = 0
        why: Why = "cold"
        for point in trail:
            state = cache.state(point.digest, now)
            if state != "hit":
                why = state
                break
            common = point.tokens
            cache.refresh(point.digest, now)

        read = _down(min(common, total - 1), max(rule.step, rule.interval))
        if read < rule.minimum:
            read = 0
        plans = (
            tuple(Plan(point.digest, _lifetime(prompt, rule)) for point in trail)
            if total >= rule.minimum
            else ()
        )
        cache.announce(plans, now)
        return Verdict(
            total=total,
            read=read,
            written={},
            why=_why(total, read, rule.minimum, why),
            at=now,
            plans=plans,
        )

    def after(self, prompt: Prompt, rule: CacheRule, output: tuple[Block, ...]) -> tuple[Plan, ...]:
        """The answer is kept behind its prompt: recorded conversations read more than the last prompt was long."""
        trail = extended(prompt, output)
        return tuple(Plan(point.digest, _lifetime(prompt, rule)) for point in trail)


def _lifetime(prompt: Prompt, rule: CacheRule) -> int:
    """What the request asks for, else what is usual."""
    return next((block.lifetime for block in prompt.blocks if block.lifetime), rule.lifetime)


def _down(tokens: int, step: int) -> int:
    return max(tokens, 0) // step * step


def _why(total: int, read: int, minimum: int, missed: Why) -> Why:
    if read:
        return "hit"
    if total < minimum:
        return "below_minimum"
    return missed if missed != "hit" else "cold"
