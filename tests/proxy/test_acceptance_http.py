"""HTTP as old clients, scripts, load balancers and pipelines speak it, over sockets of one's own."""

from __future__ import annotations

import asyncio

import aiohttp
import orjson
import pytest

from asynccache.proxy.server import Server
from asynccache.simulator import Simulator

from .serving import KEY, url

pytestmark = pytest.mark.anyio

BODY = b'{"model":"gpt","messages":[{"role":"user","content":"hi"}],"max_tokens":3}'
CHAT = "/v1/chat/completions"


def ask(
    method: str = "POST", path: str = CHAT, body: bytes | None = BODY, *more: str, version: str = "1.1"
) -> bytes:
    """A request as it goes over the socket; *more* are headers."""
    lines = [f"{method} {path} HTTP/{version}", "Host: x", f"Authorization: Bearer {KEY}", *more]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


class Answers:
    """What comes back over one connection, answer by answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def next(self, *, head: bool = False) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next one; the body of an answer to HEAD is none."""
        async with asyncio.timeout(60):
            raw = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status = int(raw.split()[1])
            pairs = [line.split(": ", 1) for line in raw.split("\r\n")[1:] if line]
            headers = {name.lower(): value for name, value in pairs}
            if head or status == 100:
                return status, headers, b""
            if "content-length" in headers:
                return status, headers, await self.reader.readexactly(int(headers["content-length"]))
            if headers.get("transfer-encoding") == "chunked":
                return status, headers, await self._chunks()
            return status, headers, await self.reader.read()

    async def _chunks(self) -> bytes:
        whole = b""
        while size := int(await self.reader.readline(), 16):
            whole += await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        await self.reader.readline()
        return whole

    async def ended(self) -> bool:
        """Whether the other side hangs up now."""
        async with asyncio.timeout(60):
            return await self.reader.read() == b""


async def talk(proxy: Server, *pieces: bytes) -> Answers:
    """A connection over which *pieces* were sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(0.01)
    return Answers(reader, writer)


@pytest.mark.parametrize("stream", [False, True])
async def test_http_1_0(stream: bool, proxy: Server) -> None:
    """An old client gets a body without chunks, a stream too, whose end is the connection's."""
    body = BODY[:-1] + b',"stream":true}' if stream else BODY
    answers = await talk(proxy, ask("POST", CHAT, body, version="1.0"))
    status, headers, got = await answers.next()
    assert status == 200
    assert "transfer-encoding" not in headers
    if stream:
        assert got.endswith(b"data: [DONE]\n\n")
    else:
        assert orjson.loads(got)["object"] == "chat.completion"
    assert await answers.ended()
    answers.writer.close()


async def test_pipelined_requests(proxy: Server, sim: Simulator) -> None:
    """Requests sent at once are answered in their order: a model's, a list, a mistake, a stream, a model's."""
    streamed = BODY[:-1] + b',"stream":true}'
    answers = await talk(
        proxy,
        b"".join(
            (
                ask(),
                ask("GET", "/v1/models", None),
                ask("POST", CHAT, b"{"),
                ask("POST", CHAT, streamed),
                ask(),
            )
        ),
    )
    got = [await answers.next() for _ in range(5)]
    assert [status for status, _, _ in got] == [200, 200, 400, 200, 200]
    assert orjson.loads(got[1][2])["object"] == "list"
    assert got[3][2].endswith(b"data: [DONE]\n\n")
    assert len(sim.log) == 3
    answers.writer.close()


MISTAKES = {
    "no JSON": (ask("POST", CHAT, b"{"), 400),
    "an unknown model": (ask("POST", CHAT, BODY.replace(b"gpt", b"nobody")), 404),
    "an unknown address": (ask("POST", "/v1/nowhere"), 404),
    "another method": (ask("PUT"), 405),
    "a wrong key": (ask().replace(KEY.encode(), b"sk-no"), 401),
    "an unknown coding": (ask("POST", CHAT, BODY, "Content-Encoding: rot13"), 415),
    "a provider's refusal": (ask("POST", CHAT, BODY[:-1] + b',"stream_options":{}}'), 400),
}


