"""The prefix cache of a provider: what a request reads, what it writes, for how long, and why. No I/O, no clock of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import msgspec

from .policies import POLICIES

if TYPE_CHECKING:
    from .prompt import Block, Prompt
    from .rules import CacheRule
    from .verdict import Plan, Verdict


class _Entry:
    __slots__ = ("expires", "lifetime", "ready")

    def __init__(self, expires: float, lifetime: int, *, ready: bool) -> None:
        self.expires = expires
        self.lifetime = lifetime
        self.ready = ready


class PrefixCache:
    """One provider's cache: `ask` when a request starts, `begin` when its answer does, `finish` when it is said."""

    def __init__(self, max_entries: int = 2_000_000) -> None:
        self._entries: dict[bytes, _Entry] = {}
        self._max_entries = max_entries

    def ask(self, prompt: Prompt, rule: CacheRule, now: float) -> Verdict:
        """Reads what can be read (which refreshes it) and says what this request is going to write."""
        return POLICIES[rule.kind].ask(self, prompt, rule, now)

    def begin(self, verdict: Verdict) -> None:
        """The answer has begun: what the request wrote can be read from now on."""
        for plan in verdict.plans:
            entry = self._entries.get(plan.digest)
            expires = verdict.at + plan.lifetime
            if entry is None:
                self._entries[plan.digest] = _Entry(expires, plan.lifetime, ready=True)
            elif not entry.ready or expires > entry.expires:
                entry.ready, entry.expires, entry.lifetime = True, expires, plan.lifetime
        self._bound()

    def finish(self, prompt: Prompt, rule: CacheRule, verdict: Verdict, output: tuple[Block, ...]) -> None:
        """The answer is said: some caches keep it, as part of a longer prefix."""
        plans = POLICIES[rule.kind].after(prompt, rule, output)
        self.begin(msgspec.structs.replace(verdict, plans=plans))

    def state(self, digest: bytes, now: float) -> Literal["hit", "cold", "expired", "not_ready"]:
        """Whether an entry can be read now, and if not, why."""
        entry = self._entries.get(digest)
        if entry is None:
            return "cold"
        if now >= entry.expires:
            return "expired"
        return "hit" if entry.ready else "not_ready"

    def refresh(self, digest: bytes, now: float) -> None:
        """A read lets an entry live its whole lifetime again, counted from the start of the reading request."""
        entry = self._entries.get(digest)
        if entry is not None:
            entry.expires = max(entry.expires, now + entry.lifetime)

    def announce(self, plans: tuple[Plan, ...], now: float) -> None:
        """Notes what is being written, so that a request in between is told `not_ready`."""
        for plan in plans:
            entry = self._entries.get(plan.digest)
            if entry is None or now >= entry.expires:
                self._entries[plan.digest] = _Entry(now + plan.lifetime, plan.lifetime, ready=False)

    def _bound(self) -> None:
        while len(self._entries) > self._max_entries:
            del self._entries[next(iter(self._entries))]
