"""A provider that keeps every byte it is sent and answers with bytes given; it knows when its caller hung up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any


class Upstream:
    """One listener; `answers` are taken in turn, the last one stays."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.answers: list[tuple[int, str, list[bytes]]] = []
        self.hang: float | asyncio.Event | None = None
        """Silence before the head of an answer: seconds, or until it is set; None is none."""
        self.pause = 0.0
        """Seconds between two pieces."""
        self.stall = False
        """Whether an answer stays without its end."""
        self.left: list[float] = []
        """When callers were seen to have hung up, by ``time.monotonic()``."""
        self.port = 0

    def answer(self, *pieces: bytes, media: str = "application/json", status: int = 200) -> None:
        self.answers.append((status, media, list(pieces)))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def config(self, provider: str = "openai", model: str = "gpt-4o", name: str = "m", more: str = "") -> str:
        base = f"{self.url}/v1" if provider == "openai" else self.url
        return (
            f"\nmodel_list:\n- model_name: {name}\n  litellm_params:\n    model: {provider}/{model}\n"
            f"    api_base: {base}\n    api_key: sk-upstream-canary-key\n{more}"
        )

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next(
                    int(line.split(b":")[1])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                )
                self.heads.append(head)
                self.bodies.append(await reader.readexactly(length))
                await self._say(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _say(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        status, media, pieces = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(self.hang, asyncio.Event):
            await self.hang.wait()
        elif self.hang is not None:
            await self._wait(reader, self.hang)
        head = f"HTTP/1.1 {status} X\r\ncontent-type: {media}\r\ntransfer-encoding: chunked\r\nx-request-id: up-1\r\n\r\n"
        writer.write(head.encode())
        for piece in pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await writer.drain()
            if self.pause:
                await self._wait(reader, self.pause)
        if self.stall:
            await self._wait(reader, 30)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _wait(self, reader: asyncio.StreamReader, seconds: float) -> None:
        """Wait, but see at once when the caller hangs up."""
        try:
            async with asyncio.timeout(seconds):
                if not await reader.read(1):
                    self.left.append(time.monotonic())
                    raise ConnectionError
        except TimeoutError:
            return


@asynccontextmanager
async def upstream() -> AsyncIterator[Upstream]:
    """A running one."""
    found = Upstream()
    tasks: set[asyncio.Task[Any]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(found.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


CHUNK = (
    b'data: {"id":"c1","object":"chat.completion.chunk","created":7,"model":"gpt-4o","choices":'
    b'[{"index":0,"delta":{"content":"%b"},"finish_reason":null}],"usage":null}\n\n'
)
FIRST = (
    b'data: {"id":"c1","object":"chat.completion.chunk","created":7,"model":"gpt-4o","choices":'
    b'[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}\n\n'
)
FINISH = (
    b'data: {"id":"c1","object":"chat.completion.chunk","created":7,"model":"gpt-4o","choices":'
    b'[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}\n\n'
)
USAGE = (
    b'data: {"id":"c1","object":"chat.completion.chunk","created":7,"model":"gpt-4o","choices":[],'
    b'"usage":{"prompt_tokens":2000,"completion_tokens":10,"total_tokens":2010,'
    b'"prompt_tokens_details":{"cached_tokens":1024}}}\n\n'
)
DONE = b"data: [DONE]\n\n"
COST = 976 * 2.5e-6 + 1024 * 1.25e-6 + 10 * 10e-6
"""gpt-4o: 2.50 and 1.25 dollars a million in, 10 out."""
TEXTS = (
    b"The first",
    b' clause says \\"usage\\": {',
    b" and [DONE] too, ",
    "and ünïcödé 🎈".encode(),
    b"\\n\\nend",
)
STREAM = FIRST + b"".join(CHUNK % text for text in TEXTS) + FINISH + USAGE + DONE
WHOLE = (
    b'{\n  "id": "c1",\n  "object": "chat.completion",\n  "created": 7, "model": "gpt-4o",\n  "choices": [{"index": 0,'
    b'"message": {"role": "assistant", "content": "hi \\u00fc"}, "finish_reason": "stop"}],\n  "usage": {"prompt_tokens": '
    b'2000, "completion_tokens": 10, "total_tokens": 2010, "prompt_tokens_details": {"cached_tokens": 1024}}\n}'
)
