"""A server on loopback that plays a script of bytes and pauses to every connection: for faults below HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(text: str = "hi", finish: str | None = None) -> bytes:
    reason = "null" if finish is None else f'"{finish}"'
    data = (
        '{"id":"c1","object":"chat.completion.chunk","created":1,"model":"m","choices":'
        f'[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":{reason}}}]}}'
    )
    return f"data: {data}\n\n".encode()


class Scripted:
    """What the server saw: the requests' heads, and when each connection was closed by the other side."""

    def __init__(self) -> None:
        self.base = ""
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.closed: list[float] = []


@contextlib.asynccontextmanager
async def scripted(
    script: Sequence[bytes | float] | Callable[[int], Sequence[bytes | float]],
) -> AsyncIterator[Scripted]:
    """Serve *script* to every request: bytes are sent, numbers are seconds to wait; then the connection closes.

    A negative number at the end keeps the connection open until the client goes.
    """
    seen = Scripted()
    tasks: set[asyncio.Task[None]] = set()

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        seen.bodies.append(await reader.readexactly(length))
        seen.heads.append(head)
        steps = script(len(seen.heads)) if callable(script) else script
        for step in steps:
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
            elif step < 0:
                await reader.read()
                seen.closed.append(asyncio.get_running_loop().time())
            else:
                await asyncio.sleep(step)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await play(reader, writer)
        writer.close()
        tasks.discard(task)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    seen.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield seen
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
