"""The demo's conversation: long house rules, four questions with their answers, and what changes before the last."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["AFTERWARDS", "OPENING", "OTHER_OPENING", "TURNS", "Exchange", "house_rules", "said"]


class Exchange(NamedTuple):
    """A question, and what the simulated model answers."""

    question: str
    answer: str


OPENING = "Monday."
OTHER_OPENING = "Tuesday."

TURNS = (
    Exchange(
        "How long may I keep a novel?",
        "Four weeks, and twice two weeks more as long as nobody else waits for it.",
    ),
    Exchange(
        "And a map?",
        "Maps stay in the house: you may read and copy them at the table by the window.",
    ),
    Exchange(
        "Somebody waits for my book. What now?",
        "Then it cannot be renewed: please bring it back by the day on the slip.",
    ),
    Exchange(
        "I am three days late. What does it cost?",
        "Nothing yet. The first week is free, after that it is ten cents a day.",
    ),
)
AFTERWARDS = Exchange(
    "Are you open tomorrow?",
    "Yes, from ten to seven. On Sundays the reading room alone is open.",
)

_ROOMS = (
    "Fiction", "History", "Travel", "Music", "Law", "Medicine", "Gardens", "Ships", "Birds", "Cities",
    "Letters", "Plays", "Science", "Cookery", "Children", "Newspapers",
)  # fmt: skip
_RULES = (
    "up to {count} items may be borrowed at a time, for four weeks, with a card that is valid on that day.",
    "a loan is renewed twice, for two weeks each, as long as nobody has asked for the same item.",
    "the first week after the day on the slip is free of charge; every further day costs ten cents.",
    "an item that is lost is paid for at its price of today, and {count} dollars for the work.",
    "whoever waits for an item is told by letter, and it is kept on the shelf for {count} days.",
    "maps, prints and all that was printed before 1850 are read in the house and do not leave it.",
    "copies are made at the machine by the stairs; {count} pages a day are free for every reader.",
    "questions go to the desk on the first floor, which is open from ten to seven except on Sundays.",
)


def house_rules(opening: str) -> str:
    """The system prompt: some 14,000 characters, of which only *opening* ever changes."""
    lines = [f"{opening} You answer readers at the desk of the Harbour Street Library. These are the rules."]
    for number, room in enumerate(_ROOMS, start=1):
        lines += [
            f"Rule {number}.{part}, {room}: {rule.format(count=3 + (number * part) % 9)}"
            for part, rule in enumerate(_RULES, start=1)
        ]
    return "\n".join(lines)


def said(role: str, text: str) -> dict[str, Any]:
    """A message."""
    return {"role": role, "content": text}
