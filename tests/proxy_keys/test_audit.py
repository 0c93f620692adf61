"""The audit log: every change is seen, every refusal is told once, and no line holds a key or a prompt."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from asynccache.errors import ConfigurationError
from asynccache.proxy.audit import Audit, config_hash, verify_audit
from asynccache.proxy.config import parse_config
from asynccache.proxy.settings import Config
from asynccache.proxy.virtual_keys import new_key
from asynccache.proxy.yaml_source import parse_yaml
from asynccache.secret import Secret
from tests.cli.command import environment, run
from tests.proxy.process import running
from tests.proxy.serving import KEY
from tests.proxy.upstream import Upstream
from tests.waiting import PATIENCE

from .guarded import HELLO, PRICES, Guarded, guarded, make_key, settings

pytestmark = pytest.mark.anyio


def written(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of twelve lines."""
    file = tmp_path / "audit.jsonl"
    for start in range(3):
        audit = Audit(file)
        for event in range(4):
            audit.tell("key_used", key=f"team-{start}-{event}")
        audit.close()
    return file


TAMPERING: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "a word": lambda lines: [*lines[:5], lines[5].replace(b"team-1", b"team-9"), *lines[6:]],
    "a time": lambda lines: [*lines[:5], lines[5].replace(b'"at":"2', b'"at":"1'), *lines[6:]],
    "one dropped": lambda lines: lines[:5] + lines[6:],
    "the first dropped": lambda lines: lines[1:],
    "one twice": lambda lines: [*lines[:5], lines[4], *lines[5:]],
    "two swapped": lambda lines: [*lines[:5], lines[6], lines[5], *lines[7:]],
    "one of another log": lambda lines: [*lines[:5], lines[0], *lines[6:]],
    "an empty one": lambda lines: [*lines[:5], b"\n", *lines[5:]],
    "no end": lambda lines: [*lines[:-1], lines[-1][:-20]],
    "no line feed": lambda lines: [*lines[:-1], lines[-1][:-1]],
}


@pytest.mark.parametrize("name", TAMPERING)
def test_tampering_is_seen(name: str, log: Path) -> None:
    """Whatever is changed, dropped, added or moved: the chain breaks there, and the command says so."""
    lines = log.read_bytes().splitlines(keepends=True)
    verdict = verify_audit(log)
    assert (len(lines), verdict.lines, verdict.trouble) == (12, 12, None)
    changed = TAMPERING[name](list(lines))
    assert changed != lines
    log.write_bytes(b"".join(changed))
    verdict = verify_audit(log)
    first = next(place for place, line in enumerate(changed) if place >= 12 or line != lines[place])
    assert verdict.lines == first
    assert (verdict.trouble or "").startswith(f"line {first + 1} ")


def test_every_byte_counts(log: Path) -> None:
    """No bit of the file can be changed unseen: a thousand of them are tried."""
    good = log.read_bytes()
    for place in random.sample(range(len(good)), 1000):
        log.write_bytes(good[:place] + bytes([good[place] ^ (1 << random.randrange(8))]) + good[place + 1 :])
        assert verify_audit(log).trouble is not None, place
    log.write_bytes(good)
    assert verify_audit(log).trouble is None


def test_lines_missing_at_the_end_are_seen_by_the_last_hash(log: Path) -> None:
    """The chain of what is left holds; a hash that was kept elsewhere shows that something is missing."""
    head = verify_audit(log).head
    assert verify_audit(log, head=head).trouble is None
    done = run("audit", str(log), "--head", head)
    assert (done.returncode, head in done.stdout) == (0, True)
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:-1]))
    assert verify_audit(log).trouble is None
    assert verify_audit(log, head=head).trouble is not None
    done = run("audit", str(log), "--head", head)
    assert (done.returncode, done.stdout) == (1, "")


def test_a_changed_log_is_not_continued(log: Path) -> None:
    """A proxy does not write on over a break, which would bury it."""
    log.write_bytes(log.read_bytes().replace(b"team-1", b"team-9"))
    with pytest.raises(
        ConfigurationError, match=r"was changed: line 5 was changed; keep it, and name another"
    ):
        Audit(log)


def test_a_torn_line_is_cut_off_and_told(log: Path) -> None:
    """What a power failure left of a line was never part of the chain."""
    whole = log.read_bytes()
    log.write_bytes(whole + b'{"n":13,"at":"20')
    Audit(log).close()
    assert log.read_bytes().startswith(whole)
    assert (verify_audit(log).lines, verify_audit(log).trouble) == (13, None)
    assert (written(log)[-1]["event"], written(log)[-1]["bytes"]) == ("torn", 16)


def test_one_writer_and_its_owner_alone(log: Path) -> None:
    """Two processes cannot interleave their lines; nobody else may read them."""
    audit = Audit(log)
    with pytest.raises(ConfigurationError, match="is being written by another process"):
        Audit(log)
    audit.close()
    audit.close()
    assert log.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConfigurationError, match="cannot be written"):
        Audit(log.parent / "nowhere" / "audit.jsonl")


