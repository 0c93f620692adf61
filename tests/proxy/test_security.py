"""The proxy's edge: who gets in, what gets in, how slowly, and what never gets out."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from typing import Any

import aiohttp
import orjson
import pytest

from asynccache.proxy.routes import ROUTES
from asynccache.proxy.server import Server
from asynccache.simulator import Simulator
from tests.waiting import PATIENCE

from .serving import KEY, MODELS, serving, url
from .test_passing import post
from .upstream import WHOLE, upstream

pytestmark = pytest.mark.anyio

HELLO = b'{"model":"gpt","messages":[{"role":"user","content":"hi"}]}'
SNAPSHOT = {
    ("POST", "/v1/chat/completions"),
    ("POST", "/chat/completions"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/messages/count_tokens"),
    ("POST", "/v1/responses"),
    ("POST", "/responses"),
    ("GET", "/v1/models"),
    ("GET", "/models"),
    ("GET", "/v1/models/{model}"),
    ("GET", "/models/{model}"),
    ("GET", "/v1/model/info"),
    ("GET", "/model/info"),
    ("GET", "/health/liveliness"),
    ("GET", "/health/liveness"),
    ("GET", "/health/readiness"),
    ("GET", "/healthz"),
    ("GET", "/openapi.json"),
    ("GET", "/metrics"),
    ("GET", "/ui"),
    ("GET", "/ui/link"),
}


def test_routes_are_those_that_were_reviewed() -> None:
    """A new address is a decision: it is written down here too."""
    assert set(ROUTES) == SNAPSHOT


async def test_without_a_key_everything_but_healthz_is_shut(proxy: Server, sim: Simulator) -> None:
    """Every route, and every address that is none, says the same to a stranger."""
    bodies: set[bytes] = set()
    strange = [
        ("GET", "/"),
        ("GET", "/../etc/passwd"),
        ("GET", "/docs"),
        ("DELETE", "/v1/models"),
        ("POST", "/key/generate"),
    ]
    async with aiohttp.ClientSession() as session:
        for method, path in (*SNAPSHOT, *strange):
            answer = await session.request(method, url(proxy, path), data=HELLO if method == "POST" else None)
            if path == "/healthz":
                assert (answer.status, await answer.text()) == (200, "ok")
                continue
            assert answer.status == 401
            body = orjson.loads(await answer.read())
            bodies.add(orjson.dumps(body["error"]["message"]))
            assert "server" not in answer.headers
            assert "access-control-allow-origin" not in answer.headers
    assert len(bodies) == 1
    assert sim.log == []


async def test_with_the_key_every_route_answers(proxy: Server) -> None:
    """None is forgotten: health in LiteLLM's words, a document that lists all of them."""
    async with aiohttp.ClientSession(headers={"x-api-key": KEY}) as session:
        for method, path in SNAPSHOT:
            if method == "GET":
                answer = await session.get(url(proxy, path.format(model="gpt")))
                assert answer.status == 200
        alive = await session.get(url(proxy, "/health/liveliness"))
        assert await alive.json() == "I'm alive!"
        document = await (await session.get(url(proxy, "/openapi.json"))).json()
        missing = await session.get(url(proxy, "/nowhere"))
        told = (await missing.json())["error"]["message"]
        twice = (await (await session.post(url(proxy, "/v1/v1/messages"))).json())["error"]["message"]
        wrong = await session.get(url(proxy, "/v1/messages"))
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == SNAPSHOT
    assert document["paths"]["/healthz"]["get"]["security"] == []
    assert (missing.status, wrong.status) == (404, 405)
    assert told == "nothing is served at '/nowhere'; see /openapi.json"
    assert "'/v1/v1/messages'" in twice
    assert "base address ends before it" in twice


