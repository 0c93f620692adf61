"""Callers who leave, callers who do not read, shutdowns, reloads: nothing leaks and nothing is lost."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import aiohttp
import orjson
import pytest

from asynccache.proxy.server import Server
from asynccache.simulator import Simulator, SimulatorSettings
from asynccache.usage.ledger import open_ledger
from asynccache.usage.ledger_report import read_rows
from tests.waiting import soon, until

from .serving import KEY, ai, served, serving, url
from .test_passing import SSE, post
from .upstream import CHUNK, FIRST, STREAM, Upstream, upstream

pytestmark = pytest.mark.anyio

HEADERS = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}


def asking(*, stream: bool, model: str = "m") -> bytes:
    return orjson.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": stream})


async def leave(proxy: Server, body: bytes, *, asked: Upstream, read: int = 0) -> None:
    """Ask, wait until the provider is asked, perhaps read a little, and hang up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nx-api-key: {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    await until(lambda: asked.bodies)
    if read:
        await reader.readexactly(read)
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("phase", ["before the head", "in the stream", "not streamed"])
@pytest.mark.parametrize("wire", ["openai", "anthropic"])
async def test_the_caller_leaves(phase: str, wire: str, tmp_path: Path) -> None:
    """Upstream is hung up on within 250 ms, counted in naps of the loop, whatever the phase; and there is one row."""
    async with upstream() as up:
        up.answer(FIRST, *[CHUNK % b"x"] * 1000, media=SSE)
        if phase == "in the stream":
            up.pause = 0.02
        else:
            up.hang = 60.0
        stream = phase != "not streamed"
        model = "gpt-4o" if wire == "openai" else "claude-sonnet-4-5"
        if wire == "anthropic":
            start = (
                b'event: message_start\ndata: {"type":"message_start","message":{"id":"m","model":"c"}}\n\n'
            )
            block = b'event: content_block_start\ndata: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}\n\n'
            text = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}\n\n'
            up.answers = [(200, SSE, [start, block, *[text] * 1000])]
        async with open_ledger(tmp_path / "ledger.db") as ledger:
            async with serving(None, up.config(wire, model), ledger=ledger) as proxy:
                read = 1500 if phase == "in the stream" else 0
                await leave(proxy, asking(stream=stream), asked=up, read=read)
                await soon(lambda: up.left, within=0.25)
            rows = list(read_rows(str(tmp_path / "ledger.db")))
    assert len(rows) == 1
    assert len(up.bodies) == 1


async def test_an_answer_is_drained_by_a_setting(tmp_path: Path) -> None:
    """With `on_disconnect: drain` the answer is read to its end, so that its usage is exact."""
    async with upstream() as up:
        pieces = [STREAM[start : start + 200] for start in range(0, len(STREAM), 200)]
        up.answer(*pieces, media=SSE)
        up.pause = 0.03
        drains = "{on_disconnect: drain}"
        async with (
            open_ledger(tmp_path / "ledger.db") as ledger,
            serving(None, up.config(), ledger=ledger, settings=drains) as proxy,
        ):
            await leave(proxy, asking(stream=True), asked=up, read=1200)
            await until(lambda: not proxy.active)
        [row] = list(read_rows(str(tmp_path / "ledger.db")))
    assert up.left == []
    assert (row.prompt_tokens, row.output_tokens) == (2000, 10)


