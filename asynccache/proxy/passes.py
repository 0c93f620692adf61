"""Who may look at the page without the key in a header: who holds a link that works once, then while it is used.

There is no login and no cookie. A link that works once is exchanged for a pass, which stands in the page's
address. Both are random, known to this process alone and kept as digests; a pass ends when it is not used
for ten minutes, twelve hours after it was made, and with the process.
"""

from __future__ import annotations

import secrets
import time
from hashlib import sha256
from typing import TYPE_CHECKING, Final, TypeVar, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Passes"]

_T = TypeVar("_T")

LINK_SECONDS: Final = 600.0
"""How long a link may wait for its one use."""
IDLE_SECONDS: Final = 600.0
LONGEST_SECONDS: Final = 12 * 3600.0
_MOST = 100  # links, and passes, at the same time; the oldest make room


@final
class Passes:
    """Links that work once, and the passes that they were exchanged for.

    Args:
        clock: seconds of a clock that never goes back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._links: dict[bytes, float] = {}  # digest: until when
        self._passes: dict[bytes, tuple[float, float]] = {}  # digest: when made, when last used

    def link(self) -> str:
        """A new word that works once."""
        word = secrets.token_urlsafe(32)
        _keep(self._links, _digest(word), self._clock() + LINK_SECONDS)
        return word

    def exchange(self, word: str) -> str | None:
        """A pass for *word*, which is worth nothing from now on; None where it was worth nothing before."""
        until = self._links.pop(_digest(word), None)  # found by its digest: no comparison byte by byte
        now = self._clock()
        if until is None or now > until:
            return None
        made = secrets.token_urlsafe(32)
        _keep(self._passes, _digest(made), (now, now))
        return made

    def holds(self, word: str) -> bool:
        """Whether *word* is a pass that has not ended; it is used by that."""
        digest = _digest(word)
        found = self._passes.get(digest)
        if found is None:
            return False
        now = self._clock()
        made, used = found
        if now - used > IDLE_SECONDS or now - made > LONGEST_SECONDS:
            del self._passes[digest]
            return False
        self._passes[digest] = (made, now)
        return True

    def clear(self) -> None:
        """End all of them: the key has changed."""
        self._links.clear()
        self._passes.clear()


def _digest(word: str) -> bytes:
    return sha256(word.encode("utf-8", "surrogateescape")).digest()


def _keep(kept: dict[bytes, _T], digest: bytes, value: _T) -> None:
    while len(kept) >= _MOST:
        kept.pop(next(iter(kept)))
    kept[digest] = value
