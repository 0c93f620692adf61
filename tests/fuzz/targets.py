"""What is fuzzed: bytes in, and what must hold of every answer to them.

A target takes any bytes. The first one says how the rest is cut; the same events must come out as when it
comes in one piece, and nothing but an error of ours may be raised.
"""

from __future__ import annotations

from collections.abc import Callable

import orjson

from asynccache.providers.bedrock.frames import Frame, FrameDecoder, FrameError
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


TARGETS: dict[str, Callable[[bytes], None]] = {
    "sse": sse,
    "chat": _answer("openai"),
    "messages": _answer("anthropic"),
    "converse": _answer("converse"),
    "invoke": _answer("invoke"),
    "frames": frames,
    "usage": usage,
}