def test_a_flood_is_counted(tmp_path: Path) -> None:
    """A hundred thousand wrong keys are a few lines, and cost their callers nothing but a moment."""
    audit = Audit(tmp_path / "audit.jsonl")
    began, worked = time.monotonic(), time.thread_time()
    for number in range(100_000):
        audit.tell_stranger(number.to_bytes(32))
    assert time.thread_time() - worked < 2  # of this thread's own work, however busy the machine is
    audit.close()
    lines = written(tmp_path / "audit.jsonl")
    assert len(lines) < 40 + 12 * (time.monotonic() - began)  # a few lines for each quarter of a second
    assert sum(line.get("count", 1) for line in lines) == 100_000
    assert verify_audit(tmp_path / "audit.jsonl").trouble is None


FULL = """
import logging, resource, signal, sys, time
from pathlib import Path
from asynccache.proxy.audit import Audit

class Told(logging.StreamHandler):
    said = ""
    def emit(self, record):
        super().emit(record)
        Told.said += record.getMessage()

logging.basicConfig(handlers=[Told(sys.stderr)])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
file = Path(sys.argv[1])
audit = Audit(file)

def wait(is_so):
    until = time.monotonic() + 20
    while not is_so() and time.monotonic() < until:
        time.sleep(0.02)
    assert is_so()

audit.tell("key_used", key="before")
wait(lambda: b"before" in file.read_bytes())
resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 100, resource.RLIM_INFINITY))
for number in range(3000):
    audit.tell("key_used", key=f"meanwhile-{number}")
wait(lambda: "cannot be written" in Told.said)
for number in range(3000):
    audit.tell_stranger(number.to_bytes(32))
if sys.argv[2] == "room":
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait(lambda: b"invalid_api_key" in file.read_bytes())
audit.tell("stop")
audit.close()
"""
"""A disk that is full, as the kernel tells it: a limit on the size of files."""


@pytest.mark.parametrize("ending", ["room", "no room"])
def test_a_full_disk(ending: str, tmp_path: Path) -> None:
    """What finds no room waits or is counted; the chain goes on where it was, to the byte, now or at the next start."""
    file = tmp_path / "audit.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(file), ending],
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("cannot be written: File too large") == 1
    assert ("lacks its last lines" in done.stderr) == (ending == "no room")
    if ending == "room":
        counts = {line["event"]: 0 for line in written(file)}
        for line in written(file):
            counts[line["event"]] += line.get("count", 1)
        assert sum(counts.values()) == 1 + 3000 + 3000 + 1
        assert set(counts) == {"key_used", "untold", "refused", "stop"}
    Audit(file).close()
    assert verify_audit(file).trouble is None
    assert written(file)[-1]["event"] == ("stop" if ending == "room" else "torn")