@pytest.mark.parametrize("name", MISTAKES)
async def test_the_connection_outlives_a_mistake(name: str, proxy: Server) -> None:
    """After an error the same connection takes the next request, whatever body was left of the first."""
    wrong, expected = MISTAKES[name]
    answers = await talk(proxy, wrong)
    status, headers, body = await answers.next()
    assert status == expected, body
    assert headers["x-litellm-call-id"]
    answers.writer.write(ask())
    assert (await answers.next())[0] == 200
    answers.writer.close()


async def test_a_body_too_large_ends_the_connection(proxy: Server) -> None:
    """What is refused by its announced length is not read on: the answer comes, then the end."""
    huge = ask("POST", CHAT, None, "Content-Length: 99999999")
    answers = await talk(proxy, huge)
    status, headers, _ = await answers.next()
    assert (status, headers["connection"]) == (413, "close")
    assert await answers.ended()
    answers.writer.close()


async def test_chunked_with_extensions_and_trailers(proxy: Server) -> None:
    """Chunks of any size, with extensions and trailers, are one body."""
    pieces = [b"%x;a=b\r\n%b\r\n" % (1, BODY[at : at + 1]) for at in range(10)]
    rest = b"%X\r\n%b\r\n0\r\nX-Sum: 1\r\n\r\n" % (len(BODY) - 10, BODY[10:])
    answers = await talk(proxy, ask("POST", CHAT, None, "Transfer-Encoding: chunked"), *pieces, rest)
    assert (await answers.next())[0] == 200
    answers.writer.close()


@pytest.mark.parametrize(("key", "first"), [(KEY, 100), ("sk-wrong", 401)])
async def test_expect_continue(key: str, first: int, proxy: Server) -> None:
    """Who asks first is told to go on, or is refused before the body is sent."""
    head = ask("POST", CHAT, None, "Expect: 100-continue", f"Content-Length: {len(BODY)}")
    answers = await talk(proxy, head.replace(KEY.encode(), key.encode()))
    assert (await answers.next())[0] == first
    if first == 100:
        answers.writer.write(BODY)
        assert (await answers.next())[0] == 200
    answers.writer.close()


@pytest.mark.parametrize(
    "path", ["/healthz", "/v1/models", "/health/readiness", "/v1/models/gpt", "/openapi.json"]
)
async def test_head(path: str, proxy: Server) -> None:
    """A load balancer's HEAD gets the head of GET's answer, and the next request its own."""
    answers = await talk(proxy, ask("HEAD", path, None))
    status, headers, _ = await answers.next(head=True)
    answers.writer.write(ask("GET", path, None))
    again, same, body = await answers.next()
    assert status == again == 200
    assert headers["content-length"] == same["content-length"] == str(len(body))
    answers.writer.close()


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("HEAD", CHAT, 405, "POST"),
        ("HEAD", "/ui/link", 405, "GET"),
        ("OPTIONS", CHAT, 405, "POST"),
        ("OPTIONS", "/v1/models", 405, "GET, HEAD"),
        ("DELETE", "/v1/models/gpt", 405, "GET, HEAD"),
        ("PATCH", "/v1/messages", 405, "POST"),
        ("POST", CHAT + "/", 404, None),
        ("POST", "/v1//chat/completions", 404, None),
        ("POST", "/V1/chat/completions", 404, None),
        ("POST", CHAT + "?beta=true&x=%20", 200, None),
        ("POST", "/v1/messages?beta=true", 200, None),
        ("POST", "/v1/messages/count_tokens?beta=true", 200, None),
    ],
)
async def test_methods_and_addresses(
    method: str, path: str, status: int, allow: str | None, proxy: Server
) -> None:
    """An address is taken as it is written; queries are nobody's business; a 405 says which methods there are."""
    async with aiohttp.ClientSession(headers={"x-api-key": KEY}) as session:
        answer = await session.request(method, url(proxy) + path, data=BODY)
        assert answer.status == status
        assert answer.headers.get("allow") == allow


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-8"]
)
async def test_content_types(kind: str | None, proxy: Server) -> None:
    """JSON is JSON whatever curl calls it."""
    answers = await talk(proxy, ask("POST", CHAT, BODY, *([] if kind is None else [f"Content-Type: {kind}"])))
    assert (await answers.next())[0] == 200
    answers.writer.close()
