"""A conversation in OpenAI's shape to Anthropic's: the system prompt, the turns, the cache marks in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, final

from asynccache.errors import InvalidRequestError
from asynccache.looks import find_others
from asynccache.providers.anthropic.content import Block, part_block, with_mark
from asynccache.providers.anthropic.tools import call_block, call_id
from asynccache.request import Mark, Path, path_text
from asynccache.shapes import is_array, is_object

__all__ = ["Marks", "system_and_messages"]

Control: TypeAlias = Mapping[str, str]

_THINKING = frozenset({"thinking", "redacted_thinking"})
_SYSTEM = frozenset({"system", "developer"})


@final
class Marks:
    """The cache marks of a request by the place they stand at; each is to be taken once."""

    def __init__(self, marks: Sequence[Mark]) -> None:
        self._left: dict[Path, Control] = {}
        self.positions: set[int] = set()
        """Of the messages that anything is marked in."""
        for mark in marks:
            control = {"type": "ephemeral"} if mark.ttl is None else {"type": "ephemeral", "ttl": mark.ttl}
            self._left[mark.path] = control
            if len(mark.path) > 1 and isinstance(mark.path[1], int) and mark.path[0] == "messages":
                self.positions.add(mark.path[1])

    def take(self, *path: str | int) -> Control | None:
        """The mark at *path*, None where there is none."""
        return self._left.pop(path, None) if self._left else None

    def take_any(self, *path: str | int) -> Control | None:
        """The mark at *path*, or the last one beneath it."""
        control = None
        for place in [place for place in self._left if place[: len(path)] == path]:
            control = self._left.pop(place)
        return control

    def check_all_taken(self) -> None:
        """Refuse marks at places that do not exist, or that take none.

        Raises:
            InvalidRequestError: there is one.
        """
        for path in self._left:
            msg = f"no cache mark can stand at {path_text(path)}"
            raise InvalidRequestError(msg)


def system_and_messages(
    messages: Sequence[Mapping[str, Any]], marks: Marks
) -> tuple[str | list[Block] | None, list[Block]]:
    """The system prompt, which is what the leading system messages say, and all other messages.

    Raises:
        InvalidRequestError: a message that Anthropic's format cannot say.
    """
    first = next(
        (place for place, message in enumerate(messages) if message["role"] not in _SYSTEM), len(messages)
    )
    system: list[Block] = []
    for position in range(first):
        system.extend(_text(messages[position], position, marks))
    turns = _Turns()
    others = {*find_others(messages), *marks.positions}
    begin = first
    for position in sorted(place for place in others if first <= place < len(messages)):
        turns.plain(messages[begin:position])
        begin = position + 1
        message = messages[position]
        role = message["role"]
        if role == "user":
            turns.user(_unmarked_text(message, position, marks) or _user(message, position, marks))
        elif role == "assistant":
            turns.add(
                "assistant", _unmarked_text(message, position, marks) or _assistant(message, position, marks)
            )
        elif role == "tool":
            turns.result(_result(message, position, marks))
        elif role in _SYSTEM:
            turns.add(
                "system", _unmarked_text(message, position, marks) or _content(message, position, marks)
            )
        else:
            msg = f"messages[{position}].role={role!r} has no place in Anthropic's format; use 'tool' with a tool_call_id"
            raise InvalidRequestError(msg)
    turns.plain(messages[begin:])
    if len(system) == 1 and len(system[0]) == 2:  # a type and a text
        return system[0]["text"], turns.messages
    return system or None, turns.messages


@final
class _Turns:
    """The messages as they line up: all results of one turn in one user message, results first."""

    def __init__(self) -> None:
        self.messages: list[Block] = []
        self._answering: list[Block] | None = None  # the content of a user message that began with results
        self._results = 0

    def add(self, role: str, content: str | list[Block]) -> None:
        """A message of its own; one that says nothing is left out, for Anthropic refuses it."""
        self._answering = None
        if content:
            self.messages.append({"role": role, "content": content})

    def plain(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Messages that are what they are on the wire: a role and a text."""
        begin = 0
        while self._answering is not None and begin < len(messages):
            if messages[begin]["role"] != "user":
                self._answering = None
            else:
                self.user(messages[begin]["content"])
                begin += 1
        self.messages.extend(messages[begin:] if begin else messages)

    def user(self, content: str | list[Block]) -> None:
        """What the user says: directly after results, in one message with them."""
        if self._answering is None:
            self.add("user", content)
        elif isinstance(content, str):
            self._answering.append({"type": "text", "text": content})
        else:
            self._answering.extend(content)

    def result(self, block: Block) -> None:
        """The result of a call."""
        if self._answering is None:
            self._answering = []
            self._results = 0
            self.messages.append({"role": "user", "content": self._answering})
        self._answering.insert(self._results, block)
        self._results += 1


