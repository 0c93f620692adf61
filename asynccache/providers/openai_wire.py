"""What OpenAI's chat format sends, as Structs: only the fields that are read, and none of them trusted."""

from __future__ import annotations

from math import isfinite
from typing import Any, Literal, TypeAlias

import msgspec

from asynccache.shapes import is_array, is_object

__all__ = [
    "Body",
    "Call",
    "Choice",
    "Function",
    "Message",
    "PieceBody",
    "TextBody",
    "custom_call",
    "decode",
    "decode_piece",
    "decode_text",
    "flat_text",
    "text_of",
    "whole_number",
    "without_empties",
]


class Function(msgspec.Struct, gc=False):
    """The function that a call names; none of it is sure to be a string."""

    name: Any = None
    arguments: Any = None


class Call(msgspec.Struct):
    """A tool call, or a fragment of one."""

    index: Any = None
    id: Any = None
    function: Function | None = None
    custom: Any = None


class Message(msgspec.Struct):
    """A delta, or the message of a whole answer."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: list[Call] | None = None
    function_call: Function | None = None
    annotations: Any = None
    audio: Any = None


class Choice(msgspec.Struct):
    """One of the answers, or what is added to it."""

    index: Any = 0
    delta: Message | None = None
    message: Message | None = None
    finish_reason: Any = None
    stop_reason: Any = None  # Mistral's models on Bedrock; elsewhere it stands beside the other
    logprobs: Any = None
    usage: Any = None  # Moonshot's older streams
    error: Any = None  # OpenRouter


class Body(msgspec.Struct):
    """A chunk, or a whole answer."""

    id: Any = None
    model: Any = None
    created: Any = None
    choices: list[Choice] | None = None
    usage: Any = None
    error: Any = None
    service_tier: Any = None
    system_fingerprint: Any = None
    x_groq: Any = None


_Nothing: TypeAlias = Literal[""] | None


class _TextDelta(msgspec.Struct, gc=False):
    """A piece of text and nothing else: the other fields hold nothing, or it is no such event."""

    content: str
    reasoning_content: _Nothing = None
    reasoning: _Nothing = None
    refusal: _Nothing = None
    tool_calls: None = None
    function_call: None = None
    annotations: None = None
    audio: None = None


class _TextChoice(msgspec.Struct, kw_only=True, gc=False):  # in the order of the wire, which decodes faster
    index: int = 0
    delta: _TextDelta
    logprobs: None = None
    finish_reason: None = None
    usage: None = None
    error: None = None


class TextBody(msgspec.Struct, gc=False):
    """A chunk with a piece of text and nothing else; one choice is for who reads it to check."""

    choices: list[_TextChoice]
    usage: None = None
    error: None = None
    x_groq: None = None


class _Arguments(msgspec.Struct, gc=False):
    arguments: str
    name: _Nothing = None


class _Piece(msgspec.Struct, kw_only=True, gc=False):
    index: int
    id: _Nothing = None
    function: _Arguments
    custom: None = None


class _PieceDelta(msgspec.Struct, gc=False):
    tool_calls: list[_Piece]
    content: _Nothing = None
    reasoning_content: _Nothing = None
    reasoning: _Nothing = None
    refusal: _Nothing = None
    function_call: None = None
    annotations: None = None
    audio: None = None


class _PieceChoice(msgspec.Struct, kw_only=True, gc=False):
    index: int = 0
    delta: _PieceDelta
    logprobs: None = None
    finish_reason: None = None
    usage: None = None
    error: None = None


class PieceBody(msgspec.Struct, gc=False):
    """A chunk with pieces of calls' arguments and nothing else; that it is one piece is for who reads it to check."""

    choices: list[_PieceChoice]
    usage: None = None
    error: None = None
    x_groq: None = None


decode = msgspec.json.Decoder(Body).decode
decode_text = msgspec.json.Decoder(TextBody).decode
decode_piece = msgspec.json.Decoder(PieceBody).decode


def custom_call(custom: Any) -> dict[str, Any]:
    """A call of a custom tool, in the words of a function."""
    return {"name": custom.get("name"), "arguments": custom.get("input")} if is_object(custom) else {}


def text_of(value: Any) -> str:
    """*value* as text, whatever it is."""
    return value if isinstance(value, str) else "" if value is None else str(value)


def whole_number(value: Any) -> int:
    """*value* where it is a number, its fraction cut off; else 0."""
    if type(value) is int:
        return value
    return int(value) if type(value) is float and isfinite(value) else 0


# Where an object, or a list of objects, belongs. PHP and Lua do not tell an empty one from an empty list.
_HOLDERS = frozenset({"choices", "delta", "function", "function_call", "message", "tool_calls"})


def without_empties(value: Any) -> Any:
    """*value* with null where something empty of another kind stands for no object, and no null among objects."""
    if is_array(value):
        return [without_empties(item) for item in value if item is not None]
    if is_object(value):
        return {
            name: None if name in _HOLDERS and not held else without_empties(held)
            for name, held in value.items()
        }
    return value


def flat_text(value: Any) -> str:
    """All text in parts of parts."""
    if is_array(value):
        return "".join(flat_text(item.get("text") if is_object(item) else item) for item in value)
    return text_of(value)
