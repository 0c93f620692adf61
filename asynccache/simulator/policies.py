"""Which kind of cache is worked by which policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from .policy_automatic import Automatic
from .policy_marked import Marked
from .policy_units import Units

if TYPE_CHECKING:
    from .cache import PrefixCache
    from .prompt import Block, Prompt
    from .rules import CacheRule, Kind
    from .verdict import Plan, Verdict


class Policy(Protocol):
    """One way in which a provider decides what is read and written."""

    def ask(self, cache: PrefixCache, prompt: Prompt, rule: CacheRule, now: float) -> Verdict:
        """See `PrefixCache.ask`."""
        ...

    def after(self, prompt: Prompt, rule: CacheRule, output: tuple[Block, ...]) -> tuple[Plan, ...]:
        """What is written once the answer is said."""
        ...


POLICIES: dict[Kind, Policy] = {
    "automatic": Automatic(),
    "breakpoints": Marked(),
    "marked": Marked(),
    "units": Units(),
}
