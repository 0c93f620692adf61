"""Where two prompts part: the first difference is where a cache stops reading."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING, Any, final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Divergence", "find_divergence"]

_EXCERPT = 24  # characters shown of each side


@final
class Divergence(msgspec.Struct, frozen=True):
    """The first place where a prompt differs from an earlier one."""

    message: int
    """The position of the message."""
    character: int
    """Of its text, from 0."""
    before: str
    """The word that stood there."""
    after: str
    """The word that stands there now."""

    def __str__(self) -> str:
        return (
            f"prefix diverged at messages[{self.message}], character {self.character}:"
            f" {self.before!r} became {self.after!r}"
        )


def find_divergence(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> Divergence | None:
    """The first difference between two conversations; None where the later one only goes on."""
    for position, (old, new) in enumerate(zip(before, after, strict=False)):
        if old == new:
            continue
        was, now = str(old.get("content", "")), str(new.get("content", ""))
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(was, now, strict=False)))
        return Divergence(position, same, _word(was, same), _word(now, same))
    return None


def _word(text: str, place: int) -> str:
    """The word that *place* lies in."""
    start = text.rfind(" ", 0, place) + 1
    rest = text[start : start + _EXCERPT].split(maxsplit=1)
    return rest[0] if rest else ""
