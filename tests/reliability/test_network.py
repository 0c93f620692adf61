"""Networks that lead nowhere and certificates that prove nothing end in errors of ours, in time. Rows 77 and 78."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from asynccache.simulator import Simulator
from asynccache.simulator.faults import Faults

from .rig import settings

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[2]
ASK = """
import asyncio, json, sys, time
from asynccache import AsyncCacheError, Client, Timeout
async def main():
    told = []
    async with Client(max_retries=int(sys.argv[2]), timeout=Timeout(connect=float(sys.argv[3])), on_usage=told.append) as client:
        begun = time.monotonic()
        try:
            await client.acompletion("openai/gpt-4o", [{"role": "user", "content": "hi"}], api_key="k", api_base=sys.argv[1])
            kind = code = phase = None
        except AsyncCacheError as error:
            kind, code, phase = type(error).__name__, error.code, getattr(error, "phase", None)
        print(json.dumps({"kind": kind, "code": code, "phase": phase, "took": time.monotonic() - begun, "attempts": len(told)}))
asyncio.run(main())
"""
NOWHERE = [
    "unshare",
    "-rn",
    "sh",
    "-c",
    'ip link set lo up && ip route add 10.0.0.0/8 dev lo && exec "$@"',
    "sh",
]


async def ask(
    base: str, *around: str, retries: int = 3, limit: float = 30.0, **environ: str
) -> dict[str, Any]:
    """What came of one call in a process of its own, *limit* seconds for its connection."""
    process = await asyncio.create_subprocess_exec(
        *around, sys.executable, "-c", ASK, base, str(retries), str(limit),
        cwd=ROOT, env={"PATH": os.environ.get("PATH", ""), **environ},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, complained = await process.communicate()
    assert process.returncode == 0, complained.decode()
    told: dict[str, Any] = json.loads(said)
    return told


@pytest.fixture(scope="module")
def nowhere() -> list[str]:
    """A network of its own, where 10.0.0.0/8 swallows what is sent and nothing else is there."""
    if not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("no unshare or no ip")
    if subprocess.run([*NOWHERE, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no network namespaces without privileges here")
    return NOWHERE


async def test_unreachable(nowhere: list[str]) -> None:
    """Row 77: a network that is not there is an error at once, of the connection, not of its limit."""
    told = await ask("http://192.168.1.1:9/v1", *nowhere, retries=0)
    assert (told["kind"], told["phase"], told["attempts"]) == ("APIConnectionError", None, 1)
    assert told["took"] < 20


async def test_swallowed(nowhere: list[str]) -> None:
    """Row 77: a connection that nobody answers ends with the limit of the connection, and says so."""
    told = await ask("http://10.1.2.3:9/v1", *nowhere, retries=0, limit=0.5)
    assert (told["kind"], told["phase"], told["attempts"]) == ("APITimeoutError", "connect", 1)
    assert 0.45 <= told["took"] <= 20  # the kernel tries for two minutes


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate authority, and what it has signed: good, expired, for another name."""
    folder = tmp_path_factory.mktemp("authority")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], check=True, cwd=folder, capture_output=True)

    try:
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=ca",
                "-addext", "keyUsage=critical,keyCertSign", "-keyout", "ca.key", "-out", "ca.pem")  # fmt: skip
        openssl(
            "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x", "-keyout", "key.pem", "-out", "x.csr"
        )
        for name, days, address in (("good", "2", "IP:127.0.0.1"), ("expired", "-1", "IP:127.0.0.1"), ("other", "2", "DNS:elsewhere.test")):  # fmt: skip
            (folder / "names").write_text(f"subjectAltName={address}\nauthorityKeyIdentifier=keyid\n")
            openssl("x509", "-req", "-in", "x.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                    "-days", days, "-extfile", "names", "-out", f"{name}.pem")  # fmt: skip
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no certificates can be made: {error}")
    return folder


@pytest.fixture
async def sim(anyio_backend: str) -> AsyncIterator[Simulator]:
    async with Simulator(settings()) as made:
        yield made


@pytest.mark.parametrize("name", ["good", "expired", "other"])
async def test_certificates(sim: Simulator, authority: Path, name: str) -> None:
    """Row 78: signed by one who is trusted, for this name and this day, or not at all: tried once, nothing is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority / f"{name}.pem", authority / "key.pem")
    async with Faults(sim, tls=context) as secure:
        told = await ask(secure.openai_base, SSL_CERT_FILE=str(authority / "ca.pem"))
        assert told["attempts"] == 1
        assert len(secure.log) == (name == "good")
    assert (told["kind"], told["code"]) == ((None, None) if name == "good" else ("APIConnectionError", "tls"))


async def test_cut_handshake() -> None:
    """Row 78: a handshake that is cut is a connection that broke: an error of ours, and worth another attempt."""
    seen = 0

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal seen
        seen += 1
        await reader.read(100)
        writer.close()

    async with await asyncio.start_server(cut, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        told = await ask(f"https://127.0.0.1:{port}/v1", retries=1)
    assert told["kind"] == "APIConnectionError"
    assert told["attempts"] == seen == 2
