"""The canary hunt: no key and no word of a prompt on anything that the proxy writes, whatever happens to a call."""

from __future__ import annotations

import asyncio
import json
import logging
import re
import signal
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")

from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from asynccache.proxy.virtual_keys import new_key
from tests.proxy.process import running
from tests.proxy.serving import KEY
from tests.proxy.upstream import DONE, STREAM, WHOLE, Upstream, upstream
from tests.proxy_keys.guarded import Guarded, guarded, make_key
from tests.proxy_page.test_traces import ours

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("tracer provider")]

WORD = "canary7c31"
MORE = "  traces: on\n  traces_older_names: on\n  max_retries: 0\n"
UPSTREAM = "sk-upstream-canary-key"
TOOL = {
    "type": "function",
    "function": {"name": "look", "description": f"{WORD}-tool", "parameters": {"type": "object"}},
}
SAID: dict[str, Any] = {
    "messages": [
        {"role": "system", "content": f"{WORD}-system"},
        {"role": "user", "content": [{"type": "text", "text": f"{WORD}-prompt"}]},
    ],
    "user": f"{WORD}-user",
    "metadata": {"x": f"{WORD}-metadata"},
    "tools": [TOOL],
    "stop": [f"{WORD}-stop"],
}
QUOTED = json.dumps(
    {"error": {"message": f"{WORD}-quoted, key {UPSTREAM}", "type": f"{WORD} type", "code": f"{WORD} code"}}
).encode()
STORY = WHOLE.replace(b"hi ", f"{WORD}-answer ".encode())
TOLD = STREAM.replace(b"The first", f"{WORD}-streamed".encode())


async def ends(proxy: Guarded, provider: Upstream, keys: dict[str, str]) -> list[str]:
    """Every end that a call can have; what the caller was told of those that failed."""
    refusals: list[str] = []

    async def ask(key: str, path: str = "/v1/chat/completions", **more: Any) -> None:
        headers = {
            "authorization": f"Bearer {keys[key]}",
            "x-header": f"{WORD}-header",
            "traceparent": f"{WORD}-parent",
        }
        body = json.dumps({"model": "m", "max_tokens": 20, **SAID, **more})
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.post(proxy.url(path), data=body) as answer,
        ):
            said = await answer.text(errors="replace")
            if answer.status != 200 or '"error"' in said:
                refusals.append(f"{answer.status} {said} {dict(answer.headers)}")

    def give(*pieces: bytes, media: str = "application/json", status: int = 200) -> None:
        provider.answers.clear()
        provider.answer(*pieces, media=media, status=status)

    give(STORY)
    await ask("good")
    await ask("good", "/v1/responses", input=f"{WORD}-input")
    give(TOLD, media="text/event-stream")
    await ask("good", stream=True)
    give(TOLD.replace(DONE, b"")[:-200], media="text/event-stream")
    await ask("good", stream=True)
    for status in (400, 401, 429, 500):
        give(QUOTED, status=status)
        await ask("good")
        await ask("good", stream=True)
        await ask("good", "/v1/messages", max_tokens=9)
    give(f"<html>{WORD}-page {UPSTREAM}".encode(), media="text/html")
    await ask("good")
    give(b"data: {" + WORD.encode() + b"\n\n", media="text/event-stream")
    await ask("good", stream=True)
    give(STORY)
    for key in ("poor", "slow", "slow", "revoked", "stranger", "master"):
        await ask(key)
    await ask("good", model=f"{WORD}-model")
    await ask("good", f"/v1/{WORD}?key={keys['good']}")
    await ask("good", temperature=f"{WORD}-temperature")
    await ask("good", api_base=f"http://{WORD}.example")
    await ask("good", messages=f"{WORD}-messages")
    return refusals


