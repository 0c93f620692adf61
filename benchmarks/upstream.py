"""A provider much faster than any client: pre-built bytes from a process of its own.

``python -m benchmarks.upstream`` prints its port and serves until its standard input ends. The path
says what is wanted: ``/<wire>/<chunks>/<events per write>/<pause>/…``. Each write is one HTTP chunk; of ``16x1``
events each is an HTTP chunk of its own, and 16 of them go into a write. A pause in microseconds lets every write
arrive as a read of its own; without one the kernel may join them. A request that does not ask for a stream is
answered in one body.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import time

from benchmarks.wires import STREAM_TYPE, WHOLE, writes

_OK = b"HTTP/1.1 200 OK\r\n"
_SLEEP = 1e-3  # seconds below which a pause is spun away: no timer is as fine


class Upstream(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._buffer = b""
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, _exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end]
            at = head.lower().find(b"content-length:")
            length = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            body = self._buffer[end + 4 : end + 4 + length]
            self._buffer = self._buffer[end + 4 + length :]
            self._answer(head.split(b" ", 2)[1].decode(), body)

    def _answer(self, path: str, body: bytes) -> None:
        _, wire, chunks, per_write, pause, *_ = path.split("/")
        if path.endswith("converse-stream") or b'"stream":true' in body.replace(b" ", b""):
            kind = STREAM_TYPE.get(wire, b"text/event-stream")
            self._transport.write(_OK + b"content-type: %b\r\ntransfer-encoding: chunked\r\n\r\n" % kind)
            parts = writes(wire, int(chunks), per_write)
            if pause == "0":
                for part in parts:
                    self._transport.write(part)
                self._transport.write(b"0\r\n\r\n")
            else:
                self._task = asyncio.create_task(self._pace(parts, int(pause) / 1e6))
        else:
            whole = WHOLE[wire]
            header = b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(whole)
            self._transport.write(_OK + header + whole)

    async def _pace(self, parts: list[bytes], pause: float) -> None:
        due = time.perf_counter()
        for part in parts:
            self._transport.write(part)
            due = max(due + pause, time.perf_counter())
            if pause >= _SLEEP:
                await asyncio.sleep(pause)
            while time.perf_counter() < due:  # noqa: ASYNC110 - see _SLEEP
                await asyncio.sleep(0)
        self._transport.write(b"0\r\n\r\n")


def raise_file_limit() -> None:
    """Let this process hold thousands of sockets."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))


async def main() -> None:
    """Serve until standard input ends."""
    raise_file_limit()
    gc.disable()
    server = await asyncio.get_running_loop().create_server(Upstream, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
