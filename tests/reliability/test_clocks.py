"""Every wait ends, each by its own limit, whatever the server keeps saying. Guarantee 9; aiohttp 3.14.5."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from asynccache import AsyncCacheError, Client, Timeout
from asynccache.errors import APIConnectionError, APITimeoutError
from asynccache.simulator.faults import Faults
from tests.waiting import until

from .clocked import LIMIT
from .measure import clocks
from .rig import BOTH, SOON, TEXT, WIRES, Rig

pytestmark = pytest.mark.anyio


SLACK = SOON  # seconds that a busy machine may add; by the clock it is `test_clocks_by_the_clock`


async def timed_out(rig: Rig, wire: str, phase: str, *, stream: bool = True, **asked: Any) -> None:
    outcome = await rig.ask(wire, stream=stream, timeout=Timeout(**{phase: LIMIT}), **asked)
    assert isinstance(outcome.error, APITimeoutError), outcome
    assert outcome.error.phase == phase
    assert LIMIT * 0.95 <= outcome.took <= LIMIT + SLACK
    assert len(outcome.usages) == 1
    await rig.settled()


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("stream", BOTH)
async def test_no_head(rig: Rig, wire: str, stream: bool) -> None:
    """Row 72: a server that never answers."""
    await timed_out(rig, wire, "first_event", stream=stream, fault={"delay_head": 30.0})


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("end", ["stall", "drip", "pings", "flood"])
async def test_nothing_but_noise_at_first(rig: Rig, wire: str, end: str) -> None:
    """Rows 74, 75: a head, then silence, single bytes, pings or one endless line, and never an event."""
    if end == "flood":
        outcome = await rig.ask(wire, fault={"cut_event": 0, "end": end}, timeout=Timeout(first_event=LIMIT))
        assert outcome.error is not None
        assert outcome.took < LIMIT + SLACK
        return
    if wire in {"converse", "invoke"} and end in {
        "drip",
        "pings",
    }:  # no frame begins so: it is refused earlier
        outcome = await rig.ask(wire, fault={"cut_event": 0, "end": end}, timeout=Timeout(first_event=LIMIT))
        assert outcome.error is not None
        assert outcome.took < LIMIT + SLACK
        return
    await timed_out(rig, wire, "first_event", fault={"cut_event": 0, "end": end})


@pytest.mark.parametrize("wire", ["openai", "anthropic", "deepseek"])
@pytest.mark.parametrize("end", ["stall", "drip", "pings"])
async def test_noise_after_some_text(rig: Rig, wire: str, end: str) -> None:
    """Rows 73, 74, 75: aiohttp's own `sock_read` never fires at a drip or at pings; the idle clock does."""
    await timed_out(rig, wire, "idle", fault={"cut_event": 6, "end": end})


@pytest.mark.parametrize("wire", ["converse", "invoke"])
async def test_frames_that_stop(rig: Rig, wire: str) -> None:
    """Row 73: frames that stop, between two or within one."""
    await timed_out(rig, wire, "idle", fault={"cut_event": 6, "end": "stall"})
    await timed_out(rig, wire, "idle", fault={"cut_byte": 2000, "end": "stall"})


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("stream", BOTH)
async def test_the_whole_call(rig: Rig, wire: str, stream: bool) -> None:
    """The total bounds a server that is never quite idle, the retries and their pauses included."""
    await timed_out(
        rig, wire, "total", stream=stream, fault={"split": 1, "delay_event": 0.1, "delay_head": 0.2}
    )
    usages: list[Any] = []
    async with Client(max_retries=50, timeout=Timeout(total=LIMIT)) as client:
        begun = time.monotonic()
        with pytest.raises(AsyncCacheError):
            await client.acompletion(
                **rig.arguments(wire, scenario={"status": 503}, on_usage=usages.append), stream=stream
            )
        assert time.monotonic() - begun <= LIMIT + SLACK
    assert 1 <= len(usages) <= 3


@pytest.mark.parametrize("wire", WIRES)
async def test_stall_after_the_terminator(rig: Rig, wire: str) -> None:
    """The answer ends with its terminator; what the server does then holds nobody up."""
    for end in ("stall", "drip", "pings", "bad_chunk", "half_close"):
        outcome = await rig.ask(wire, fault={"end": end})
        assert outcome.error is None
        assert outcome.text == TEXT
        assert outcome.took < SLACK
    await rig.settled()


