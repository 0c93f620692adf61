"""JSON that is not quite JSON, mended: an answer goes on where one character of it is wrong."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from asynccache.errors import InvalidResponseError
from asynccache.secret import redact
from asynccache.shapes import is_array, is_object

__all__ = ["excerpt", "loosely", "mended"]

_SURROGATE = re.compile("[\ud800-\udfff]")
_EXCERPT = 200
_EXACT = 2**53  # a float beyond it may be a whole number by accident


def mended(data: bytes, kind: Any, wire: str) -> bytes:
    """*data* as strict JSON of *kind*: invalid UTF-8 and lone surrogates as U+FFFD, ``NaN`` and its like as text.

    ``NaN`` stays visible, so that a usage that holds it is judged invalid instead of ending the stream. A byte
    order mark goes, and ``1.0`` is 1: servers written in languages that know no whole numbers say it so.

    Raises:
        InvalidResponseError: it cannot be read as *kind* even so; the message names *wire*.
    """
    try:
        text = data.decode("utf-8-sig", "replace")
        value = json.loads(text, parse_constant=str, parse_float=_number)
        strict = json.dumps(_without_surrogates(value), ensure_ascii=False, separators=(",", ":")).encode()
        msgspec.json.decode(strict, type=kind)
    except (ValueError, RecursionError) as exc:
        reason = str(exc)
    else:
        return strict
    # Raised out here: json's own error holds the whole text, with any key that it echoes.
    msg = f"the answer is not of {wire} format ({reason}): {excerpt(data)}"
    raise InvalidResponseError(msg)


def loosely(data: bytes) -> Any:
    """*data* as any JSON; None where it is none."""
    try:
        return msgspec.json.decode(data)
    except (ValueError, RecursionError):
        return None


def excerpt(data: bytes) -> str:
    """The first words of an answer, for an error's message: one line, keys hidden."""
    return redact(" ".join(data[: 4 * _EXCERPT].decode("utf-8", "replace").split()))[:_EXCERPT]


def _number(text: str) -> int | float:
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < _EXACT else value


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if is_array(value):
        return [_without_surrogates(item) for item in value]
    if is_object(value):
        return {_without_surrogates(name): _without_surrogates(item) for name, item in value.items()}
    return value
