"""What Anthropic sends, as Structs: only the fields that are read, decoded in one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import msgspec

from asynccache.providers.in_band import find_error
from asynccache.providers.mending import loosely, mended
from asynccache.shapes import is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    """The message of a ``message_start``; blocks in it are whole, and do not come again."""

    id: str | None = None
    model: str | None = None
    content: list[msgspec.Raw] | None = None
    stop_reason: str | None = None
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


class _TextDelta(msgspec.Struct, tag_field="type", tag="text_delta", forbid_unknown_fields=True, gc=False):
    text: str


@final
class TextEvent(
    msgspec.Struct, tag_field="type", tag="content_block_delta", forbid_unknown_fields=True, gc=False
):
    """A piece of a block's text and nothing else, which nearly all events are: fields in the order of the wire.

    What it takes, `WireEvent` reads the same way, only slower; with any other field it is no such event.
    """

    index: int
    delta: _TextDelta


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


# The types whose fields are read; of any other only the type is.
_EVENTS = frozenset(
    {
        "content_block_delta",
        "content_block_start",
        "content_block_stop",
        "error",
        "message_delta",
        "message_start",
        "message_stop",
        "ping",
    }
)
_DELTAS = frozenset(
    {"citations_delta", "input_json_delta", "signature_delta", "text_delta", "thinking_delta"}
)
_BLOCKS = frozenset({"redacted_thinking", "text", "thinking", "tool_use"})

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
        told = loosely(data)
        if (error := find_error(told)) is not None:
            raise error from exc
        if is_object(told):
            if (unnamed := _unnamed_event(told)) is not None:
                return unnamed
            data = msgspec.json.encode({name: value for name, value in told.items() if value is not None})
        return _event(mended(data, WireEvent, "Anthropic's Messages"))


def _unnamed_event(told: Mapping[str, Any]) -> WireEvent | None:
    """An event, or a delta, of a type that is read nowhere here: its fields may hold anything."""
    kind, delta, index = told.get("type"), told.get("delta"), told.get("index")
    if isinstance(kind, str) and kind not in _EVENTS:
        return WireEvent(type=kind)
    if kind != "content_block_delta" or not is_object(delta) or type(index) is not int:
        return None
    unnamed = delta.get("type")
    if not isinstance(unnamed, str) or unnamed in _DELTAS:
        return None
    return WireEvent(type=kind, index=index, delta=Delta(type=unnamed))


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
        told = loosely(data)
        kind = told.get("type") if is_object(told) else None
        if isinstance(kind, str) and kind not in _BLOCKS:  # its fields may hold anything
            return Block(type=kind)
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
