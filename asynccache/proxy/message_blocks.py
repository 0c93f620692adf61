"""Anthropic's format has one block open at a time: pieces of tool calls that come in turns wait for theirs."""

from __future__ import annotations

import re
from typing import Any, TypeAlias, final

import orjson

__all__ = ["Blocks", "Kind", "framed"]

Kind: TypeAlias = tuple[str, int]
"""``text``, ``thinking``, ``redacted`` or ``call``, and which of them."""

_CALL = "call"
_STRUCTURE = re.compile(r'[{}\[\]"\\]')


def framed(name: str, rest: dict[str, Any]) -> bytes:
    """One event of Anthropic's."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps({"type": name, **rest}))


@final
class Blocks:
    """The blocks of one message. A call's block stays open until its arguments are whole JSON; what else comes waits.

    A block that was closed cannot be opened again: a client would take it for another call.
    """

    def __init__(self) -> None:
        self._count = 0
        self._open: _Block | None = None
        self._waiting: list[_Block] = []  # in the order of their beginning
        self._closed: set[Kind] = set()  # calls

    def add(self, kind: Kind, start: dict[str, Any], delta: dict[str, Any] | None = None) -> bytes:
        """The events for *delta* of the block of that *kind*, which begins with *start* where it has not begun."""
        block = self._open
        if block is not None and block.kind == kind:
            said = b"" if delta is None else block.say(delta)
            return said + self._advance() if self._waiting else said
        if kind in self._closed:  # behind whole arguments comes nothing but white space
            return b""
        if block is None or block.is_over():
            return self._end() + self._begin(_Block(kind, start), delta)
        self._keep(kind, start, delta)
        return b""

    def close(self) -> bytes:
        """The message is over: everything that has waited, and the end of the last block."""
        parts = [self._end()]
        for block in self._waiting:
            parts += [self._begin(block), self._end()]
        self._waiting.clear()
        return b"".join(parts)

    def _keep(self, kind: Kind, start: dict[str, Any], delta: dict[str, Any] | None) -> None:
        waiting = self._waiting
        if kind[0] == _CALL:
            block = next((one for one in waiting if one.kind == kind), None)
        else:
            block = waiting[-1] if waiting and waiting[-1].kind == kind else None
        if block is None:
            block = _Block(kind, start)
            waiting.append(block)
        if delta is not None:
            block.deltas.append(delta)

    def _advance(self) -> bytes:
        """Let those who wait have their turn, as far as the calls before them are whole."""
        parts: list[bytes] = []
        while self._waiting and (self._open is None or self._open.is_over()):
            parts += [self._end(), self._begin(self._waiting.pop(0))]
        return b"".join(parts)

    def _begin(self, block: _Block, delta: dict[str, Any] | None = None) -> bytes:
        self._open = block
        block.index = self._count
        self._count += 1
        if delta is not None:
            block.deltas.append(delta)
        deltas, block.deltas = block.deltas, []
        begun = framed("content_block_start", {"index": block.index, "content_block": block.start})
        return b"".join((begun, *(block.say(one) for one in deltas)))

    def _end(self) -> bytes:
        block, self._open = self._open, None
        if block is None:
            return b""
        if block.kind[0] == _CALL:
            self._closed.add(block.kind)
        return framed("content_block_stop", {"index": block.index})


@final
class _Block:
    def __init__(self, kind: Kind, start: dict[str, Any]) -> None:
        self.kind = kind
        self.start = start
        self.index = -1
        self.deltas: list[dict[str, Any]] = []
        """Not said yet."""
        self._unread: list[str] = []  # arguments not looked at: mostly nobody asks whether they are whole
        self._depth = 0
        self._is_text = False  # within a string
        self._is_escaped = False
        self._is_whole = False

    def say(self, delta: dict[str, Any]) -> bytes:
        """The event for *delta*."""
        if self.kind[0] == _CALL:
            self._unread.append(delta["partial_json"])
        return framed("content_block_delta", {"index": self.index, "delta": delta})

    def is_over(self) -> bool:
        """Whether nothing more belongs to it: another text is another block, a call ends with its last bracket."""
        if self.kind[0] != _CALL:
            return True
        text = "".join(self._unread)
        self._unread.clear()
        skipped = 0 if self._is_escaped and text else -1  # the character behind a backslash
        self._is_escaped = self._is_escaped and not text
        for found in _STRUCTURE.finditer(text):
            at, char = found.start(), found.group()
            if at == skipped:
                continue
            if self._is_text:
                self._is_text = char != '"'
                if char == "\\":
                    skipped, self._is_escaped = at + 1, at + 1 == len(text)
            elif char == '"':
                self._is_text = True
            elif char in "{[":
                self._depth += 1
            elif char in "}]":
                self._depth -= 1
                self._is_whole = self._is_whole or self._depth == 0
        return self._is_whole
