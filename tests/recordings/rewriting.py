"""The same answer in other bytes: its JSON, its server-sent events and its AWS frames, taken apart and written anew."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import orjson

from ..bedrock.answers import pack, string_header

# Values that are handed on as they are: what a tool is called with, and what was said beside the answer.
OPAQUE = frozenset({"arguments", "citation", "citations", "input", "logprobs", "toolUse"})


class Event(NamedTuple):
    """A server-sent event: its name, where it has one, and its data."""

    name: str
    data: bytes


def compact(value: Any) -> bytes:
    """JSON as most servers write it."""
    return orjson.dumps(value)


def mapped(value: Any, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """*value* with every object in it changed, but for those that are handed on as they are."""
    if isinstance(value, dict):
        within = {name: held if name in OPAQUE else mapped(held, change) for name, held in value.items()}
        return change(within)
    if isinstance(value, list):
        return [mapped(item, change) for item in value]
    return value


def _with_floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: held if name in OPAQUE else _with_floats(held) for name, held in value.items()}
    if isinstance(value, list):
        return [_with_floats(item) for item in value]
    return float(value) if type(value) is int else value


def _with_strangers(holder: dict[str, Any]) -> dict[str, Any]:
    return {"zz_before": {"text": ["no", None]}, **holder, "zz_after": [1, {"index": "x"}], "zz_null": None}


# One JSON document, written in other ways that say the same.
SPELLINGS: dict[str, Callable[[Any], bytes]] = {
    "keys reversed": lambda value: compact(mapped(value, lambda holder: dict(reversed(holder.items())))),
    "keys sorted": lambda value: json.dumps(value, ensure_ascii=False, sort_keys=True).encode(),
    "letters escaped": lambda value: json.dumps(value, ensure_ascii=True).replace("/", "\\/").encode(),
    "letters as they are": compact,
    "spaced": lambda value: json.dumps(value, ensure_ascii=False, separators=(" , ", " : ")).encode(),
    "indented": lambda value: json.dumps(value, ensure_ascii=False, indent=2).encode(),
    "unknown fields": lambda value: compact(mapped(value, _with_strangers)),
    "numbers as floats": lambda value: compact(_with_floats(value)),
    "without nulls": lambda value: compact(
        mapped(value, lambda holder: {name: held for name, held in holder.items() if held is not None})
    ),
}


def events(body: bytes) -> list[Event]:
    """The events of a stream that was recorded: LF, CR LF, no comments of note."""
    found: list[Event] = []
    name, data = "", list[bytes]()
    for line in [*body.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").split(b"\n"), b""]:
        if not line:
            if data:
                found.append(Event(name, b"\n".join(data)))
            name, data = "", []
        elif line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif line.startswith(b"event:"):
            name = line[6:].strip().decode()
    return found


def written(told: list[Event], line_end: bytes = b"\n") -> bytes:
    """Events as a stream; data of several lines in as many fields."""
    parts: list[bytes] = []
    for name, data in told:
        if name:
            parts += [b"event: ", name.encode(), line_end]
        for line in data.split(b"\n"):
            parts += [b"data: ", line, line_end]
        parts.append(line_end)
    return b"".join(parts)


def respelled(told: list[Event], spell: Callable[[Any], bytes]) -> list[Event]:
    """Events with their JSON written anew; what is no JSON stays."""
    return [
        event if event.data == b"[DONE]" else event._replace(data=spell(orjson.loads(event.data)))
        for event in told
    ]


class Frame(NamedTuple):
    """An AWS frame whose headers are strings."""

    headers: list[tuple[str, str]]
    payload: bytes

    @property
    def name(self) -> str:
        return dict(self.headers).get(":event-type", "")


def frames(body: bytes) -> Iterator[Frame]:
    """The frames of a stream that was recorded whole."""
    at = 0
    while at < len(body):
        total, length = struct.unpack(">II", body[at : at + 8])
        headers, payload = body[at + 12 : at + 12 + length], body[at + 12 + length : at + total - 4]
        yield Frame(list(_headers(headers)), payload)
        at += total


def _headers(block: bytes) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(block):
        begin = at + 1 + block[at]
        name = block[at + 1 : begin].decode()
        assert block[begin] == 7
        end = begin + 3 + int.from_bytes(block[begin + 1 : begin + 3])
        yield name, block[begin + 3 : end].decode()
        at = end


def framed(told: list[Frame], before: bytes = b"") -> bytes:
    """Frames as a stream, each with the raw headers *before* its own."""
    return b"".join(
        pack(before + b"".join(string_header(*header) for header in headers), payload)
        for headers, payload in told
    )


def respelled_payload(payload: bytes, spell: Callable[[Any], bytes], *, wrapped: bool) -> bytes:
    """A payload with its JSON written anew; *wrapped* in base64 it is InvokeModel's."""
    value = orjson.loads(payload)
    if not wrapped:
        return spell(value)
    inner = spell(orjson.loads(base64.b64decode(value["bytes"])))
    return compact({**value, "bytes": base64.b64encode(inner).decode()})
