"""How many times faster our frame decoder is than botocore's, interleaved in one run.

    python benchmarks/frames.py [rounds]

Both decode the same bytes in the same pieces; the figure is the median over the rounds of CPU time per frame.
Twice: frames alone (EventStreamBuffer), and frames to typed events (with botocore's EventStreamJSONParser).
"""

from __future__ import annotations

import json
import statistics
import struct
import sys
import time
import zlib
from collections import deque

import botocore.parsers
import botocore.session
from botocore.eventstream import EventStreamBuffer

from asynccache.providers.bedrock import provider
from asynccache.providers.bedrock.frames import FrameDecoder
from asynccache.request import Request
from asynccache.stream import Head

FRAMES = 2000


def frame(event: str, payload: dict[str, object]) -> bytes:
    """One ConverseStream message as Bedrock sends it: three string headers, JSON, padding."""
    names = {":event-type": event, ":content-type": "application/json", ":message-type": "event"}
    headers = b"".join(
        struct.pack(">B", len(n)) + n.encode() + struct.pack(">BH", 7, len(v)) + v.encode()
        for n, v in names.items()
    )
    body = json.dumps(payload, separators=(",", ":")).encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(body), len(headers))
    head = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + body
    return head + struct.pack(">I", zlib.crc32(head))


def stream() -> list[bytes]:
    """A long answer: text deltas with padding of changing length."""
    pads = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    return [
        frame(
            "contentBlockDelta",
            {"contentBlockIndex": 0, "delta": {"text": f" word{i}"}, "p": pads[: i * 7 % 60]},
        )
        for i in range(FRAMES)
    ]


def ours(pieces: list[bytes]) -> int:
    """Frames counted by our decoder."""
    seen: deque[object] = deque()
    decoder = FrameDecoder()
    for piece in pieces:
        decoder.feed(piece, seen.append)
    return len(seen)


def botocores(pieces: list[bytes]) -> int:
    """Frames counted by botocore's."""
    seen: deque[object] = deque()
    decoder = EventStreamBuffer()
    for piece in pieces:
        decoder.add_data(piece)
        seen.extend(decoder)
    return len(seen)


HEAD = Head(headers={"content-type": "application/vnd.amazon.eventstream"})
REQUEST = Request(model="bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0", messages=[], stream=True)


def ours_typed(pieces: list[bytes]) -> int:
    """Text deltas counted by our decoder of ConverseStream."""
    seen: deque[object] = deque()
    decoder = provider.decoder(REQUEST, HEAD)
    for piece in pieces:
        decoder.feed(piece, seen.append)
    return len(seen) - 1  # the first says that the answer has begun


def botocores_typed() -> object:
    """The same for botocore, whose parser is made once, as its client makes it."""
    service = botocore.session.get_session().get_service_model("bedrock-runtime")
    shape = service.operation_model("ConverseStream").get_event_stream_output()
    parser = botocore.parsers.EventStreamJSONParser()

    def decode(pieces: list[bytes]) -> int:
        seen: deque[object] = deque()
        decoder = EventStreamBuffer()
        for piece in pieces:
            decoder.add_data(piece)
            for message in decoder:
                seen.append(parser.parse(message.to_response_dict(), shape))
        return len(seen)

    return decode


def timed(decode, pieces: list[bytes]) -> float:
    """CPU microseconds a frame."""
    begin = time.process_time()
    count = decode(pieces)
    took = time.process_time() - begin
    assert count == FRAMES, count
    return took / FRAMES * 1e6


def main() -> None:
    """Print one line per way of cutting."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    frames = stream()
    whole = b"".join(frames)
    cuts = {
        "1 frame a read": frames,
        "16 frames a read": [b"".join(frames[i : i + 16]) for i in range(0, FRAMES, 16)],
        "100 bytes a read": [whole[i : i + 100] for i in range(0, len(whole), 100)],
    }
    pairs = {"frames": (ours, botocores), "typed events": (ours_typed, botocores_typed())}
    for what, (mine, theirs) in pairs.items():
        for name, pieces in cuts.items():
            rows = [(timed(mine, pieces), timed(theirs, pieces)) for _ in range(rounds)]
            a, b = (statistics.median(column) for column in zip(*rows, strict=True))
            print(f"{what:13} {name:17} ours {a:6.2f} µs  botocore {b:6.2f} µs  ratio {b / a:5.1f}")


if __name__ == "__main__":
    main()
