"""What Converse sends, as Structs where it comes often; one wrong character spoils no answer."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from asynccache.errors import InvalidResponseError
from asynccache.providers.bedrock.answer import excerpt
from asynccache.providers.mending import mended
from asynccache.shapes import is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["BlockDelta", "Reasoning", "decode_delta", "decode_text", "read_json"]


class _Input(msgspec.Struct, gc=False):
    input: str | None = None


class Reasoning(msgspec.Struct, rename="camel", gc=False):
    """A piece of reasoning."""

    text: str | None = None
    signature: str | None = None
    redacted_content: str | None = None


class _Delta(msgspec.Struct, rename="camel", gc=False):
    text: str | None = None
    tool_use: _Input | None = None
    reasoning_content: Reasoning | None = None
    citation: Any = None


class BlockDelta(msgspec.Struct, rename="camel", gc=False):
    """A ``contentBlockDelta``."""

    content_block_index: int = 0
    delta: _Delta | None = None


class _TextDelta(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    text: str


class _BlockText(msgspec.Struct, rename="camel", kw_only=True, gc=False):
    """A piece of a block's text and no other, which nearly all events are; fields in the order of the wire.

    What it takes, `BlockDelta` reads the same way, only slower.
    """

    content_block_index: int = 0
    delta: _TextDelta


_decode_delta = msgspec.json.Decoder(BlockDelta).decode
decode_text = msgspec.json.Decoder(_BlockText).decode


def read_json(data: bytes) -> Mapping[str, Any]:
    """The JSON object that *data* is, mended where a character of it is wrong.

    Raises:
        InvalidResponseError: it is none.
    """
    told: Any = None
    with suppress(orjson.JSONDecodeError):
        told = orjson.loads(data)
    if told is None:  # not in the handler: the parser's error holds the whole answer
        told = orjson.loads(mended(data, Any, "Bedrock's"))
    if not is_object(told):
        msg = f"the answer holds a {type(told).__name__} where an object was expected: {excerpt(data)}"
        raise InvalidResponseError(msg)
    return told


def decode_delta(payload: bytes) -> BlockDelta:
    """One ``contentBlockDelta``, mended where a character of it is wrong.

    Raises:
        InvalidResponseError: it is none.
    """
    try:
        return _decode_delta(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        return _mended(payload, exc)


def _mended(payload: bytes, error: Exception) -> BlockDelta:
    try:
        return _decode_delta(mended(payload, BlockDelta, "Converse's"))
    except InvalidResponseError:
        msg = f"the answer holds an event that is none of Converse's ({error}): {excerpt(payload)}"
        raise InvalidResponseError(msg) from error
