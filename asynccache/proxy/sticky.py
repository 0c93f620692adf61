"""Prompts that begin alike go to the deployment that has their beginning cached."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from hashlib import blake2b
from secrets import token_bytes
from typing import TYPE_CHECKING, Any, final

import orjson

from asynccache.shapes import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Sticky", "prefixes"]

MAX_KNOWN = 100_000
_SHORTEST = 1024
"""Bytes of a beginning: no provider caches less than about a thousand tokens."""
_MARK = re.compile(rb',?"(?:cache_control|prompt_cache_breakpoint)":\{[^{}]*\}')
_SYSTEM = frozenset({"system", "developer"})


def prefixes(fields: Mapping[str, Any], key: bytes) -> tuple[bytes, ...]:
    """Keyed digests of a prompt's beginnings, the shortest first: what stays the same, then message by message.

    Cache marks do not count: they move from turn to turn while what they mark stays.
    """
    digest = blake2b(key=key, digest_size=16)
    size = 0
    for name in ("model", "tools", "system"):
        if fields.get(name) is not None:
            size += _add(digest, fields[name])
    found: list[bytes] = []
    messages = fields.get("messages")
    leading = True
    for message in messages if is_array(messages) else ():
        role = message.get("role") if is_object(message) else None
        system = isinstance(role, str) and role in _SYSTEM
        if leading and not system:
            leading = False
            if size >= _SHORTEST:
                found.append(digest.digest())
        size += _add(digest, message)
        if not leading and size >= _SHORTEST:
            found.append(digest.digest())
    return tuple(found)


def _add(digest: Any, value: Any) -> int:
    if is_object(value) and is_array(value.get("content")) and len(value["content"]) == 1:
        part = value["content"][0]
        if is_object(part) and part.get("type") == "text":  # marks turn a text into a list of one
            value = {**value, "content": part.get("text")}
    text = orjson.dumps(value)
    if b'"cache_control":' in text or b'"prompt_cache_breakpoint":' in text:
        text = _MARK.sub(b"", text).replace(b"{,", b"{")
    digest.update(text)
    return len(text)


@final
class Sticky:
    """Remembers for a while which deployment answered which beginning; knows digests only.

    Args:
        seconds: how long a beginning is remembered after it was last seen.
    """

    def __init__(self, seconds: float) -> None:
        self.key = token_bytes(32)
        self._seconds = seconds
        self._known: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    def find(self, beginnings: tuple[bytes, ...]) -> str | None:
        """The id of the deployment that holds the longest of *beginnings*; None where none is known."""
        now = time.monotonic()
        for digest in reversed(beginnings):
            held = self._known.get(digest)
            if held is not None and held[1] > now:
                return held[0]
        return None

    def remember(self, beginnings: tuple[bytes, ...], deployment: str) -> None:
        """*deployment* has answered a prompt with *beginnings*: the shortest and the two longest are kept."""
        until = time.monotonic() + self._seconds
        known = self._known
        for digest in dict.fromkeys((*beginnings[:1], *beginnings[-2:])):
            known[digest] = (deployment, until)
            known.move_to_end(digest)
        while len(known) > MAX_KNOWN:
            known.popitem(last=False)