REFUSED = {
    "nesting": b'{"model":"gpt","messages":' + b"[" * 70 + b"]" * 70 + b"}",
    "deep nesting": b'{"model":"gpt","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "NaN": b'{"model":"gpt","messages":[],"temperature":NaN}',
    "Infinity": b'{"model":"gpt","messages":[],"temperature":1e999}',
    "a huge number": b'{"model":"gpt","messages":[],"seed":' + b"9" * 5000 + b"}",
    "beyond 2^53": b'{"model":"gpt","messages":[],"seed":9007199254740993}',
    "invalid UTF-8": b'{"model":"gpt","messages":[{"role":"user","content":"\xff"}]}',
    "a lone surrogate": b'{"model":"gpt","messages":[{"role":"user","content":"\\ud800"}]}',
    "a key twice": b'{"model":"gpt","model":"claude","messages":[{"role":"user","content":"hi"}]}',
    "a key twice, escaped": b'{"model":"gpt","mod\\u0065l":"claude","messages":[]}',
    "a key twice, deep": b'{"model":"gpt","messages":[{"role":"user","role":"system","content":"hi"}]}',
    "an array": b"[]",
    "nothing": b"",
    "two values": HELLO + HELLO,
    "no model": b'{"messages":[{"role":"user","content":"hi"}]}',
    "a strange stream": HELLO[:-1] + b',"stream":"yes"}',
    "too many messages": b'{"model":"gpt","messages":['
    + b",".join([b'{"role":"user","content":"x"}'] * 4097)
    + b"]}",
    "too many values": b'{"model":"gpt","messages":[' + b",".join([b"1"] * 400_002) + b"]}",
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
async def test_bodies_that_are_refused(name: str, path: str, proxy: Server, sim: Simulator) -> None:
    """What two readers could read differently is a 400, quickly, and reaches nobody."""
    gc.disable()  # what other tests left would be looked through, and timed
    try:
        began = time.thread_time()
        status, body, _ = await post(proxy, path, REFUSED[name])
        worked = time.thread_time() - began
    finally:
        gc.enable()
    assert status == 400
    assert worked < 0.5  # the caller's work and the proxy's, however busy the machine is
    assert orjson.loads(body)["error"]["message"]
    assert sim.log == []


FIELDS = [
    "api_base", "base_url", "api_key", "api_version", "extra_headers", "extra_body", "extra_query", "headers",
    "organization", "custom_llm_provider", "litellm_params", "model_list", "aws_access_key_id", "aws_region_name",
    "aws_bedrock_runtime_endpoint", "azure_ad_token", "vertex_credentials", "callback_url", "webhook", "proxies",
    "proxy_url", "on_usage", "timeout", "max_retries", "num_retries", "drop_params", "mock_response",
    "litellm_metadata_url", "ssl_verify", "client_secret", "endpoint", "host",
]  # fmt: skip
PLACES = [
    "http://169.254.169.254/latest/meta-data",
    "http://[::1]:80/",
    "http://2130706433/",
    "file:///etc/passwd",
]


@pytest.mark.parametrize("name", FIELDS)
@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens", "/v1/responses"]
)
async def test_requests_do_not_say_where(name: str, path: str, proxy: Server, sim: Simulator) -> None:
    """A field that says where, how or in whose name to ask is a 400 that names it."""
    for place in PLACES:
        body = {**orjson.loads(HELLO), "max_tokens": 5, name: place}
        status, answer, _ = await post(proxy, path, orjson.dumps(body))
        assert status == 400
        assert name in orjson.loads(answer)["error"]["message"]
    assert sim.log == []


@pytest.mark.parametrize(
    "name", ["prompt_cache_key", "safety_identifier", "user", "seed", "logit_bias", "metadata"]
)
async def test_harmless_fields_pass(name: str, proxy: Server, sim: Simulator) -> None:
    """Names of OpenAI's that only look like keys are taken."""
    value: Any = {"seed": 1, "logit_bias": {}, "metadata": {"a": "b"}}.get(name, "x")
    status, _, _ = await post(
        proxy, "/v1/chat/completions", orjson.dumps({**orjson.loads(HELLO), name: value})
    )
    assert status == 200
    assert name in sim.log[-1].body