async def test_a_caller_who_does_not_read() -> None:
    """It costs bounded memory while the provider waits, and is cut off after `write_seconds`."""
    import tracemalloc

    async with upstream() as up:
        up.answer(FIRST, *[CHUNK % (b"x" * 60_000)] * 1000, media=SSE)  # 60 MB in all
        async with serving(None, up.config(), settings="{write_seconds: 0.5}") as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port, limit=4096)
            body = asking(stream=True)
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nx-api-key: {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
            tracemalloc.start()
            try:
                writer.write(head.encode() + body)
                await asyncio.sleep(0.4)
                taken = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            await until(lambda: not proxy.active)
            got = await reader.read(1 << 30) if not reader.at_eof() else b""
            writer.close()
    assert taken < 8 << 20
    assert len(got) < 60_000_000


async def test_shutdown_lets_answers_finish(sim: Simulator, tmp_path: Path) -> None:
    """No more requests are taken, all fifty streams end in [DONE], and there are fifty exact rows."""
    settings = SimulatorSettings(rate=40.0)
    async with Simulator(settings) as slow, open_ledger(tmp_path / "ledger.db") as ledger:
        server = await Server(served(slow, ledger=ledger)).start(port=0)
        async with aiohttp.ClientSession(headers=HEADERS, connector=aiohttp.TCPConnector(limit=0)) as session:

            async def one(number: int) -> bytes:
                model = ("gpt", "claude")[number % 2]
                answer = await session.post(
                    url(server, "/v1/chat/completions"), data=asking(stream=True, model=model)
                )
                return await answer.read()

            streams = [asyncio.ensure_future(one(number)) for number in range(50)]
            await until(lambda: len(slow.log) == 50 and all(record.events_sent > 3 for record in slow.log))
            assert server.active
            stopping = asyncio.ensure_future(server.stop())
            await asyncio.sleep(0.05)
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(url(server, "/healthz"))
            answers = await asyncio.gather(*streams)
            await stopping
    assert all(answer.endswith(b"data: [DONE]\n\n") for answer in answers)
    rows = list(read_rows(str(tmp_path / "ledger.db")))
    assert len(rows) == 50
    told = sorted(
        (record.usage or {})[name]
        for record in slow.log
        for name in ("output_tokens", "completion_tokens")
        if name in (record.usage or {})
    )
    assert sorted(row.output_tokens or 0 for row in rows) == told


async def test_shutdown_has_a_limit(tmp_path: Path) -> None:
    """What takes longer than the limit ends in an error event, and has its row."""
    async with upstream() as up:
        up.answer(FIRST, CHUNK % b"x", media=SSE)
        up.stall = True
        async with open_ledger(tmp_path / "ledger.db") as ledger:
            config = served(None, up.config(), ledger=ledger, settings="{shutdown_seconds: 0.2}")
            server = await Server(config).start(port=0)
            async with (
                aiohttp.ClientSession(headers=HEADERS) as session,
                session.post(url(server, "/v1/chat/completions"), data=asking(stream=True)) as asked,
            ):
                assert asked.status == 200
                begun = await asked.content.readany()
                began = time.monotonic()
                await server.stop()
                took = time.monotonic() - began
                answer = begun + await asked.read()
        rows = list(read_rows(str(tmp_path / "ledger.db")))
    assert took < 25  # of 30, in which the provider would say no more
    assert b'"shutting_down"' in answer
    assert b"[DONE]" not in answer
    assert len(rows) == 1


async def test_shutdown_of_an_answer_that_has_not_begun() -> None:
    """It is a 503 that asks to come again."""
    async with upstream() as up:
        up.answer(STREAM, media=SSE)
        up.hang = 30
        server = await Server(served(None, up.config(), settings="{shutdown_seconds: 0.1}")).start(port=0)
        asked = asyncio.ensure_future(post(server, "/v1/chat/completions", asking(stream=True)))
        await until(lambda: up.bodies)
        await server.stop()
        status, _, _ = await asked
    assert status == 503


async def test_reload_changes_all_at_once(sim: Simulator) -> None:
    """New requests meet the new configuration, an answer in progress ends as it began."""
    async with upstream() as up:
        up.answer(FIRST, *[CHUNK % b"x"] * 5, STREAM.removeprefix(FIRST), media=SSE)
        up.pause = 0.05
        async with serving(None, up.config()) as proxy:
            asked = asyncio.ensure_future(post(proxy, "/v1/chat/completions", asking(stream=True)))
            await until(lambda: up.bodies)
            proxy.replace(served(sim))
            async with ai(proxy) as client:
                assert "gpt" in [model.id async for model in client.models.list()]
                reply = await client.chat.completions.create(
                    model="gpt", messages=[{"role": "user", "content": "hi"}]
                )
            status, answer, _ = await asked
    assert reply.choices
    assert (status, answer.endswith(b"data: [DONE]\n\n")) == (200, True)


async def test_the_row_is_safe_before_the_end_goes_out(tmp_path: Path) -> None:
    """Whoever has seen [DONE] can find the row."""
    async with upstream() as up:
        up.answer(STREAM, media=SSE)
        async with (
            open_ledger(tmp_path / "ledger.db") as ledger,
            serving(None, up.config(), ledger=ledger) as proxy,
        ):
            for count in range(1, 6):
                _, answer, _ = await post(proxy, "/v1/chat/completions", asking(stream=True))
                assert answer.endswith(b"data: [DONE]\n\n")
                rows = list(read_rows(str(tmp_path / "ledger.db")))
                assert [row.output_tokens for row in rows] == [10] * count


async def test_no_connection_and_no_task_is_left(sim: Simulator) -> None:
    """After a hundred answers, half of them left, nothing of them is open."""
    async with serving(sim) as proxy:
        for number in range(100):
            if number % 2:
                await post(proxy, "/v1/chat/completions", asking(stream=True, model="gpt"))
            else:
                reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
                body = asking(stream=True, model="claude")
                writer.write(
                    f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nx-api-key: {KEY}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
                    + body
                )
                await reader.read(100)
                writer.transport.abort()
        await until(lambda: not proxy.active)
        assert all(deployment.in_flight == 0 for deployment in proxy.served.deployments)
        await soon(lambda: proxy.served.transport.connections <= 2, within=0.25)
