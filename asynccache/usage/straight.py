"""The counts of a usage object whose shape is known are taken straight, where each is a plain one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias, final

if TYPE_CHECKING:
    from asynccache.usage.fields import Places, Spelling

__all__ = ["COMPLETION_PARTS", "LIFETIMES", "LIMIT", "PROMPT_PARTS", "Straight", "Told", "fields_of"]

Told: TypeAlias = "list[int | None]"
"""What a usage object tells, in the order of `fields_of`."""

LIMIT = 10**9
"""No request has ever come near; a larger count is a mistake and must not be priced."""
LIFETIMES = ("5m", "30m", "1h", "12h")
PROMPT_PARTS = ("audio_tokens", "image_tokens", "text_tokens")
COMPLETION_PARTS = (
    "audio_tokens",
    "text_tokens",
    "accepted_prediction_tokens",
    "rejected_prediction_tokens",
)


def fields_of(spelling: Spelling) -> tuple[Places, ...]:
    """Where each count stands: the seven of the spelling, the lifetimes, the parts of prompt and completion."""
    lifetimes, prompt, completion = (
        dict(rows) for rows in (spelling.lifetimes, spelling.prompt_parts, spelling.completion_parts)
    )
    return (
        spelling.prompt,
        spelling.prompt_also,
        spelling.completion,
        spelling.total,
        spelling.reasoning,
        spelling.read,
        spelling.written,
        *(lifetimes.get(ttl, ()) for ttl in LIFETIMES),
        *(prompt.get(name, ()) for name in PROMPT_PARTS),
        *(completion.get(name, ()) for name in COMPLETION_PARTS),
    )


@final
class Straight:
    """Takes the counts of all objects of one shape without asking at every step whether it is there.

    Args:
        spelling: the row, with no other places than those that the shape has, none of them in a list.
    """

    __slots__ = ("_steps", "_untold")

    def __init__(self, spelling: Spelling) -> None:
        fields = fields_of(spelling)
        self._untold: list[int | None] = [None] * len(fields)
        self._steps = [
            (slot, places[0][0], places[0][1] if len(places[0]) > 1 else None)
            for slot, places in enumerate(fields)
            if places
        ]

    def take(self, raw: dict[str, Any]) -> Told | None:
        """The counts; None where one of them is no whole number from 0 to `LIMIT`."""
        told = self._untold.copy()
        for slot, name, inner in self._steps:
            count = raw[name] if inner is None else raw[name][inner]
            if count.__class__ is not int or not 0 <= count <= LIMIT:
                return None
            told[slot] = count
        return told
