"""Every clock of a call, made to fire: how long it took, and which phase the error names."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from typing import Any

from asynccache import Client, Timeout
from asynccache.errors import APITimeoutError

from .rig import Rig

LIMIT = 0.3  # seconds

Clocked = Callable[[Rig], Awaitable[tuple[float, str]]]


async def fired(rig: Rig, wire: str, limit: Timeout, **asked: Any) -> tuple[float, str]:
    outcome = await rig.ask(wire, timeout=limit, **asked)
    assert isinstance(outcome.error, APITimeoutError), outcome
    assert len(outcome.usages) == 1
    await rig.settled(open_at_most=rig.client.connections, within=5.0)
    return outcome.took, outcome.error.phase


def answered(wire: str, phase: str, *, stream: bool = True, **fault: Any) -> Clocked:
    """A server that answers so that only this clock ends the call."""
    return lambda rig: fired(rig, wire, Timeout(**{phase: LIMIT}), stream=stream, fault=fault)


async def connecting(rig: Rig) -> tuple[float, str]:
    """A port whose queue is full."""
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
        try:
            return await fired(rig, "openai", Timeout(connect=LIMIT), base=f"http://127.0.0.1:{port}/v1")
        finally:
            for sock in waiting:
                sock.close()


async def pooling(rig: Rig) -> tuple[float, str]:
    """A pool of one, whose place is taken."""
    async with Client(max_retries=0, max_connections=1) as client:
        asked = rig.arguments("openai", fault={"cut_event": 3, "end": "stall"})
        async with await client.acompletion(**asked, stream=True):
            outcome = await rig.ask("openai", client=client, timeout=Timeout(connect=LIMIT))
        assert isinstance(outcome.error, APITimeoutError)
        return outcome.took, outcome.error.phase


# phase: how it comes to fire
CLOCKS: dict[str, Clocked] = {
    "connect: nobody accepts": connecting,
    "pool: no place": pooling,
    "first_event: no head": answered("openai", "first_event", delay_head=30.0),
    "first_event: no head, whole": answered("anthropic", "first_event", stream=False, delay_head=30.0),
    "first_event: a head and silence": answered("anthropic", "first_event", cut_event=0, end="stall"),
    "first_event: a head and single bytes": answered("openai", "first_event", cut_event=0, end="drip"),
    "first_event: a head and pings": answered("anthropic", "first_event", cut_event=0, end="pings"),
    "idle: silence": answered("openai", "idle", cut_event=6, end="stall"),
    "idle: single bytes": answered("openai", "idle", cut_event=6, end="drip"),
    "idle: pings": answered("anthropic", "idle", cut_event=6, end="pings"),
    "idle: frames that stop": answered("converse", "idle", cut_event=6, end="stall"),
    "idle: within a frame": answered("invoke", "idle", cut_byte=2000, end="stall"),
    "total: never quite idle": answered("openai", "total", split=1, delay_event=0.1, delay_head=0.2),
    "total: frames": answered("converse", "total", split=1, delay_event=0.1, delay_head=0.2),
    "total: a whole answer": answered("deepseek", "total", stream=False, delay_head=30.0),
}
