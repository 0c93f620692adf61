"""Wrong keys of every kind: the same steps, counted rather than timed, and the same answer, however they are sent."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from asynccache.errors import AuthenticationError
from asynccache.proxy.audit import Audit
from asynccache.proxy.gate import Gate
from asynccache.proxy.settings import Config
from asynccache.proxy.virtual_keys import digest_of, new_key
from asynccache.secret import Secret
from asynccache.usage.ledger_keys import Key, Rights
from tests.proxy.serving import KEY
from tests.proxy.upstream import Upstream
from tests.waiting import PATIENCE

from .guarded import ASK, guarded, make_key

pytestmark = pytest.mark.anyio

NOW = datetime.now(UTC)


def kept(key: str, *, revoked: bool = False, expires: datetime | None = None) -> Key:
    rights = Rights(models=("m",), expires=expires)
    return Key(id=new_key()[:20], digest=digest_of(key), rights=rights, revoked=NOW if revoked else None)


def steps(work: Callable[[], object]) -> list[str]:
    """Every Python and C function that *work* enters, every line that it runs, in order; a collection is none of it."""
    found: list[str] = []

    def note(frame: FrameType, event: str, argument: Any) -> None:
        name = getattr(argument, "__qualname__", "") if event.startswith("c_") else frame.f_code.co_qualname
        found.append(f"{event} {name}")

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        found.append(f"{event} {frame.f_code.co_qualname}:{frame.f_lineno}")
        return trace

    gc.disable()
    sys.setprofile(note)
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(None)
        sys.setprofile(None)
        gc.enable()
    return found


@pytest.mark.parametrize("audited", [False, True])
def test_every_kind_takes_the_same_steps(
    audited: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Function by function and line by line: no kind of wrong key is told from another by the work that it makes."""
    monkeypatch.setattr("asynccache.proxy.audit._GATHERING", 0.01)
    audit = Audit(tmp_path / "audit.jsonl") if audited else None
    gate = Gate(audit=audit)
    gate.use(Config(master_key=Secret(KEY)))
    good, revoked, expired = new_key(), new_key(), new_key()
    past = NOW - timedelta(days=1)
    gate.ring.load([kept(good), kept(revoked, revoked=True), kept(expired, expires=past)])
    wrong = {
        "unknown": new_key(),
        "revoked": revoked,
        "expired": expired,
        "near": good[:-1] + ("A" if good[-1] != "A" else "B"),
        "short": "x",
        "no prefix": good[3:],
        "long": good * 100,
        "not ASCII": "ключ",
        "not UTF-8": "\udcff\udcfe",
        "a digest": digest_of(good).hex(),
    }

    def attempt(key: str) -> list[str]:
        """Its steps, while the log's thread waits for something to write: whether it is to be woken is chance."""
        limit = time.monotonic() + PATIENCE
        while audit is not None and not audit._changed._waiters and time.monotonic() < limit:  # type: ignore[attr-defined]  # of threading
            time.sleep(0.001)
        return steps(lambda: refused(key))

    def refused(key: str) -> None:
        try:
            gate.admit({"authorization": f"Bearer {key}"})
        except AuthenticationError:
            return
        pytest.fail("let in")

    def let_in() -> None:
        assert gate.admit({"authorization": f"Bearer {good}"}) is not None

    try:
        attempt(good[:-2])  # what is done once is done
        told = {kind: attempt(key) for kind, key in wrong.items()}
        assert {kind for kind, found in told.items() if found != told["unknown"]} == set()
        assert any("compare_digest" in step for step in told["unknown"])
        assert steps(let_in) != told["unknown"]  # the count can tell paths apart
    finally:
        if audit is not None:
            audit.close()


async def raw(proxy_url: str, head: bytes) -> bytes:
    """Send bytes as they are; all that comes back."""
    host, _, port = proxy_url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    body = json.dumps(ASK[1]).encode()
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        + head
        + b"\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )
    async with asyncio.timeout(PATIENCE):
        said = await reader.read()
    writer.close()
    return said


STRANGE = {
    "empty": (b"x-api-key:", 401),
    "no scheme": (b"authorization: %b", 401),
    "another scheme": (b"authorization: Basic %b", 401),
    "a lone scheme": (b"authorization: Bearer", 401),
    "two words": (b"authorization: Bearer %b %b", 401),
    "not UTF-8": (b"x-api-key: \xff\xfe\xfd", 401),
    "not ASCII": ("x-api-key: ключ".encode(), 401),
    "seven kilobytes": (b"x-api-key: " + b"k" * 7000, 401),
    "nine kilobytes": (b"x-api-key: " + b"k" * 9000, 400),
    "a NUL": (b"x-api-key: %b\x00", 400),
    "a folded one": (b"x-api-key: %b\r\n more", 400),
    "the wrong one first": (b"authorization: Bearer wrong\r\nx-api-key: %b", 401),
    "in the address": (b"referer: /?key=%b", 401),
    "a cookie": (b"cookie: key=%b", 401),
}


@pytest.mark.parametrize("name", STRANGE)
async def test_strange_headers(
    name: str, provider: Upstream, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """However a key is misspelt or hidden, nobody is let in, nothing is sent, and nothing of it is said or logged."""
    caplog.set_level(logging.DEBUG)
    where = str(tmp_path / "ledger.db")
    good = make_key(where).encode()
    head, status = STRANGE[name]
    async with guarded(provider, where) as proxy:
        said = await raw(proxy.url(), head.replace(b"%b", good))
        assert said.split(b" ")[1] == b"%d" % status
        assert good not in said
        assert b"k" * 100 not in said
        assert good.decode() not in caplog.text
        assert "kkkkkkkkkk" not in caplog.text
        assert provider.bodies == []
        assert (await proxy.post(good.decode()))[0] == 200


async def test_both_headers_as_the_sdks_send_them(provider: Upstream, tmp_path: Path) -> None:
    """Any case of the scheme, spaces around the key, either header: the key is found."""
    where = str(tmp_path / "ledger.db")
    good = make_key(where).encode()
    async with guarded(provider, where) as proxy:
        for head in (
            b"authorization: Bearer %b",
            b"AUTHORIZATION: bearer  %b ",
            b"x-api-key: %b",
            b"X-Api-Key:%b",
            b"authorization: Basic dXNlcjpw\r\nx-api-key: %b",
        ):
            said = await raw(proxy.url(), head.replace(b"%b", good))
            assert said.startswith(b"HTTP/1.1 200 ")