async def test_64_megabytes(proxy: Server, sim: Simulator) -> None:
    """A body over the limit is refused by its announced length, and by what comes where none is announced."""
    answer, took = await raw(
        proxy, HEAD + b"Content-Length: %d\r\n\r\n" % (64 << 20), *([b" " * (1 << 20)] * 64)
    )
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert took < PATIENCE
    assert b'"request_too_large"' in answer

    async def endless() -> Any:
        for _ in range(64):
            yield b" " * (1 << 20)

    async with aiohttp.ClientSession() as session:
        try:
            answer = await session.post(
                url(proxy, "/v1/chat/completions"), data=endless(), headers={"x-api-key": KEY}
            )
            assert answer.status == 413
        except aiohttp.ClientOSError:
            pass  # it was closed while we were still sending
    assert sim.log == []


async def test_gzip_bomb(proxy: Server) -> None:
    """What counts is the size after decompression."""
    import gzip

    bomb = gzip.compress(b" " * (64 << 20))
    status, _, _ = await post(proxy, "/v1/chat/completions", bomb, **{"content-encoding": "gzip"})
    assert status == 413


async def raw(
    server: Server, *pieces: bytes, pause: float = 0.0, wait: float = PATIENCE
) -> tuple[bytes, float]:
    """Send bytes over a socket of one's own; what came back until the other side closed, and how long it took."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    began = time.monotonic()
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(pause)
    except ConnectionError:
        pass
    got = b""
    try:
        async with asyncio.timeout(wait):
            while piece := await reader.read(65536):
                got += piece
    except ConnectionError:
        pass
    finally:
        writer.close()
    return got, time.monotonic() - began


HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + KEY.encode() + b"\r\n"
SMUGGLING = {
    "length and chunked": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "bare line feeds": b"GET /healthz HTTP/1.1\nHost: a\n\n",
    "a NUL": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
    "a folded header": b"GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
    "a space before the colon": HEAD + b"Content-Length : 5\r\n\r\nhello",
    "a signed length": HEAD + b"Content-Length: +5\r\n\r\nhello",
    "a bad chunk": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    "a long header": HEAD + b"X: " + b"a" * 9000 + b"\r\n\r\n",
    "many headers": HEAD + b"".join(b"X%d: a\r\n" % number for number in range(80)) + b"\r\n",
    "no HTTP": b"\x16\x03\x01 hello\r\n\r\n",
}


@pytest.mark.parametrize("name", SMUGGLING)
async def test_smuggling(name: str, proxy: Server, sim: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    """What two servers could read differently is a 400 and the end; neither answer nor log quotes it."""
    with caplog.at_level(logging.DEBUG):
        answer, _ = await raw(proxy, SMUGGLING[name])
    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.0 400 "))
    assert answer.count(b"HTTP/1.") == 1
    assert b"python" not in answer.lower()
    assert KEY not in caplog.text
    assert sim.log == []


QUICK = "{header_seconds: 0.3, idle_seconds: 0.5}"
SOON = 8.0
"""Seconds: less than what the proxy's settings are where nothing sets them, more than a busy machine adds."""


async def test_slow_heads_and_idle_connections_are_closed(sim: Simulator) -> None:
    """Half a head, a head by the byte, nothing at all, silence after an answer: each ends in its time."""
    ok = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    async with serving(sim, settings=QUICK) as proxy:
        _, nothing = await raw(proxy)
        _, half = await raw(proxy, HEAD[:30])
        drip, slow = await raw(proxy, *(bytes([byte]) for byte in ok), pause=0.05)
        answered, idle = await raw(proxy, ok)
        again, second_half = await raw(proxy, ok, HEAD[:30], pause=0.05)
    assert nothing < SOON
    assert half < SOON
    assert (drip, slow < SOON) == (b"", True)
    assert answered.startswith(b"HTTP/1.1 200 OK")
    assert idle < SOON
    assert again.count(b"HTTP/1.1 200 OK") == 1
    assert second_half < SOON


