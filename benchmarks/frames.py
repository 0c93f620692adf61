"""How many times faster our frame decoder is than botocore's, interleaved in one run.

    python benchmarks/frames.py [rounds]

Both decode the same bytes in the same pieces; the figure is the median over the rounds of CPU time per frame.
"""

from __future__ import annotations

import json
import statistics
import struct
import sys
import time
import zlib
from collections import deque

from botocore.eventstream import EventStreamBuffer

from asynccache.providers.bedrock.frames import FrameDecoder

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
    for name, pieces in cuts.items():
        mine: list[float] = []
        theirs: list[float] = []
        for _ in range(rounds):
            mine.append(timed(ours, pieces))
            theirs.append(timed(botocores, pieces))
        a, b = statistics.median(mine), statistics.median(theirs)
        print(f"{name:18} ours {a:6.2f} µs  botocore {b:6.2f} µs  ratio {b / a:5.1f}")


if __name__ == "__main__":
    main()