async def test_slow_reader_uses_no_time_up(rig: Rig) -> None:
    """Row 76: a reader's own slowness fires no clock of the server's."""
    asked = rig.arguments("openai", fault={"delay_event": 0.01}, timeout=Timeout(idle=1.0))
    seen = 0
    async with await rig.client.acompletion(**asked, stream=True) as stream:
        async for _ in stream:
            seen += 1
            if seen in {2, 3}:
                await asyncio.sleep(1.2)
    assert stream.usage is not None
    assert stream.usage.source == "provider"


async def test_connections_that_are_not_made(rig: Rig) -> None:
    """Row 77: a refused port and a name that does not exist are errors of ours, at once."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        for base in (f"http://127.0.0.1:{port}/v1", "http://no-such-host.invalid/v1"):
            outcome = await rig.ask("openai", base=base, timeout=Timeout(connect=2.0))
            assert isinstance(outcome.error, APIConnectionError)
            assert outcome.took < 2.0 + SLACK
            assert len(outcome.usages) == 1


async def test_connection_that_nobody_accepts(rig: Rig) -> None:
    """Row 77: a port whose queue is full answers nothing; the limit of the connection fires."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = []
        for _ in range(4):  # fill the queue
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
            waiting.append(sock)
        outcome = await rig.ask("openai", base=f"http://127.0.0.1:{port}/v1", timeout=Timeout(connect=LIMIT))
        for sock in waiting:
            sock.close()
    assert isinstance(outcome.error, APITimeoutError)
    assert outcome.error.phase == "connect"
    assert LIMIT * 0.95 <= outcome.took <= LIMIT + SLACK


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that nobody has signed but itself."""
    folder = tmp_path_factory.mktemp("tls")
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")],
        check=False, capture_output=True,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("no openssl to make a certificate with")
    return folder


async def test_certificate_of_nobody(rig: Rig, certificate: Path) -> None:
    """Row 78: a self-signed certificate is an error of ours with code `tls`, tried once and never again."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    async with Faults(rig.sim, tls=context) as secure, Client(max_retries=3) as client:
        outcome = await rig.ask("openai", client=client, base=secure.openai_base)
        assert isinstance(outcome.error, APIConnectionError)
        assert outcome.error.code == "tls"
        assert len(outcome.usages) == 1
        assert not secure.log


async def test_plain_text_where_tls_is_spoken(rig: Rig) -> None:
    """Row 78: HTTPS to a port that speaks HTTP is an error of ours, tried once."""
    async with Client(max_retries=3) as client:
        base = rig.sim.openai_base.replace("http://", "https://")
        outcome = await rig.ask("openai", client=client, base=base, timeout=Timeout(connect=1.0))
    assert isinstance(outcome.error, APIConnectionError)
    assert outcome.took < 1.0 + SLACK
    assert len(outcome.usages) == 1


@pytest.mark.parametrize("wire", WIRES)
async def test_connection_closed_without_an_answer(rig: Rig, wire: str) -> None:
    """Row 14 of the transport: a server that takes the request and hangs up."""
    outcome = await rig.ask(wire, fault={"no_answer": True})
    assert isinstance(outcome.error, APIConnectionError)
    assert len(outcome.usages) == 1


async def test_stale_connections(rig: Rig) -> None:
    """Row 80: a connection that the server closed while it lay in the pool costs no call."""
    async with Client(max_retries=0) as client:
        for _ in range(5):
            outcome = await rig.ask("openai", client=client, fault={"hang_up": True})
            assert outcome.error is None
            pool: Any = client._transport._session.connector  # type: ignore[union-attr]
            lying = [protocol for idle in pool._conns.values() for protocol, _ in idle]
            await until(lambda lying=lying: not any(one.is_connected() for one in lying))  # it has heard
    assert len(rig.sim.log) == 5


async def test_waiting_for_a_place(rig: Rig) -> None:
    """Row 79: 200 calls share 10 places in the order that they came, and none is lost."""
    order: list[int] = []
    async with Client(max_retries=0, max_connections=10) as client:

        async def call(number: int) -> None:
            await rig.ask("openai", client=client, stream=number % 2 == 0)
            order.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(200):
                group.create_task(call(number))
    assert sorted(order) == list(range(200))
    assert max(abs(number - place) for place, number in enumerate(order)) < 60
    assert rig.faults.accepted <= 12


@pytest.mark.slow  # pytest -m slow tests/reliability/test_clocks.py, on a quiet machine
async def test_clocks_by_the_clock(rig: Rig) -> None:
    """Guarantee 9: each of 15 ways to make a clock fire does so within 250 ms of its limit, and not before it."""
    for name, late in (await clocks(rig)).items():
        assert -1 <= late <= 250, name
