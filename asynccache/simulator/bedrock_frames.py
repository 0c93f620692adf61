"""AWS's event stream, the way out: one message framed with its lengths and checksums."""

from __future__ import annotations

import struct
from typing import Any
from zlib import crc32

import orjson

_PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_TEXT = 7  # the header type of a string


def event_frame(name: str, body: dict[str, Any]) -> bytes:
    """An event; its JSON carries padding of a length that changes, as AWS's does."""
    padding = _PADDING[: crc32(orjson.dumps(body)) % len(_PADDING)]
    return _frame(
        {":event-type": name, ":content-type": "application/json", ":message-type": "event"},
        {**body, "p": padding},
    )


def exception_frame(name: str, message: str) -> bytes:
    """An exception: the status stays 200."""
    names = {":exception-type": name, ":content-type": "application/json", ":message-type": "exception"}
    return _frame(names, {"message": message})


def _frame(headers: dict[str, str], body: dict[str, Any]) -> bytes:
    block = b"".join(_header(name, value) for name, value in headers.items())
    payload = orjson.dumps(body)
    lengths = struct.pack(">II", len(block) + len(payload) + 16, len(block))
    checked = lengths + struct.pack(">I", crc32(lengths)) + block + payload
    return checked + struct.pack(">I", crc32(checked))


def _header(name: str, value: str) -> bytes:
    said = value.encode()
    return bytes([len(name)]) + name.encode() + struct.pack(">BH", _TEXT, len(said)) + said
