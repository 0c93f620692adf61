"""What the server promises beside the wires: keys, knobs, bytes, disconnects and a log that tells the truth."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import orjson
import pytest

from asynccache.simulator import Simulator, SimulatorSettings
from tests.waiting import PATIENCE, soon, until

from .prompts import LONG, chat

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).resolve().parents[2]
SAY = chat("hi", model="gpt-4o", stream=True)


async def post(
    sim: Simulator, body: Any, *, path: str = "/openai/v1/chat/completions", **headers: str
) -> tuple[int, bytes]:
    """Status and body of one request, with an empty key."""
    sent = {"authorization": "Bearer ", **{name.replace("_", "-"): value for name, value in headers.items()}}
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    async with (
        aiohttp.ClientSession() as session,
        session.post(sim.url + path, data=data, headers=sent) as response,
    ):
        return response.status, await response.read()


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "api-key"])
async def test_an_empty_key_is_a_key(sim: Simulator, header: str) -> None:
    """On loopback the empty key is welcome; only a request without any key header is refused."""
    async with aiohttp.ClientSession() as session:
        value = "Bearer " if header == "authorization" else ""
        body = chat("hi", model="gpt-4o")
        async with session.post(
            f"{sim.openai_base}/chat/completions", json=body, headers={header: value}
        ) as response:
            assert response.status == 200
        async with session.post(f"{sim.openai_base}/chat/completions", json=body) as response:
            assert response.status == 401
            assert (await response.json())["error"]["code"] == "invalid_api_key"


async def test_no_key_is_logged(sim: Simulator) -> None:
    """The log knows a digest of the key and nothing more."""
    await post(
        sim, SAY, authorization="Bearer sk-very-secret", x_api_key="sk-also-secret", cookie="session=secret"
    )
    assert "secret" not in repr(sim.log[0])
    assert sim.log[0].headers["authorization"].startswith("sha256:")


async def test_the_log_counts_what_was_sent(sim: Simulator) -> None:
    """Bytes, events and usage in the log are those that arrived."""
    body = {**SAY, "stream_options": {"include_usage": True}}
    _, raw = await post(sim, body)
    [record] = sim.log
    events = raw.split(b"\n\n")[:-1]
    assert record.bytes_sent == len(raw)
    assert record.events_sent == len(events)
    assert events[-1] == b"data: [DONE]"
    assert record.usage == orjson.loads(events[-2].removeprefix(b"data: "))["usage"]
    assert (record.finished, record.closed_by, record.status) == (True, "server", 200)
    assert record.body == body
    assert record.verdict is not None


@pytest.mark.parametrize("scenario", ["{}", '{"stall_after_events":3}', '{"latency":30}'])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_disconnect_is_seen_within_50_ms(scenario: str, stream: bool) -> None:
    """Whether it speaks, stalls or has not begun: the log knows at once when the client has gone."""
    async with Simulator(SimulatorSettings(rate=20, answer_tokens=400)) as sim:
        async with aiohttp.ClientSession() as session:
            headers = {"authorization": "Bearer ", "x-simulator": scenario}
            request = asyncio.create_task(
                _read(session, f"{sim.openai_base}/chat/completions", {**SAY, "stream": stream}, headers)
            )
            await until(lambda: sim.log and sim.log[0].body is not None)
            await anyio.sleep(0.15)
            assert sim.log[0].closed_by is None
            request.cancel()
            await asyncio.wait([request])
            await soon(lambda: sim.log[0].closed_at is not None, within=0.05)
        assert sim.log[0].closed_by == "client"
        assert not sim.log[0].finished


async def _read(session: aiohttp.ClientSession, url: str, body: Any, headers: dict[str, str]) -> None:
    async with session.post(url, json=body, headers=headers) as response:
        await response.read()


async def test_fast_streams_notice_too() -> None:
    """Without any pace a long stream still sees its reader leave."""
    async with Simulator(SimulatorSettings(answer_tokens=200_000)) as sim:
        async with aiohttp.ClientSession() as session:
            headers = {"authorization": "Bearer "}
            async with session.post(
                f"{sim.openai_base}/chat/completions", json=SAY, headers=headers
            ) as response:
                await response.content.readline()
        await until(lambda: sim.log[0].closed_by is not None)
        assert sim.log[0].closed_by == "client"
        assert not sim.log[0].finished


async def test_a_cut_stream_ends_in_the_middle(sim: Simulator) -> None:
    """The socket closes after n events, without the end of the chunked body."""
    with pytest.raises(aiohttp.ClientPayloadError):
        await post(sim, SAY, x_simulator='{"cut_after_events":4}')
    assert (sim.log[0].events_sent, sim.log[0].closed_by, sim.log[0].finished) == (4, "scenario", False)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/openai/v1/chat/completions", SAY),
        ("/deepseek/chat/completions", {**SAY, "model": "deepseek-flash"}),
    ],
)
@pytest.mark.parametrize(("knob", "places"), [("none", 0), ("finish", 1), ("twice", 2), ("every", 3)])
async def test_usage_knobs(sim: Simulator, path: str, body: Any, knob: str, places: int) -> None:
    """Usage nowhere, on the finish chunk, twice, or on every chunk."""
    asked = {**body, "stream_options": {"include_usage": True}}
    _, raw = await post(sim, asked, path=path, x_simulator=orjson.dumps({"usage": knob}).decode())
    lines = [line.removeprefix(b"data: ") for line in raw.split(b"\n\n") if line.startswith(b"data: {")]
    told = [chunk for chunk in map(orjson.loads, lines) if chunk.get("usage")]
    assert len(told) == places if knob != "every" else len(told) > places


async def test_failing_attempts_are_counted_by_id(sim: Simulator) -> None:
    """The first n attempts of an id fail, over whatever connection they come; another id starts anew."""

    def scenario(name: str) -> str:
        return orjson.dumps({"id": name, "status": 429, "times": 2, "retry_after": "1"}).decode()

    statuses = [
        (await post(sim, SAY, x_simulator=scenario(name)))[0] for name in ("a", "a", "b", "a", "b", "b")
    ]
    assert statuses == [429, 429, 429, 200, 429, 200]


async def test_scripted_answers(sim: Simulator) -> None:
    """The text of an answer, or its length, can be given."""
    _, raw = await post(sim, chat("hi", model="gpt-4o"), x_simulator='{"answer":"Grüße, 世界"}')
    assert orjson.loads(raw)["choices"][0]["message"]["content"] == "Grüße, 世界"
    _, raw = await post(sim, chat("hi", model="gpt-4o"), x_simulator='{"answer_tokens":7}')
    assert orjson.loads(raw)["usage"]["completion_tokens"] == 7


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'{"model":"gpt-4o"}', 400),
        (b'{"model":"gpt-4o","messages":[]}', 400),
        (b'{"model":"gpt-4o","messages":[7]}', 400),
        (b'{"model":"gpt-4o","messages":[{"role":"tool","content":"x","tool_call_id":"y"}]}', 400),
        (b'{"model":"gpt-4o","messages":[{"role":"user","content":7}]}', 400),
        (b'{"messages":[{"role":"user","content":"x"}]}', 400),
    ],
)
@pytest.mark.parametrize(
    "path", ["/openai/v1/chat/completions", "/deepseek/chat/completions", "/anthropic/v1/messages"]
)
async def test_bad_bodies(sim: Simulator, raw: bytes, status: int, path: str) -> None:
    """A body that is none is a 400 in the provider's shape, never a fault of the simulator."""
    got, body = await post(sim, raw, path=path, anthropic_version="2023-06-01")
    assert got == status
    assert orjson.loads(body)["error"]["message"]


