"""What came of a call, held against what the relay truly sent: one word, and what was seen."""

from __future__ import annotations

from typing import Any, NamedTuple

from .cases import TEXT, Case

RIGHT = "right"


class Truth(NamedTuple):
    """What the other side knows."""

    attempts: int
    usage: tuple[int, int]
    """Of a whole answer: tokens in, tokens out."""
    key_elsewhere: bool
    """Whether another origin was sent the key."""


def judge(case: Case, came: dict[str, Any] | None, truth: Truth) -> tuple[str, str]:
    """The verdict, and what it stands on; None is a call that had to be killed."""
    often = "" if truth.attempts == 1 else f", {truth.attempts} attempts"
    if came is None:
        return "hang", f"killed{often}"
    error = came["error"]
    ended = "success" if error is None else error["type"]
    seen = f"{ended}, {came['took']:.1f} s{often}"
    for word, holds in _wrongs(case, came, truth):
        if not holds:
            return word, seen
    return RIGHT, seen


def _wrongs(case: Case, came: dict[str, Any], truth: Truth) -> list[tuple[str, bool]]:
    """What may be wrong, the worst first, and whether it is not."""
    error, usage = came["error"], came["usage"]
    success = error is None
    exact = usage is not None and (usage["prompt"], usage["completion"]) == truth.usage
    return [
        ("key sent elsewhere", not truth.key_elsewhere),
        ("key told", not came["tells_key"]),
        ("good answer refused", success or case.ends != "whole"),
        ("hang", came["took"] <= case.within),
        ("false success", not (success and case.ends == "error")),
        ("memory", came["memory"] <= case.memory),
        ("raw exception", success or error["own"]),
        ("wrong text", not success or came["text"] == TEXT),
        ("too many attempts", truth.attempts <= case.attempts),
        ("asked too soon", truth.attempts == 1 or came["took"] >= case.waits),
        ("usage lost", case.usage != "exact" or usage is not None),
        ("wrong usage", case.usage != "exact" or exact),
        ("usage invented", case.usage != "none" or not told(usage)),
        ("absurd usage", case.usage != "unsound" or is_sound(usage)),
    ]


def told(usage: dict[str, Any] | None) -> bool:
    return usage is not None and any(usage.values())


def is_sound(usage: dict[str, Any] | None) -> bool:
    """Whether no count is negative or beyond all models."""
    return usage is None or all(count is None or 0 <= count <= 10**9 for count in usage.values())