def test_a_log_that_is_taken_away(log: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whoever moves or removes it under a running proxy is told so, once; its lines go on where it is."""
    audit = Audit(log)
    moved = log.rename(log.with_suffix(".1"))
    for number in range(2):
        audit.tell("key_used", key=f"after-{number}")
        until = time.monotonic() + PATIENCE
        while f"after-{number}" not in moved.read_text() and time.monotonic() < until:
            time.sleep(0.02)
    audit.close()
    assert verify_audit(moved) == verify_audit(moved, head=verify_audit(moved).head)
    assert verify_audit(moved).lines == 14
    assert caplog.text.count("was moved or removed") == 1
    assert not log.exists()


def test_the_hash_of_a_configuration() -> None:
    """It changes with what is configured; a secret cannot be tried out against it."""
    text = b"model_list: [{model_name: m, litellm_params: {model: openai/gpt-4o, api_key: %b}}]"
    one, two, other = (
        parse_config(parse_yaml(text % key + more, "c", {}), {})
        for key, more in (
            (b"sk-1", b""),
            (b"sk-2", b""),
            (b"sk-1", b"\nasynccache_settings: {max_retries: 9}"),
        )
    )
    assert config_hash(one) == config_hash(two) != config_hash(other)
    assert config_hash(Config(master_key=Secret("a"))) == config_hash(Config(master_key=Secret("b")))
    hashes = [
        config_hash(parse_config(parse_yaml(text.encode(), "c", {}), {}))
        for text in (
            "asynccache_settings: {ledger: 'postgresql://u:one@db:5/l?password=x'}",
            "asynccache_settings: {ledger: 'postgresql://u:tw@o@db:5/l?password=y'}",
            "asynccache_settings: {ledger: 'postgresql://u:one@other:5/l'}",
        )
    ]
    assert hashes[0] == hashes[1] != hashes[2]
    row = (
        "model_list: [{model_name: m, litellm_params: {model: openai/x, extra_headers: {Authorization: %s}}}]"
    )
    one, two = (config_hash(parse_config(parse_yaml((row % word).encode(), "c", {}), {})) for word in "ab")
    assert one == two


PROMPT = "canary-prompt-7f3a"


async def looked(proxy: Guarded, path: str, key: str) -> int:
    """The status of a look."""
    async with (
        aiohttp.ClientSession(headers={"x-api-key": key}) as session,
        session.get(proxy.url(path)) as answer,
    ):
        return answer.status


async def test_what_is_told_and_what_never(
    provider: Upstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Start, use, every refusal and budget stop are told; no key is, anywhere at DEBUG, and no prompt by us."""
    caplog.set_level(logging.DEBUG)
    where, file = str(tmp_path / "ledger.db"), tmp_path / "audit.jsonl"
    good, poor, slow = (
        make_key(where),
        make_key(where, "poor", budget="0.001"),
        make_key(where, "slow", rpm=1),
    )
    stranger, old = new_key(), make_key(where, "old")
    assert run("keys", "revoke", where, "old").returncode == 0
    said = {"messages": [{"role": "user", "content": PROMPT}]}
    async with guarded(provider, where, audit=file) as proxy:
        for _ in range(3):
            assert (await proxy.post(good, body=said))[0] == 200
        assert (await proxy.post(good, body=said, model=PROMPT))[0] == 403
        assert (await proxy.post(poor, body=said))[0] == 402
        assert [(await proxy.post(slow, body=said))[0] for _ in range(2)] == [200, 429]
        for path in ("/metrics", "/ui", "/ui/link"):
            assert await looked(proxy, path, good) == 403
        assert await looked(proxy, "/ui/link", KEY) == 200
        for wrong in (stranger, old, ""):
            for _ in range(2):
                assert (await proxy.post(wrong, body=said))[0] == 401
    told = {(line["event"], line.get("code"), line.get("key")): 0 for line in written(file)}
    for line in written(file):
        told[line["event"], line.get("code"), line.get("key")] += line.get("count", 1)
    assert told == {
        ("start", None, None): 1,
        ("key_used", None, "team"): 3,
        ("refused", "model_not_allowed", "team"): 1,
        ("refused", "master_key_needed", "team"): 3,
        ("page_link", None, "master"): 1,
        ("budget_stop", "budget_exceeded", "poor"): 1,
        ("key_used", None, "slow"): 1,
        ("refused", "requests_per_minute", "slow"): 1,
        ("refused", "invalid_api_key", None): 4,
        ("refused", "invalid_api_key", "old"): 2,
        ("stop", None, None): 1,
    }
    assert verify_audit(file).trouble is None
    assert len(written(file)[0]["config"]) == 64
    with closing(sqlite3.connect(where)) as db:
        kept = "\n".join(db.iterdump())
    assert "asynccache_keys" in kept
    assert "asynccache_budgets" in kept
    texts = {"audit": file.read_text(), "log": caplog.text, "database": kept}
    for place, text in texts.items():
        for canary in (good, poor, slow, stranger, old, "sk-upstream-canary-key"):
            assert canary not in text, (place, canary)
    for text in texts.values():
        assert PROMPT not in text


async def test_a_web_page_that_asked_is_told(provider: Upstream, tmp_path: Path) -> None:
    """Where no key is asked for, a page that was refused stands in the log; its name does not."""
    file = tmp_path / "audit.jsonl"
    async with guarded(provider, audit=file, master=False) as proxy, aiohttp.ClientSession() as session:
        for _ in range(2):
            answer = await session.get(proxy.url("/v1/models"), headers={"host": "rebound.example"})
            assert answer.status == 403
    told = Counter[tuple[str, str | None]]()
    for line in written(file):  # like events share a line where they happen in the same quarter of a second
        told[line["event"], line.get("code")] += line.get("count", 1)
    assert told == {("start", None): 1, ("refused", "forbidden"): 2, ("stop", None): 1}
    assert "rebound" not in file.read_text()


async def test_a_proxy_as_it_is_started(provider: Upstream, tmp_path: Path) -> None:
    """The command opens ledger, keys and log; SIGHUP is told with the new hash, and so is the end."""
    import signal

    where, file, config = str(tmp_path / "ledger.db"), tmp_path / "audit.jsonl", tmp_path / "config.yaml"
    text = provider.config(more=PRICES + settings(ledger=where, audit=file))
    config.write_text(text)
    key = make_key(where, budget="1")
    with running(tmp_path, "--config", str(config)) as proxy:
        async with aiohttp.ClientSession(headers={"x-api-key": key}) as session:
            async with session.post(f"{proxy.url}/v1/chat/completions", json=HELLO) as answer:
                assert answer.status == 200
            config.write_text(text + "  max_retries: 1\n")
            proxy.process.send_signal(signal.SIGHUP)
            await asyncio.to_thread(proxy.wait_for, "was read again")
            async with session.post(f"{proxy.url}/v1/chat/completions", json=HELLO) as answer:
                assert answer.status == 200  # the database's keys are still in
        proxy.process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(proxy.process.wait, PATIENCE) == 0
        assert "Traceback" not in proxy.said
        assert "Error" not in proxy.said
    lines = [line for line in written(file) if line["event"] != "key_used"]
    assert [line["event"] for line in lines] == ["start", "reload", "stop"]
    assert lines[0]["config"] != lines[1]["config"]
    assert lines[0]["address"].startswith("127.0.0.1:")
    assert verify_audit(file).trouble is None
    listed = await asyncio.to_thread(run, "keys", "list", where, "--json")
    assert json.loads(listed.stdout)["keys"][0]["spent"] == "0.02"
