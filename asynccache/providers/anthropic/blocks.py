"""The blocks of one answer as they grow, and whether OpenAI's shape can say them."""

from __future__ import annotations

from typing import Any, final

import orjson

from asynccache.providers.anthropic.wire import Block, parse_block, parse_value
from asynccache.shapes import is_object

__all__ = ["BlockLog", "OpenBlock"]

# The order that OpenAI's message can say: reasoning, then text, then calls of the caller's tools.
_RANK = {"thinking": 0, "redacted_thinking": 0, "text": 1, "tool_use": 2}


@final
class OpenBlock:
    """One content block and the pieces that came for it; joined once, when it is asked for."""

    __slots__ = (
        "_extra",
        "_raw",
        "block",
        "call",
        "citations",
        "index",
        "input",
        "signature",
        "stopped",
        "text",
    )

    def __init__(self, index: int, raw: bytes, block: Block, call: int) -> None:
        self._raw = raw
        self.index = index
        self.block = block
        self.call = call  # among the caller's tool calls; -1 for any other block
        self.text: list[str] = []  # of text or thinking
        self.input: list[str] = []
        self.signature: str | None = None
        self.citations: list[Any] = []
        self.stopped = False
        self._extra: dict[str, list[Any]] = {}

    @property
    def first_input(self) -> str:
        """A call's arguments as its first event holds them, to the letter; ``{}`` where it has none."""
        text = bytes(self.block.input).decode("utf-8", "replace")
        return "{}" if text in {"", "null"} else text

    def add_unnamed(self, data: bytes) -> None:
        """A delta that this version has no name for: its texts are joined, of all else the last holds."""
        for name, piece in parse_value(data)["delta"].items():
            if name != "type":
                self._extra.setdefault(name, []).append(piece)

    def whole(self) -> dict[str, Any]:
        """The block as it would stand in an answer that is not streamed."""
        whole: dict[str, Any] = parse_value(self._raw)
        if self.text:
            field = "thinking" if self.block.type == "thinking" else "text"
            whole[field] = (whole.get(field) or "") + "".join(self.text)
        if self.signature is not None:
            whole["signature"] = self.signature
        if self.input:
            whole["input"] = _input("".join(self.input))
        if self.citations:
            whole["citations"] = [*(whole.get("citations") or ()), *self.citations]
        for name, pieces in self._extra.items():
            texts = [piece for piece in pieces if isinstance(piece, str)]
            whole[name] = "".join(texts) if len(texts) == len(pieces) else pieces[-1]
        return whole


def _input(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:  # cut by max_tokens: kept as text rather than guessed
        return text


@final
class BlockLog:
    """Every block of an answer, in the order of its position."""

    __slots__ = ("_calls", "_plain", "_rank", "open")

    def __init__(self) -> None:
        self.open: dict[int, OpenBlock] = {}
        self._calls = 0
        self._rank = 0
        self._plain = True

    def start(self, index: int, raw: bytes) -> OpenBlock:
        """A new block at *index*; *raw* is its JSON."""
        block = parse_block(raw)
        call = -1
        if block.type == "tool_use":
            call = self._calls
            self._calls += 1
        opened = self.open[index] = OpenBlock(index, raw, block, call)
        self._judge(block)
        return opened

    @property
    def has_calls(self) -> bool:
        """Whether the model calls a tool of the caller's."""
        return self._calls > 0

    def cite(self, opened: OpenBlock, citation: Any) -> None:
        """A source for the text of a block: text with sources is more than OpenAI's shape says."""
        opened.citations.append(citation)
        self._plain = False

    def provider_blocks(self) -> list[dict[str, Any]] | None:
        """The whole answer in blocks; None when reasoning, text and calls, in that order, say it all."""
        if self._plain:
            return None
        return [self.open[index].whole() for index in sorted(self.open)]

    def _judge(self, block: Block) -> None:
        rank = _RANK.get(block.type, -1)
        caller = block.caller
        direct = caller is None or (is_object(caller) and caller.get("type") == "direct")
        if rank < self._rank or not direct or block.citations:
            self._plain = False
        self._rank = max(rank, self._rank)
