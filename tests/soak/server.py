"""A provider light enough for thousands of streams: bytes made beforehand, one timer a stream, and an exact log.

The path says what is to happen (`/rst/openai/v1/…`: the third part of an answer, then a reset), the prompt's number
is what the answer tells as its prompt's tokens, so that every count can be found again. Says where it listens,
and, when its input ends, what truly went out.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import resource
import socket
import struct
import sys
import time
from collections import Counter
from typing import Any

_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_NUMBER = re.compile(rb"soak-(\d+)")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
FAULTS = ("rst", "clean", "fin_in_chunk", "bad_chunk")


def chunk(*events: Any) -> bytes:
    """Events, each by itself or with its name, as one chunk of a body."""
    text = b""
    for event in events:
        name, body = event if isinstance(event, tuple) else (None, event)
        text += b"" if name is None else f"event: {name}\n".encode()
        text += b"data: " + (body if isinstance(body, bytes) else json.dumps(body).encode()) + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(text), text)


def chat(number: int, events: int) -> tuple[bytes, bytes, bytes]:
    """The first, every middle and the last part of an answer in OpenAI's format."""

    def said(delta: Any, reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        return {"id": "c", "object": "chat.completion.chunk", "created": 7, "model": "m", "choices": [choice]}

    total = number + events
    usage = {"prompt_tokens": number, "completion_tokens": events, "total_tokens": total}
    last = {**said({}), "choices": [], "usage": usage}
    return (
        chunk(said({"role": "assistant", "content": ""})),
        chunk(said({"content": " and on"})),
        chunk(said({}, "stop"), last, b"[DONE]"),
    )


def claude(number: int, events: int) -> tuple[bytes, bytes, bytes]:
    """The same in Anthropic's."""

    def said(name: str, **more: Any) -> tuple[str, dict[str, Any]]:
        return name, {"type": name, **more}

    message = {"id": "m", "type": "message", "role": "assistant", "model": "m", "content": []}
    usage = {"input_tokens": number, "output_tokens": 1}
    text = {"type": "text_delta", "text": " and on"}
    return (
        chunk(
            said("message_start", message={**message, "usage": usage}),
            said("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        ),
        chunk(said("content_block_delta", index=0, delta=text)),
        chunk(
            said("content_block_stop", index=0),
            said("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": events}),
            said("message_stop"),
        ),
    )


class Log:
    """What went out, in all."""

    def __init__(self, events: int, pause: float) -> None:
        self.events = events
        self.pause = pause
        self.attempts = 0
        self.whole = 0
        self.tokens = 0
        """Of the prompts of whole answers: numbers that no two calls share."""
        self.spoiled: Counter[str] = Counter()
        self.left = 0
        """Answers whose caller hung up."""
        self.open = 0
        self.most = 0
        self.connections = 0
        self.late = 0.0
        """The longest that an event was sent after its time: this server's own lag."""

    def told(self) -> dict[str, Any]:
        return {
            "attempts": self.attempts, "whole": self.whole, "tokens": self.tokens, "spoiled": dict(self.spoiled),
            "left": self.left, "open": self.open, "most_at_once": self.most, "connections": self.connections,
            "cpu_s": round(time.process_time(), 2), "late_worst_ms": round(self.late * 1e3, 1),
        }  # fmt: skip


class Provider(asyncio.Protocol):
    """One connection."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._log.connections += 1

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._log.left += 1
            self._log.open -= 1

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        length = _LENGTH.search(self._buffer, 0, end)
        whole = end + 4 + (int(length[1]) if length else 0)
        if len(self._buffer) < whole:
            return
        request, self._buffer = self._buffer[:whole], self._buffer[whole:]
        self._answer(request.split(b" ", 2)[1].decode(), request[end:])

    def _answer(self, path: str, body: bytes) -> None:
        log = self._log
        self._fault = path.split("/")[1]
        found = _NUMBER.search(body)
        assert found is not None
        self._number = int(found[1])
        wire = claude if "anthropic" in path else chat
        first, self._middle, self._last = wire(self._number, log.events)
        self._sent = 0
        self._cut = 2 + self._number % 20
        log.attempts += 1
        log.open += 1
        log.most = max(log.most, log.open)
        self._transport.write(_HEAD + first)
        self._due = self._loop.time() + log.pause
        self._timer = self._loop.call_at(self._due, self._next)

    def _next(self) -> None:
        log = self._log
        now = self._loop.time()
        log.late = max(log.late, now - self._due)
        self._sent += 1
        if self._fault != "whole" and self._sent == self._cut:
            self._spoil()
        elif self._sent < log.events:
            self._transport.write(self._middle)
            self._due = now + log.pause
            self._timer = self._loop.call_at(self._due, self._next)
        else:
            self._timer = None
            log.open -= 1
            log.whole += 1
            log.tokens += self._number
            self._transport.write(self._last + b"0\r\n\r\n")

    def _spoil(self) -> None:
        self._timer = None
        self._log.open -= 1
        self._log.spoiled[self._fault] += 1
        if self._fault == "rst":
            held: socket.socket = self._transport.get_extra_info("socket")
            held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        elif self._fault == "clean":
            self._transport.write(b"0\r\n\r\n")
        elif self._fault == "fin_in_chunk":
            self._transport.write(b"ff\r\ndata: {")
            self._transport.close()
        else:
            self._transport.write(b"zz\r\n")  # and then nothing, on a connection that stays open


async def serve(events: int, pause: float) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    gc.freeze()
    log = Log(events, pause)
    server = await asyncio.get_running_loop().create_server(
        lambda: Provider(log), "127.0.0.1", 0, backlog=4096
    )
    sys.stdout.write(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.sleep(0.2)
    sys.stdout.write(json.dumps(log.told()) + "\n")
    sys.stdout.flush()
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), float(sys.argv[2])))
