"""What Anthropic sends, as Structs: only the fields that are read, decoded in one pass."""

from __future__ import annotations

from typing import Any, final

import msgspec

from asynccache.providers.in_band import find_error
from asynccache.providers.mending import loosely, mended

__all__ = [
    "Answer",
    "Block",
    "Delta",
    "StartedMessage",
    "TextEvent",
    "WireEvent",
    "decode_text",
    "is_truncated",
    "parse_answer",
    "parse_block",
    "parse_event",
    "parse_value",
    "text_or_none",
]


@final
class Delta(msgspec.Struct, gc=False):
    """What a ``content_block_delta`` or a ``message_delta`` adds."""

    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    signature: str | None = None
    stop_reason: str | None = None
    citation: Any = None


@final
class StartedMessage(msgspec.Struct, gc=False):
    """The message of a ``message_start``."""

    id: str | None = None
    model: str | None = None
    usage: Any = None


@final
class WireEvent(msgspec.Struct, gc=False):
    """Any event of a stream: flat, because one Struct decodes faster than a choice of them."""

    type: str | None = None
    index: int = -1
    delta: Delta | None = None
    content_block: msgspec.Raw = msgspec.Raw()
    message: StartedMessage | None = None
    usage: Any = None
    error: Any = None
    request_id: Any = None


class _TextDelta(msgspec.Struct, tag_field="type", tag="text_delta", gc=False):
    """A piece of text and nothing else: the other fields hold nothing, or it is no such event."""

    text: str
    thinking: None = None
    partial_json: None = None
    signature: None = None
    stop_reason: None = None


@final
class TextEvent(msgspec.Struct, tag_field="type", tag="content_block_delta", gc=False):
    """A piece of a block's text, which nearly all events are: `WireEvent` reads it the same way, only slower."""

    delta: _TextDelta
    index: int = -1
    message: None = None
    error: None = None


@final
class Block(msgspec.Struct, gc=False):
    """A content block, as it stands in a ``content_block_start`` or in a whole answer."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = msgspec.Raw()
    citations: list[Any] | None = None
    caller: Any = None


@final
class Answer(msgspec.Struct, gc=False):
    """The one JSON body of an answer that is not streamed."""

    type: str | None = None
    id: str | None = None
    model: str | None = None
    content: list[msgspec.Raw] | None = None
    stop_reason: str | None = None
    usage: Any = None
    error: Any = None
    request_id: Any = None


decode_text = msgspec.json.Decoder(TextEvent).decode
_event = msgspec.json.Decoder(WireEvent).decode
_answer = msgspec.json.Decoder(Answer).decode
_block = msgspec.json.Decoder(Block).decode


def parse_event(data: bytes) -> WireEvent:
    """One event's JSON.

    Raises:
        APIStatusError: it is an error in the words of another format.
        InvalidResponseError: it is not one.
    """
    try:
        return _event(data)
    except (ValueError, RecursionError) as exc:
        if (error := find_error(loosely(data))) is not None:
            raise error from exc
        return _event(mended(data, WireEvent, "Anthropic's Messages"))


def parse_answer(data: bytes) -> Answer:
    """A whole answer's JSON.

    Raises:
        InvalidResponseError: it is not one.
    """
    try:
        return _answer(data)
    except (ValueError, RecursionError):
        return _answer(mended(data, Answer, "Anthropic's Messages"))


def parse_block(data: bytes) -> Block:
    """One content block's JSON.

    Raises:
        InvalidResponseError: it is not one.
    """
    try:
        return _block(data)
    except (ValueError, RecursionError):
        return _block(mended(data, Block, "Anthropic's Messages"))


def parse_value(data: bytes) -> Any:
    """Any JSON, as plain dicts and lists.

    Raises:
        InvalidResponseError: it is not JSON.
    """
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return msgspec.json.decode(mended(data, Any, "Anthropic's Messages"))


def is_truncated(data: bytes) -> bool:
    """Whether *data* is the beginning of JSON whose end is missing."""
    try:
        msgspec.json.decode(data.decode("utf-8", "replace"))
    except msgspec.DecodeError as exc:
        return "truncated" in str(exc)
    except RecursionError:
        return False
    return False


def text_or_none(value: Any) -> str | None:
    """*value* where it is a string."""
    return value if isinstance(value, str) else None
