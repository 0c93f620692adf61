"""A request's body is checked before anything is done with it, and what was checked is what is sent."""

from __future__ import annotations

import re
from typing import Any, final

import msgspec
import orjson

from asynccache.errors import InvalidRequestError
from asynccache.shapes import is_object

__all__ = ["MAX_DEPTH", "Body", "read_body", "slices", "spliced"]

MAX_DEPTH = 64
MAX_INT = 2**53
"""The largest whole number that every JSON reader takes for the same one."""
MAX_MESSAGES = 4096
MAX_COMMAS = 400_000
"""An honest 16 MiB is text or pictures; a body of nothing but small values costs time to read."""

_LONG = re.compile(rb"\d{16}")
_LONG_INTS = re.compile(rb"(?<![\d.eE+])-?\d{16,}(?![\d.eE])")
_KEY = re.compile(rb'[ \t\n\r]*"(?:[^"\\]|\\.)*"[ \t\n\r]*:[ \t\n\r]*')
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")

_slices = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


@final
class Body(msgspec.Struct, frozen=True):
    """One JSON object: as it came, and decoded."""

    raw: bytes
    fields: dict[str, Any]

    def says(self, *names: bytes) -> bool:
        """Whether any of *names* may be a key somewhere in it; a text may deceive."""
        find = self.raw.find  # not `in`: CPython 3.11 tries a number first, and makes an error of it
        for name in names:  # noqa: SIM110 - a generator costs as much as the search
            if find(name) >= 0:
                return True
        return False


def read_body(raw: bytes) -> Body:
    """The object in *raw*.

    Raises:
        InvalidRequestError: it is no JSON object, or two readers could take it for two different ones: keys
            that stand twice, numbers beyond 2^53, NaN, invalid UTF-8, nesting deeper than 64.
    """
    if raw.count(b",") > MAX_COMMAS:
        msg = f"the body holds more than {MAX_COMMAS} values"
        raise InvalidRequestError(msg)
    try:
        fields: Any = orjson.loads(raw)
    except orjson.JSONDecodeError as exc:
        msg = f"the body is not JSON: {exc}"
        raise InvalidRequestError(msg) from exc
    if not is_object(fields):
        msg = f"the body is a JSON {type(fields).__name__}; it must be an object"
        raise InvalidRequestError(msg)
    bare = _bare(raw)
    _check_depth(bare)
    for found in _LONG_INTS.finditer(bare) if _LONG.search(bare) else ():
        if abs(int(found.group())) > MAX_INT:
            msg = f"the body holds a number beyond 2^53, {found.group()[:24].decode()}; send it as a string"
            raise InvalidRequestError(msg)
    again = orjson.dumps(fields)
    if again != raw and _bare(again).count(b":") != bare.count(b":"):
        msg = "the body holds an object with the same key twice"
        raise InvalidRequestError(msg)
    messages = fields.get("messages")
    if isinstance(messages, list) and len(messages) > MAX_MESSAGES:  # pyright: ignore[reportUnknownArgumentType]
        msg = f"messages holds more than {MAX_MESSAGES} messages"
        raise InvalidRequestError(msg)
    return Body(raw, dict(fields))


def _bare(raw: bytes) -> bytes:
    """Valid JSON without its strings: what is left is brackets, colons, commas, numbers and words."""
    plain = raw.replace(b"\\\\", b"").replace(b'\\"', b"") if raw.find(b"\\") >= 0 else raw
    return b"".join(plain.split(b'"')[::2])


def _check_depth(bare: bytes) -> None:
    """Each round takes the innermost brackets away; what is left after the last one is too deep."""
    brackets = bare.translate(None, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        if not brackets:
            return
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
    if brackets:
        msg = f"the body is nested deeper than {MAX_DEPTH} levels"
        raise InvalidRequestError(msg)


def slices(raw: bytes) -> dict[str, msgspec.Raw]:
    """The members of the object in *raw*, each as the bytes that it was."""
    return _slices(raw)


def spliced(raw: bytes, changes: dict[str, bytes]) -> bytes:
    """The object in *raw* with some members' values replaced, or members added at its end; no other byte changes."""
    members = _slices(raw)
    wanted = changes.keys() & members.keys()
    parts: list[bytes] = []
    copied, at = 0, raw.find(b"{") + 1
    for name, value in members.items():  # in their order, each behind its key and colon
        if not wanted:
            break
        key = _KEY.match(raw, at)
        begin = at if key is None else key.end()
        end = begin + len(value)
        if name in wanted:
            wanted.discard(name)
            parts += (raw[copied:begin], changes[name])
            copied = end
        at = raw.find(b",", end) + 1
    added = [orjson.dumps(name) + b":" + value for name, value in changes.items() if name not in members]
    if added:
        close = raw.rfind(b"}")
        parts += (raw[copied:close], b"," if members else b"", b",".join(added))
        copied = close
    parts.append(raw[copied:])
    return b"".join(parts)
