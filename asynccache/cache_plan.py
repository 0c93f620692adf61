"""Which cache marks go out, and where: a pure function of what the caller asked and what the model takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, final

from asynccache.reply import CacheNote
from asynccache.request import Mark, Path, path_text

if TYPE_CHECKING:
    from asynccache.providers.base import CacheRules

__all__ = ["SYSTEM", "Message", "Wish", "find_place", "plan_marks"]

Message: TypeAlias = Mapping[str, Any]

SYSTEM = frozenset({"system", "developer"})
_RESULTS = frozenset({"tool", "function"})
_THINKING = frozenset({"thinking", "redacted_thinking"})
_OPENAI_PARTS = frozenset({"text", "image_url", "input_audio", "file"})  # parts that take a breakpoint
_BREAKPOINT = "prompt_cache_breakpoint"

_RANKS = {"5m": 1, "30m": 2, "1h": 3, "12h": 4}
_DEFAULTS = {"blocks": "5m", "parts": "30m"}  # what a mark without a lifetime gets

_NO_BLOCK = "no block here or before it can hold a mark"
_NO_TOOLS = "this model takes no marks on tools; a mark on the first system text covers them"
_NO_RESULTS = "this model takes no marks on the results of tools"
_NO_AUTOMATIC = "this model takes no mark for the whole request"
_WHOLE_RESULT = "the result of a tool is marked as a whole"
_LAST_BLOCK = "the mark for the whole request stands on the last block that can hold one"
_TAKEN = "the last block has a mark with another lifetime"
_OWN_BREAKPOINT = "the part has a breakpoint of its own"
_MERGED = "merged with another mark on the same block"
_LONGER_LATER = "a longer lifetime comes later, and all before it must last as long"


class Wish(NamedTuple):
    """One mark as the caller asked for it."""

    source: str
    """Where the caller wrote it, for the report."""
    at: Path
    """What is to be marked; empty for the whole request."""
    ttl: str | None = None
    remark: str = ""
    """What the report must say besides."""


class _Place(NamedTuple):
    path: Path | None
    reason: str = ""
    """Why the mark does not stand where it was asked for."""


@final
class _Mark:
    """A mark that goes out, unless it is one too many."""

    def __init__(self, path: Path, ttl: str | None) -> None:
        self.path = path
        self.ttl = ttl
        self.surplus = False
        self.prolonged = False


def plan_marks(
    wishes: Iterable[Wish], messages: Sequence[Message], rules: CacheRules
) -> tuple[tuple[Mark, ...], tuple[CacheNote, ...]]:
    """The marks to send in the order of the prompt, and one note for each wish.

    Marks on one block become one with the longest of their lifetimes. Where there are more than the model
    takes, the last of the tools, of the system prompt and of the messages stay, then the other tools and
    system blocks, then the latest messages. A mark before a longer-lived one lives as long.
    """
    wishes = tuple(wishes)
    marks: dict[Path, _Mark] = {}
    places: dict[int, _Place] = {}
    for number in sorted(
        range(len(wishes)), key=lambda number: not wishes[number].at
    ):  # the whole request last
        wish = wishes[number]
        places[number] = place = _place(wish, messages, rules, marks)
        if place.path is not None and place.reason != _OWN_BREAKPOINT:
            _add(marks, place.path, _lifetime(wish.ttl, rules), rules)
    ordered = sorted(marks.values(), key=lambda mark: _order(mark.path))
    _limit(ordered, messages, rules)
    kept = [mark for mark in ordered if not mark.surplus]
    if rules.ordered_ttls:
        _prolong(kept, rules)
    seen: set[Path] = set()
    notes = [_note(wish, places[number], marks, seen, rules) for number, wish in enumerate(wishes)]
    return tuple(Mark(mark.path, mark.ttl) for mark in kept), tuple(notes)


def find_place(at: Path, messages: Sequence[Message], rules: CacheRules) -> tuple[Path | None, str]:
    """Where a mark on *at*, a message or a part of one, can stand: there, or at the next place before it.

    With it, what stands at *at* that can hold no mark; "" where nothing does.
    """
    index = int(at[1])
    blocks = _blocks(messages[index], index, rules)
    paths = [path for path, _ in blocks]
    if len(at) > 2 and at in paths:
        del blocks[paths.index(at) + 1 :]
    obstacle = blocks[-1][1] if blocks else ""
    for earlier in range(index, -1, -1):
        if earlier != index:
            blocks = _blocks(messages[earlier], earlier, rules)
        for path, why_not in reversed(blocks):
            if not why_not:
                return path, obstacle
    return None, obstacle


def _blocks(message: Message, index: int, rules: CacheRules) -> list[tuple[Path, str]]:
    """The blocks of a message in their order, each with the reason why no mark can stand on it."""
    at: Path = ("messages", index)
    if rules.style == "blocks":
        if message.get("role") in _RESULTS:
            return [(at, "" if rules.tool_results else _NO_RESULTS)]
        if message.get("provider_blocks"):
            return [(at, "")]  # sent as it came, with the mark at its end
    content = message.get("content")
    if isinstance(content, str):
        blocks = [(at, "" if content and not content.isspace() else "an empty text takes no mark")]
    else:
        parts: Sequence[Message] = content or ()
        blocks = [((*at, "content", number), _obstacle(part, rules)) for number, part in enumerate(parts)]
    on_calls = "" if rules.style == "blocks" and not rules.text_only else "a tool call takes no mark here"
    calls: Sequence[Any] = message.get("tool_calls") or ()
    return [*blocks, *(((*at, "tool_calls", number), on_calls) for number in range(len(calls)))]


def _obstacle(part: Message, rules: CacheRules) -> str:
    kind = part.get("type")
    if kind in _THINKING:
        return "thinking takes no mark"
    if kind == "text":
        text = str(part.get("text") or "")
        return "" if text and not text.isspace() else "an empty text takes no mark"
    if rules.style == "parts":
        return "" if kind in _OPENAI_PARTS else f"a part of type {kind!r} takes no mark"
    if kind == "tool_result" and not rules.tool_results:
        return _NO_RESULTS
    if kind in rules.unmarkable:
        return f"a part of type {kind!r} takes no mark here"
    return "a mark must stand directly after text" if rules.text_only else ""


def _place(wish: Wish, messages: Sequence[Message], rules: CacheRules, marks: Mapping[Path, _Mark]) -> _Place:
    if not wish.at:
        return _place_automatic(wish, messages, rules, marks)
    if wish.at[0] == "tools":
        return _Place(wish.at) if rules.tools else _Place(None, _NO_TOOLS)
    path, obstacle = find_place(wish.at, messages, rules)
    if path is None or obstacle == _NO_RESULTS:
        return _Place(None, obstacle or _NO_BLOCK)
    if rules.style == "parts" and _BREAKPOINT in _part_at(path, messages):
        return _Place(path, _OWN_BREAKPOINT)
    if path[: len(wish.at)] == wish.at:  # the block itself, or the last one of the message
        return _Place(path)
    return _Place(path, _WHOLE_RESULT if wish.at[: len(path)] == path else obstacle or _NO_BLOCK)


def _place_automatic(
    wish: Wish, messages: Sequence[Message], rules: CacheRules, marks: Mapping[Path, _Mark]
) -> _Place:
    if rules.automatic == "none" or not messages:
        return _Place(None, _NO_AUTOMATIC)
    last, _ = find_place(("messages", len(messages) - 1), messages, rules)
    if rules.automatic == "explicit":
        return _Place(last, _LAST_BLOCK if last else _NO_BLOCK)
    explicit = marks.get(last) if last else None
    if explicit is None:
        return _Place(())
    same = _rank(explicit.ttl, rules) == _rank(_lifetime(wish.ttl, rules), rules)
    return _Place(last, _MERGED) if same else _Place(None, _TAKEN)


def _part_at(path: Path, messages: Sequence[Message]) -> Message:
    message = messages[int(path[1])]
    return message["content"][int(path[3])] if len(path) > 3 else {}


def _add(marks: dict[Path, _Mark], path: Path, ttl: str | None, rules: CacheRules) -> None:
    mark = marks.setdefault(path, _Mark(path, ttl))
    if _rank(ttl, rules) > _rank(mark.ttl, rules):
        mark.ttl = ttl


def _lifetime(ttl: str | None, rules: CacheRules) -> str | None:
    return ttl if ttl is None or ttl in rules.ttls else rules.other_ttl


def _rank(ttl: str | None, rules: CacheRules) -> int:
    return _RANKS.get(ttl or _DEFAULTS.get(rules.style, "5m"), 0)


def _order(path: Path) -> tuple[int, ...]:
    """Tools come before the messages; within a message the content before the calls; the whole request last."""
    if not path:
        return (2,)
    if path[0] == "tools":
        return (0, int(path[1]))
    index, *within = path[1:]
    if not within:
        return (1, int(index), 2)
    return (1, int(index), 0 if within[0] == "content" else 1, int(within[1]))


def _limit(marks: Sequence[_Mark], messages: Sequence[Message], rules: CacheRules) -> None:
    """Call off what the model has no room for; *marks* are in the order of the prompt."""
    if len(marks) <= rules.max_marks:
        return
    leading = _count_leading(messages)
    groups: tuple[list[_Mark], ...] = ([], [], [])
    for mark in reversed(marks):
        path = mark.path
        group = 2 if not path else 0 if path[0] == "tools" else 1 if int(path[1]) < leading else 2
        groups[group].append(mark)
    latest = [group[0] for group in groups if group]
    others = [mark for group in groups for mark in group[1:]]
    for mark in [*latest, *others][rules.max_marks :]:
        mark.surplus = True


def _count_leading(messages: Sequence[Message]) -> int:
    return next(
        (index for index, message in enumerate(messages) if message.get("role") not in SYSTEM), len(messages)
    )


def _prolong(marks: Sequence[_Mark], rules: CacheRules) -> None:
    longest: str | None = None
    for mark in reversed(marks):
        if longest is not None and _rank(longest, rules) > _rank(mark.ttl, rules):
            mark.ttl, mark.prolonged = longest, True
        longest = mark.ttl or longest


def _note(
    wish: Wish, place: _Place, marks: Mapping[Path, _Mark], seen: set[Path], rules: CacheRules
) -> CacheNote:
    """What became of *wish*; *seen* are the blocks whose first mark has its note already."""
    if place.path is None:
        return CacheNote(path=wish.source, action="dropped", reason=place.reason)
    mark = marks.get(place.path)
    if mark is None:  # the caller's own breakpoint stands there
        return CacheNote(path=wish.source, action="sent", sent_to=path_text(place.path), reason=place.reason)
    if mark.surplus:
        reason = (
            f"over the limit of {rules.max_marks} marks; tools, system and the latest messages keep theirs"
        )
        return CacheNote(path=wish.source, action="dropped", reason=reason)
    asked = _lifetime(wish.ttl, rules)
    reasons = [wish.remark, place.reason]
    if place.reason != _MERGED and (
        place.path in seen or (not mark.prolonged and _effective(mark.ttl, rules) != _effective(asked, rules))
    ):
        reasons.append(_MERGED)
    seen.add(place.path)
    if wish.ttl is not None and _effective(asked, rules) != wish.ttl:
        reasons.append(f"this model has no lifetime {wish.ttl!r}")
    if mark.prolonged and _rank(mark.ttl, rules) > _rank(asked, rules):
        reasons.append(_LONGER_LATER)
    changed = bool(wish.remark) or _effective(mark.ttl, rules) != (wish.ttl or _effective(None, rules))
    moved = place.reason not in ("", _MERGED)
    return CacheNote(
        path=wish.source,
        action="moved" if moved else "changed" if changed else "sent",
        sent_to=path_text(place.path),
        ttl=mark.ttl,
        reason="; ".join(reason for reason in reasons if reason) or None,
    )


def _effective(ttl: str | None, rules: CacheRules) -> str:
    return ttl or _DEFAULTS.get(rules.style, "5m")
