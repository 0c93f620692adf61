"""What a careful programmer would write by hand, from bytes thrown away to typed chunks."""

from __future__ import annotations

import asyncio
import json
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

from benchmarks.clients import KEY, MESSAGES, MODELS, Said, wire_of

NOTHING = Said(None, None, None, None)


def request_of(base: str, *, stream: bool) -> tuple[str, dict[str, str], bytes]:
    """URL, headers and body of the request."""
    wire = wire_of(base)
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    if wire == "converse":
        operation = "converse-stream" if stream else "converse"
        body: dict[str, Any] = {"messages": [{"role": "user", "content": [{"text": MESSAGES[1]["content"]}]}]}
        return f"{base}/model/{MODELS[wire]}/{operation}", headers, json.dumps(body).encode()
    body = {"model": MODELS[wire], "messages": MESSAGES}
    if stream:
        body["stream"] = True
    path = "/v1/messages" if wire == "anthropic" else "/chat/completions"
    return base + path, headers, json.dumps(body).encode()


class _FloorProtocol(asyncio.Protocol):
    """Counts bytes until the answer's end, and looks at nothing else."""

    def __init__(self) -> None:
        self.done: asyncio.Future[None] | None = None
        self.first: float | None = None
        self.reads = 0
        self._left = -1  # bytes of a body with a length; -1 before the head, -2 while chunked

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def ask(self, data: bytes) -> asyncio.Future[None]:
        self.done = asyncio.get_running_loop().create_future()
        self.first, self._left, self.reads = None, -1, 0
        self.transport.write(data)
        return self.done

    def data_received(self, data: bytes) -> None:
        self.reads += 1
        if self._left == -1:
            end = data.find(b"\r\n\r\n") + 4
            at = data.find(b"content-length: ", 0, end)
            self._left = int(data[at + 16 : data.find(b"\r\n", at)]) if at > 0 else -2
            data = data[end:]
        if data and self.first is None:
            self.first = perf_counter()
        if self._left == -2:
            if data.endswith(b"0\r\n\r\n"):
                self._finish()
        else:
            self._left -= len(data)
            if self._left == 0:
                self._finish()

    def _finish(self) -> None:
        assert self.done is not None
        if not self.done.done():
            self.done.set_result(None)


class Floor:
    """asyncio.Protocol over kept connections."""

    def __init__(self) -> None:
        self._idle: list[_FloorProtocol] = []

    async def _ask(self, base: str, *, stream: bool) -> Said:
        url, headers, body = request_of(base, stream=stream)
        parts = urlsplit(url)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\n{lines}content-length: {len(body)}\r\n\r\n"
        if self._idle:
            protocol = self._idle.pop()
        else:
            loop = asyncio.get_running_loop()
            _, protocol = await loop.create_connection(_FloorProtocol, parts.hostname, parts.port)
        await protocol.ask(head.encode() + body)
        self._idle.append(protocol)
        return NOTHING._replace(first=protocol.first, reads=protocol.reads)

    async def stream(self, base: str) -> Said:
        return await self._ask(base, stream=True)

    async def whole(self, base: str) -> Said:
        return await self._ask(base, stream=False)

    async def hold(self, base: str) -> Any:
        task = asyncio.create_task(self._ask(base, stream=True))
        await asyncio.sleep(0)
        return task

    async def close(self) -> None:
        for protocol in self._idle:
            protocol.transport.close()


class AiohttpBytes:
    """aiohttp; the body is thrown away."""

    def __init__(self) -> None:
        import aiohttp

        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))

    def _post(self, base: str, *, stream: bool) -> Any:
        url, headers, body = request_of(base, stream=stream)
        return self._session.post(url, headers=headers, data=body)

    async def stream(self, base: str) -> Said:
        first, reads = None, 0
        async with self._post(base, stream=True) as response:
            async for _ in response.content.iter_any():
                if first is None:
                    first = perf_counter()
                reads += 1
        return NOTHING._replace(first=first, reads=reads)

    async def whole(self, base: str) -> Said:
        async with self._post(base, stream=False) as response:
            await response.read()
        return NOTHING

    async def hold(self, base: str) -> Any:
        response = await self._post(base, stream=True)
        await response.content.readany()
        return response

    async def close(self) -> None:
        await self._session.close()


class AiohttpMsgspec(AiohttpBytes):
    """aiohttp, framing that is right for any split, and typed decode of the fields that a client uses."""

    def __init__(self) -> None:
        super().__init__()
        from benchmarks.clients import typed

        self._readers = {
            "openai": typed.OpenAIReader,
            "openai-tools": typed.OpenAIReader,
            "anthropic": typed.AnthropicReader,
            "converse": typed.ConverseReader,
        }
        self._whole = typed.read_whole

    async def stream(self, base: str) -> Said:
        reader = self._readers[wire_of(base)]()
        feed, parts, first, reads = reader.feed, reader.parts, None, 0
        async with self._post(base, stream=True) as response:
            async for data in response.content.iter_any():
                feed(data)
                reads += 1
                if first is None and parts:
                    first = perf_counter()
        return reader.said()._replace(first=first, reads=reads)

    async def whole(self, base: str) -> Said:
        async with self._post(base, stream=False) as response:
            return self._whole(wire_of(base), await response.read())


class HttpxOrjson:
    """httpx's line iterator and orjson."""

    def __init__(self) -> None:
        import httpx
        import orjson

        limits = httpx.Limits(max_connections=None, max_keepalive_connections=1000)
        self._client = httpx.AsyncClient(timeout=None, limits=limits, trust_env=False)
        self._loads = orjson.loads

    async def stream(self, base: str) -> Said:
        url, headers, body = request_of(base, stream=True)
        parts: list[str] = []
        first, usage = None, {}
        async with self._client.stream("POST", url, headers=headers, content=body) as response:
            async for line in response.aiter_lines():
                if not line.startswith("data: ") or line == "data: [DONE]":
                    continue
                chunk = self._loads(line[6:])
                usage = chunk.get("usage") or usage
                for choice in chunk["choices"]:
                    if content := choice["delta"].get("content"):
                        if first is None:
                            first = perf_counter()
                        parts.append(content)
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        return Said("".join(parts), usage["prompt_tokens"], usage["completion_tokens"], cached, first)

    async def whole(self, base: str) -> Said:
        url, headers, body = request_of(base, stream=False)
        reply = self._loads((await self._client.post(url, headers=headers, content=body)).content)
        usage = reply["usage"]
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        text = reply["choices"][0]["message"]["content"]
        return Said(text, usage["prompt_tokens"], usage["completion_tokens"], cached)

    async def hold(self, base: str) -> Any:
        url, headers, body = request_of(base, stream=True)
        request = self._client.build_request("POST", url, headers=headers, content=body)
        response = await self._client.send(request, stream=True)
        lines = response.aiter_lines()
        await anext(lines)
        return response, lines

    async def close(self) -> None:
        await self._client.aclose()
