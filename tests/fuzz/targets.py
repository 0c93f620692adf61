"""What is fuzzed: bytes in, and what must hold of every answer to them.

A target takes any bytes. The first one says how the rest is cut; the same events must come out as when it
comes in one piece, and nothing but an error of ours may be raised.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from math import isfinite
from typing import Any

import orjson

from asynccache.errors import InvalidRequestError
from asynccache.providers.bedrock.frames import Frame, FrameDecoder, FrameError
from asynccache.proxy.bodies import (
    MAX_COMMAS,
    MAX_DEPTH,
    MAX_INT,
    MAX_MESSAGES,
    Body,
    read_body,
    slices,
    spliced,
)
from asynccache.proxy.fields import check_fields
from asynccache.proxy.messages_in import arguments_of
from asynccache.proxy.reserving import prompt_tokens, said_output
from asynccache.proxy.sticky import prefixes
from asynccache.sse import SSEDecoder
from asynccache.usage.fields import DIALECTS
from asynccache.usage.reading import merge_told, read_usage

from ..reliability.test_properties import reference
from ..reliability.transcripts import decoded


def pieces(data: bytes) -> tuple[list[bytes], bytes]:
    """What follows the first byte, in pieces of the length that it says, and whole."""
    step = (data[0] % 16) + 1 if data else 1
    blob = data[1:]
    return [blob[at : at + step] for at in range(0, len(blob), step)], blob


def sse(data: bytes) -> None:
    """The decoder of events against the rules, read aloud."""
    parts, blob = pieces(data)
    decoder, seen = SSEDecoder(), list[tuple[str, bytes]]()
    for part in parts:
        decoder.feed(part, lambda event: seen.append((decoder.event, event)))
    assert seen == reference(blob)


def _answer(wire: str) -> Callable[[bytes], None]:
    def target(data: bytes) -> None:
        parts, blob = pieces(data)
        events, ended = decoded(wire, parts)
        assert (events, ended) == decoded(wire, [blob] if blob else [])
        assert [name for name, _ in events].count("Usage") == 1
        assert events[-1][0] == "Usage"
        decoded(wire, [blob] if blob else [], stream=False)

    return target


def frames(data: bytes) -> None:
    """The decoder of AWS's frames: the same frames however they come, and then the same refusal."""
    parts, blob = pieces(data)

    def read(given: list[bytes]) -> tuple[list[Frame], bool]:
        decoder, seen = FrameDecoder(), list[Frame]()
        try:
            for part in given:
                decoder.feed(part, seen.append)
        except FrameError:
            return seen, True
        return seen, False

    assert read(parts) == read([blob])


def usage(data: bytes) -> None:
    """Any JSON as a usage object of any dialect, twice told: sound counts, or none."""
    dialect = sorted(DIALECTS)[(data[0] if data else 0) % len(DIALECTS)]
    try:
        raw = orjson.loads(data[1:])
    except orjson.JSONDecodeError:
        return
    told = read_usage(merge_told(raw, raw), dialect)
    assert told.source in {"provider", "partial", "missing", "invalid"}
    counts = (told.prompt_tokens, told.completion_tokens, told.cache_read_input_tokens)
    assert all(count is None or 0 <= count <= 10**10 for count in counts)
    if told.source == "provider":
        assert told.total_tokens == told.prompt_tokens + told.completion_tokens  # type: ignore[operator]


def body(data: bytes) -> None:
    """A request's body: taken if and only if every JSON reader takes it for the same object, and then sent so."""
    raw = data[1:]
    try:
        taken = read_body(raw)
    except InvalidRequestError:
        assert not _is_sound(raw)
        return
    assert _is_sound(raw)
    assert taken.fields == json.loads(raw)
    sent = spliced(raw, {"model": b'"another"', "new": b"1"})
    assert read_body(sent).fields == {**taken.fields, "model": "another", "new": 1}
    kept = slices(sent)
    for name, member in slices(raw).items():
        assert name in {"model", "new"} or bytes(kept[name]) == bytes(member)
    _understood(taken, claude=data[0] % 2 == 0)


def _understood(taken: Body, *, claude: bool) -> None:
    """What the routes make of it before anything is sent: sense, or a refusal of ours."""
    prompt_tokens(taken.fields)
    said_output(taken.fields)
    prefixes(taken.fields, b"key")
    try:
        check_fields(taken.fields)
        arguments = arguments_of(taken.fields, claude=claude)
    except InvalidRequestError:
        return
    assert arguments["messages"]


def _is_sound(raw: bytes) -> bool:
    """Whether Python's own reader, told to be strict, finds one object within the limits."""

    def members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError(pairs)
        return found

    try:
        fields = json.loads(raw.decode("utf-8"), object_pairs_hook=members, parse_constant=_no_constant)
        orjson.dumps(fields)  # half of a surrogate pair is no text
    except (ValueError, RecursionError, TypeError):
        return False
    if type(fields) is not dict or raw.count(b",") > MAX_COMMAS or not _is_bounded(fields, 1):
        return False
    messages = fields.get("messages")
    return type(messages) is not list or len(messages) <= MAX_MESSAGES


def _is_bounded(value: Any, depth: int) -> bool:
    if type(value) is int:
        return abs(value) <= MAX_INT
    if type(value) is float:
        return isfinite(value)
    inner = list(value.values()) if type(value) is dict else value if type(value) is list else None
    return inner is None or (depth <= MAX_DEPTH and all(_is_bounded(one, depth + 1) for one in inner))


def _no_constant(word: str) -> Any:
    raise ValueError(word)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "sse": sse,
    "chat": _answer("openai"),
    "messages": _answer("anthropic"),
    "converse": _answer("converse"),
    "invoke": _answer("invoke"),
    "frames": frames,
    "usage": usage,
    "body": body,
}