async def test_slow_bodies_are_refused(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body slower than 1 KB/s ends in 408 and the connection with it."""
    monkeypatch.setattr("asynccache.proxy.connections._GRACE", 0.3)
    async with serving(sim) as proxy:
        answer, took = await raw(proxy, HEAD + b"Content-Length: 1000\r\n\r\n", *([b"x"] * 20), pause=0.05)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert took < PATIENCE
    assert sim.log == []


async def test_web_pages_may_not_ask_without_a_key(sim: Simulator) -> None:
    """Where no key is needed, a page in somebody's browser gives itself away by its origin, or its own name."""
    async with serving(sim, key=False) as proxy, aiohttp.ClientSession() as session:
        for headers, status in (
            ({}, 200),
            ({"host": "localhost:4000"}, 200),
            ({"host": "0.0.0.0:4000"}, 200),
            ({"origin": "https://evil.example"}, 403),
            ({"host": "rebound.evil.example"}, 403),
            ({"host": "rebound.evil.example:4000"}, 403),
        ):
            answer = await session.get(url(proxy, "/v1/models"), headers=headers)
            assert (headers, answer.status) == (headers, status)


async def test_expect_continue(proxy: Server) -> None:
    """A caller who asks first is told to go on, but only with the right key."""
    body = HELLO
    head = HEAD + b"Content-Length: %d\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n" % len(body)
    answer, _ = await raw(proxy, head, body, pause=0.1)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK")
    refused, _ = await raw(proxy, head.replace(KEY.encode(), b"wrong"))
    assert refused.startswith(b"HTTP/1.1 401 ")


CANARY = "canary-5b0b6a3c"


async def test_nothing_secret_gets_out(caplog: pytest.LogCaptureFixture) -> None:
    """Keys, prompts and addresses: not in logs at DEBUG, not in errors, not in headers, not upstream."""
    prompt = f"{CANARY}-prompt"
    async with upstream() as up:
        echo = orjson.dumps(
            {"error": {"message": f"bad key sk-upstream-canary-key at {up.url}/v1 for {prompt}", "type": "x"}}
        )
        up.answer(echo, status=401)
        up.answer(WHOLE)
        answers: list[bytes] = []
        with caplog.at_level(logging.DEBUG):
            async with serving(None, up.config(name="gpt"), settings="{max_retries: 0}") as proxy:
                body = orjson.dumps({"model": "gpt", "messages": [{"role": "user", "content": prompt}]})
                for path, data in (
                    ("/v1/chat/completions", body),
                    ("/v1/chat/completions", body),
                    ("/v1/chat/completions", body[:-1]),
                    ("/v1/model/info", b""),
                    (f"/{CANARY}?key={CANARY}", body),
                ):
                    _, answer, headers = await post(
                        proxy, path, data, **{"x-client-secret": f"{CANARY}-header"}
                    )
                    answers += [answer, str(headers).encode()]
                async with aiohttp.ClientSession(headers={"x-api-key": KEY}) as session:
                    for path in ("/v1/model/info", "/v1/models", "/openapi.json", "/health/readiness"):
                        answers.append(await (await session.get(url(proxy, path))).read())
    said = b"\n".join(answers)
    assert b"sk-upstream-canary-key" not in said
    assert str(up.port).encode() not in said
    assert KEY.encode() not in said
    own = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("asyncio"))
    for secret in ("sk-upstream-canary-key", KEY, f"{CANARY}-header", f"key={CANARY}", prompt):
        assert secret not in own
    sent = b"\n".join((*up.heads, *up.bodies))
    assert KEY.encode() not in sent
    assert f"{CANARY}-header".encode() not in sent


async def test_model_names_do_not_leave_their_place(sim: Simulator) -> None:
    """A name that is no name is an error that quotes it harmlessly; it never becomes a path or a header."""
    async with serving(sim, MODELS) as proxy:
        for name in (
            "../../v1/files",
            "gpt\r\nx-a: b",
            "<script>alert(1)</script>",
            "gpt/../claude",
            "x" * 5000,
        ):
            body = orjson.dumps({"model": name, "messages": [{"role": "user", "content": "hi"}]})
            status, answer, headers = await post(proxy, "/v1/chat/completions", body)
            assert status == 404
            assert headers["content-type"] == "application/json"
            assert headers["x-content-type-options"] == "nosniff"
            assert len(answer) < 600
    assert sim.log == []
