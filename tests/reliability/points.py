"""One call is cancelled at its k-th suspension, for every k, in three ways; what it leaves behind is looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from typing import Any

import anyio

from asynccache import AsyncCacheError, Client, Usage, default_stages
from asynccache.retry import Retry
from asynccache.retry import retry as usual_retry
from asynccache.usage.ledger import Ledger
from tests.waiting import soon

from .rig import Rig

QUICK = [Retry(first_wait=0.001) if stage is usual_retry else stage for stage in default_stages()]
WAYS = ("task", "scope", "group")


class AtStep:
    """Awaits *coroutine*, and calls *cancel* at its k-th suspension."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], step: int, cancel: Callable[[], object]) -> None:
        self.coroutine = coroutine
        self.step = step
        self.cancel = cancel
        self.reached = False

    def __await__(self) -> Generator[Any, Any, Any]:
        step, resume = 0, self.coroutine.send
        value: Any = None
        while True:
            try:
                future = resume(value)
            except StopIteration as stop:
                return stop.value
            step += 1
            if step == self.step:
                self.reached = True
                self.cancel()
            try:
                value, resume = (yield future), self.coroutine.send
            except BaseException as exc:
                value, resume = exc, self.coroutine.throw


async def cancelled_at(
    make: Callable[[], Coroutine[Any, Any, Any]], step: int, way: str
) -> tuple[bool, bool]:
    """Run a call cancelled at *step* by its task, a scope or a task group; whether the step came, and ended it."""
    at: AtStep | None = None

    async def by_task() -> None:
        nonlocal at
        task = asyncio.current_task()
        assert task is not None
        await (at := AtStep(make(), step, task.cancel))

    async def by_scope() -> bool:
        nonlocal at
        with anyio.move_on_after(30) as scope:
            await (at := AtStep(make(), step, scope.cancel))
        return scope.cancelled_caught

    async def by_group() -> bool:
        nonlocal at
        async with anyio.create_task_group() as group:

            async def one() -> None:
                nonlocal at
                await (at := AtStep(make(), step, group.cancel_scope.cancel))

            group.start_soon(one)
        return group.cancel_scope.cancelled_caught

    task = asyncio.ensure_future({"task": by_task, "scope": by_scope, "group": by_group}[way]())
    await asyncio.wait([task])
    assert at is not None
    if task.cancelled():
        return at.reached, True
    return at.reached, bool(task.result())


class Call:
    """One call that is to be cancelled somewhere, with a pool of three."""

    def __init__(
        self,
        rig: Rig,
        wire: str,
        *,
        stream: bool = True,
        ledger: Ledger | None = None,
        **asked: Any,
    ) -> None:
        self.rig = rig
        self.stream = stream
        self.told: list[Usage] = []
        self.before = len(rig.faults.log)
        self.client = Client(
            QUICK, max_retries=2, max_connections=3, on_usage=self.told.append, ledger=ledger
        )
        self.asked = rig.arguments(wire, **asked)

    async def prepare(self) -> None:
        """What happens before, and is not cancelled."""

    async def run(self) -> None:
        """The call, to its end; an error of ours is an end too."""
        try:
            reply: Any = await self.client.acompletion(**self.asked, stream=self.stream)
            if self.stream:
                async with reply:
                    async for _ in reply:
                        pass
        except AsyncCacheError:
            pass

    async def check(self) -> None:
        """A row for each attempt that reached the wire, no socket left in use, and the pool serves on."""
        assert self.client.connections <= 1
        await self.rig.settled(open_at_most=self.client.connections)
        seen = len(self.rig.faults.log) - self.before
        assert seen <= len(self.told) <= seen + 1  # an attempt may be cancelled before its request is out
        told = len(self.told)
        served = await asyncio.gather(*(self.rig.ask("openai", client=self.client) for _ in range(3)))
        assert all(outcome.error is None for outcome in served)
        assert len(self.told) == told + 3
        await self.client.aclose()
        await self.rig.settled()


class Behind(Call):
    """A call that waits behind three others, of which one is let go after 2 ms."""

    async def prepare(self) -> None:
        asked = self.rig.arguments("openai", fault={"cut_event": 3, "end": "stall"})
        self.held = [await self.client.acompletion(**asked, stream=True) for _ in range(3)]
        self.leaving = asyncio.ensure_future(self.leave())

    async def leave(self) -> None:
        await asyncio.sleep(0.002)
        await self.held[0].aclose()

    async def check(self) -> None:
        await self.leaving
        for stream in self.held:
            await stream.aclose()
        await super().check()


async def at_every_point(rig: Rig, make: Callable[[], Call], *, least: int, way: str = "task") -> int:
    """Cancel at the first suspension, at the second … until the call ends by itself; how many there were."""
    step = 0
    while True:
        step += 1
        call = make()
        await call.prepare()
        tasks = len(asyncio.all_tasks())
        reached, cancelled = await cancelled_at(call.run, step, way)
        assert cancelled == reached, step
        await call.check()
        await soon(
            lambda tasks=tasks: len(asyncio.all_tasks()) <= tasks, within=0.1
        )  # the relay ends its own, too
        if not reached:
            assert step > least
            return step - 1