async def test_the_hunt(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, exporter: InMemorySpanExporter
) -> None:
    """Logs at DEBUG, metrics, page, traces, audit log, ledger, errors: no key; no word that was asked or answered."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("asynccache.proxy").debug("the log is heard")
    where, audit = str(tmp_path / "ledger.db"), tmp_path / "audit.jsonl"
    keys = {
        "good": make_key(where, "good"),
        "poor": make_key(where, "poor", budget="0.000001"),
        "slow": make_key(where, "slow", rpm=1),
        "revoked": make_key(where, "revoked"),
        "stranger": new_key(),
        "master": KEY,
    }
    with closing(sqlite3.connect(where, isolation_level=None)) as db:
        db.execute("UPDATE asynccache_keys SET revoked_at = created_at WHERE key_id = 'revoked'")
    looks: dict[str, str] = {}
    async with (
        upstream() as provider,
        guarded(provider, where, audit=audit, more=MORE) as proxy,
        aiohttp.ClientSession(headers={"x-api-key": KEY}) as session,
    ):
        refusals = await ends(proxy, provider, keys)
        for path in ("/metrics", "/ui", "/ui?range=hour&still", "/v1/models", "/model/info", "/openapi.json"):
            looks[path] = await (await session.get(proxy.url(path))).text()
    with closing(sqlite3.connect(where)) as db:
        looks["ledger"] = "\n".join(db.iterdump())
    looks["audit"] = audit.read_text()
    looks["traces"] = "\n".join(span.to_json() for span in ours(exporter))
    looks["log"] = "\n".join(
        f"{record.getMessage()} {record.exc_text or ''}"
        for record in caplog.records
        if not record.name.startswith("asyncio")
    )
    assert len(refusals) >= 20
    assert "refused" in looks["audit"]
    assert "the log is heard" in looks["log"]
    assert len(ours(exporter)) >= 15
    told = {**looks, "refusals": "\n".join(refusals)}
    hidden = {**keys, "upstream": UPSTREAM}
    found = [(place, name) for place, text in told.items() for name, key in hidden.items() if key in text]
    assert found == []
    looks["traces"] = looks["traces"].replace(
        f'"{WORD}-stop"', ""
    )  # the convention's, a parameter, not the prompt
    assert [place for place, text in looks.items() if WORD in text] == []
    said = [one for one in refusals if f"{WORD}-prompt" in one or f"{WORD}-system" in one]
    assert said == []  # an error may quote the field that is wrong, never the prompt


async def test_a_mistake_of_our_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that nobody foresaw is told with the place where it happened, and without its words."""

    def fail(fields: Any) -> int:
        raise ValueError(f"cannot count {fields}")

    monkeypatch.setattr("asynccache.proxy.gate.said_output", fail)
    caplog.set_level(logging.DEBUG)
    where = str(tmp_path / "ledger.db")
    key = make_key(where)
    async with (
        upstream() as provider,
        guarded(provider, where) as proxy,
        aiohttp.ClientSession(headers={"x-api-key": key}) as session,
    ):
        body = json.dumps({"model": "m", **SAID})
        answer = await session.post(proxy.url("/v1/chat/completions"), data=body)
        assert answer.status == 500
        assert WORD not in await answer.text()
    assert "a request failed: ValueError" in caplog.text
    assert "in fail" in caplog.text
    assert WORD not in caplog.text
    assert key not in caplog.text


def of_process(number: int) -> tuple[list[bytes], str]:
    """The command lines of a process and its threads, and its limits, as everybody on the machine can read them."""
    folder = Path(f"/proc/{number}")
    if not folder.exists():
        pytest.skip("there is no /proc here")
    lines = [(folder / "cmdline").read_bytes()]
    for path in folder.glob("task/*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended since the listing
            lines.append(path.read_bytes())
    return lines, (folder / "limits").read_text()


async def test_a_process_and_its_command_line(tmp_path: Path) -> None:
    """Keys come by environment, file and stdout: no command line has one, no stderr, no core is dumped."""
    file, ledger = tmp_path / "config.yaml", tmp_path / "ledger.db"
    key = make_key(str(ledger))
    async with upstream() as provider:
        provider.answer(QUOTED, status=500)
        text = provider.config().replace(UPSTREAM, "os.environ/UP")
        file.write_text(f"{text}asynccache_settings: {{ledger: '{ledger}', max_retries: 0}}\n")
        with running(tmp_path, "--config", str(file), ASYNCCACHE_MASTER_KEY=KEY, UP=UPSTREAM) as proxy:
            async with aiohttp.ClientSession(headers={"x-api-key": key}) as session:
                body = json.dumps({"model": "m", **SAID})
                answer = await session.post(f"{proxy.url}/v1/chat/completions", data=body)
                assert answer.status == 500
                assert provider.heads
            lines, limits = of_process(proxy.process.pid)
            proxy.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(proxy.process.wait, 60) == 0
    assert (
        "/ui/link with the master key gives a link" in proxy.said
    )  # a log is told how, and gets no link itself
    assert "once=" not in proxy.said
    assert re.search(r"Max core file size\s+0\s", limits)
    for secret in (key, KEY, UPSTREAM, WORD):
        assert secret not in proxy.said
        assert not any(secret.encode() in line for line in lines)