def _unmarked_text(message: Mapping[str, Any], position: int, marks: Marks) -> str | None:
    """The content of a message that is one unmarked text, as it is."""
    content = message.get("content")
    if type(content) is not str or position in marks.positions:
        return None
    if message["role"] == "assistant" and any(message.get(name) for name in _BEYOND_TEXT):
        return None
    return content


_BEYOND_TEXT = ("tool_calls", "thinking_blocks", "provider_blocks", "function_call")


def _user(message: Mapping[str, Any], position: int, marks: Marks) -> list[Block]:
    blocks = _content(message, position, marks)
    if not blocks:
        msg = f"messages[{position}].content is empty; Anthropic takes no message without text"
        raise InvalidRequestError(msg)
    return blocks


def _text(message: Mapping[str, Any], position: int, marks: Marks) -> list[Block]:
    """A system message's content: text alone."""
    blocks = _content(message, position, marks)
    for block in blocks:
        if block.get("type") != "text":
            msg = (
                f"messages[{position}].content holds a {block.get('type')!r}; a system message is text alone"
            )
            raise InvalidRequestError(msg)
    return blocks


def _content(message: Mapping[str, Any], position: int, marks: Marks) -> list[Block]:
    """A message's content as blocks; a mark on the whole of it stands on the last block that takes one."""
    return _mark_last(_parts(message, position, marks), lambda: marks.take("messages", position))


def _parts(message: Mapping[str, Any], position: int, marks: Marks) -> list[Block]:
    """A message's content as blocks, with the marks on its parts."""
    content = message.get("content")
    blocks: list[Block] = []
    if isinstance(content, str):
        if content:
            control = marks.take("messages", position, "content", 0)
            blocks.append(with_mark({"type": "text", "text": content}, control))
    elif is_array(content):
        for number, part in enumerate(content):
            block = part_block(part, ("messages", position, "content", number))
            if block is not None:
                blocks.append(with_mark(block, marks.take("messages", position, "content", number)))
    return blocks


def _mark_last(blocks: list[Block], take: Callable[[], Control | None]) -> list[Block]:
    """*blocks* with a mark on the last one that takes one; it is not taken where there is none."""
    for place in range(len(blocks) - 1, -1, -1):
        if blocks[place].get("type") not in _THINKING:
            if (control := take()) is not None:
                blocks[place] = with_mark(blocks[place], control)
            break
    return blocks


def _assistant(message: Mapping[str, Any], position: int, marks: Marks) -> list[Block]:
    own = message.get("provider_blocks")
    if (
        is_array(own)
        and own
        and all(is_object(block) and isinstance(block.get("type"), str) for block in own)
    ):
        return _own_blocks(own, position, marks)
    if message.get("function_call"):
        msg = f"messages[{position}].function_call has no place in Anthropic's format; use tool_calls"
        raise InvalidRequestError(msg)
    blocks = _parts(message, position, marks)
    if not blocks and message.get("refusal"):
        blocks.append({"type": "text", "text": message["refusal"]})
    if not blocks and message.get("audio"):
        msg = (
            f"messages[{position}].audio has no place in Anthropic's format; write its transcript as content"
        )
        raise InvalidRequestError(msg)
    thinking = message.get("thinking_blocks")
    if is_array(thinking) and not any(block.get("type") in _THINKING for block in blocks):
        blocks = [*thinking, *blocks]
    for number, call in enumerate(message.get("tool_calls") or ()):
        path = ("messages", position, "tool_calls", number)
        blocks.append(with_mark(call_block(call, path), marks.take(*path)))
    return _mark_last(blocks, lambda: marks.take("messages", position))


def _own_blocks(own: Sequence[Block], position: int, marks: Marks) -> list[Block]:
    """An earlier answer of Anthropic's own, as it came; marks on its calls stand on them, others on its end."""
    blocks = list(own)
    if position not in marks.positions:
        return blocks
    calls = (place for place, block in enumerate(blocks) if block["type"] == "tool_use")
    for number, place in enumerate(calls):
        blocks[place] = with_mark(blocks[place], marks.take("messages", position, "tool_calls", number))
    return _mark_last(blocks, lambda: marks.take_any("messages", position))


def _result(message: Mapping[str, Any], position: int, marks: Marks) -> Block:
    """A call's result; a mark anywhere in it stands on the result itself."""
    block: dict[str, Any] = {
        "type": "tool_result",
        "tool_use_id": call_id(message.get("tool_call_id"), ("messages", position, "tool_call_id")),
    }
    control = marks.take_any("messages", position) if position in marks.positions else None
    content = message.get("content")
    if is_array(content):
        content = _parts(message, position, marks)
    if content:
        block["content"] = content
    if message.get("is_error"):
        block["is_error"] = True
    return with_mark(block, control)