async def test_too_large(anyio_backend: str) -> None:
    """A body over the limit is a 413."""
    async with Simulator(SimulatorSettings(max_body=1000)) as sim:
        status, body = await post(sim, chat(LONG, model="gpt-4o"))
        assert status == 413
        assert orjson.loads(body)["error"]["message"]


async def test_anthropic_bytes(sim: Simulator) -> None:
    """Named events in the order of the documentation, a ping among them, no [DONE]."""
    body = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 3,
        "stream": True,
        "messages": [{"role": "user", "content": "hi"}],
    }
    _, raw = await post(sim, body, path="/anthropic/v1/messages", anthropic_version="2023-06-01")
    names = [event.split(b"\n")[0].removeprefix(b"event: ").decode() for event in raw.split(b"\n\n")[:-1]]
    assert names == [
        "message_start",
        "content_block_start",
        "ping",
        *["content_block_delta"] * 3,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert b"[DONE]" not in raw
    assert b'"stop_reason":"max_tokens"' in raw


async def test_deepseek_bytes(sim: Simulator) -> None:
    """A keep-alive comment before the stream, blank lines before the JSON, null usage until the finish chunk."""
    body = {**SAY, "model": "deepseek-chat"}
    _, stream = await post(sim, body, path="/deepseek/beta/chat/completions")
    _, whole = await post(sim, {**body, "stream": False}, path="/deepseek/v1/chat/completions")
    assert stream.startswith(b": keep-alive\n\ndata: ")
    assert stream.endswith(b"data: [DONE]\n\n")
    assert whole.startswith(b"\n")
    assert orjson.loads(whole)["object"] == "chat.completion"


async def test_pace(anyio_backend: str) -> None:
    """A rate of 100 tokens a second and a latency of 100 ms take the time that they say, at least."""
    async with Simulator(SimulatorSettings(rate=100, latency=0.1, answer_tokens=20)) as sim:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await post(sim, SAY)
        assert 0.3 <= loop.time() - start < PATIENCE


async def test_fan_out_over_http() -> None:
    """Requests sent together all write; one sent after a first event has come reads."""
    body = {
        "model": "claude-sonnet-4-6",
        "max_tokens": 50,
        "stream": True,
        "system": [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": "hi"}],
    }
    async with Simulator(SimulatorSettings(latency=0.5, rate=100, answer_tokens=10)) as sim:
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(
                    lambda: post(sim, body, path="/anthropic/v1/messages", anthropic_version="2023-06-01")
                )
            await until(lambda: any(record.events_sent for record in sim.log))
            await post(sim, body, path="/anthropic/v1/messages", anthropic_version="2023-06-01")
        verdicts = [record.verdict for record in sim.log]
        assert [bool(verdict and verdict.read) for verdict in verdicts] == [False, False, True]
        assert [bool(verdict and verdict.write_total) for verdict in verdicts] == [True, True, False]


async def test_stops_twice_and_says_when_it_is_not_running() -> None:
    """stop() is idempotent; an address is only there while it listens."""
    sim = await Simulator().start()
    assert sim.anthropic_base.startswith("http://127.0.0.1:")
    await sim.stop()
    await sim.stop()
    with pytest.raises(RuntimeError, match="not running"):
        _ = sim.url


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_run_stops_by_signal(number: signal.Signals) -> None:
    """The process of its own says where it listens and ends cleanly by SIGTERM and Ctrl-C."""
    code = "from asynccache.simulator import run; run(0, started=lambda sim: print(sim.url, flush=True))"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-W",
        "error",
        "-c",
        code,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert (await process.stdout.readline()).startswith(b"http://127.0.0.1:")
    process.send_signal(number)
    _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")


def test_the_face_is_light() -> None:
    """Importing the package loads no aiohttp; its names load it on first use; unknown names say what there is."""
    import subprocess

    code = "import asynccache.simulator as s, sys; assert 'aiohttp' not in sys.modules; s.Simulator; assert 'aiohttp' in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
    import asynccache.simulator as face

    assert face.__all__ == sorted(face.__all__) == sorted(dir(face))
    assert all(getattr(face, name) for name in face.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Simulatr'"):
        face.Simulatr  # noqa: B018
