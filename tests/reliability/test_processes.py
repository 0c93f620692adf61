"""A fork, a loop that closes, an interpreter that ends: nothing hangs, nothing is shared, nothing is said. Rows 87, 88."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asynccache.simulator import Simulator
from asynccache.simulator.faults import Faults
from tests.waiting import until

from .rig import settings

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).resolve().parents[2]
BEGIN = """
import asyncio, gc, os, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads, from Python 3.12 on
import asynccache
from asynccache import Client, acompletion, completion
BASE = sys.argv[1]
def asked(**more):
    return dict(model="openai/gpt-4o", messages=[{"role": "user", "content": "hi"}], api_key="k", api_base=BASE, **more)
def slowly():
    return asked(stream=True, extra_headers={"x-simulator": '{"fault": {"delay_event": 0.02}}'})
def forked(child):
    "0 where *child* returns True within half a minute."
    pid = os.fork()
    if not pid:
        import signal
        signal.alarm(30)
        code = 3
        try:
            code = 0 if child() else 1
        except BaseException as error:
            sys.stderr.write(f"child: {error!r}\\n")
        finally:
            sys.stderr.flush()
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


@pytest.fixture
async def faults(anyio_backend: str) -> AsyncIterator[Faults]:
    async with Simulator(settings()) as sim, Faults(sim) as made:
        yield made


async def started(program: str, faults: Faults) -> asyncio.subprocess.Process:
    """A program of its own."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-c", BEGIN + program, faults.openai_base,
        cwd=ROOT, env={"PATH": os.environ.get("PATH", "")},
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def run(program: str, faults: Faults) -> str:
    """What a program of its own prints."""
    return await ended(await started(program, faults))


async def ended(process: asyncio.subprocess.Process) -> str:
    """What it prints; it must end by itself, in silence on stderr, with 0."""
    assert process.stdin is not None
    process.stdin.close()
    async with asyncio.timeout(50):
        said, complained = await process.communicate()
    assert complained.decode() == ""
    assert process.returncode == 0
    return said.decode().strip()


async def test_fork_while_an_answer_streams(faults: Faults) -> None:
    """Row 87: a client in a forked child has a fresh pool; closed or dropped there, the parent's goes on unharmed."""
    program = """
async def main():
    async with Client(max_retries=0) as client:
        await client.acompletion(**asked())
        stream = await client.acompletion(**slowly())
        await stream.__anext__()
        await client.acompletion(**asked())  # leaves an idle connection too

        def child():
            async def use():
                nonlocal stream
                reply = await client.acompletion(**asked())
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    await stream.aclose()
                    await client.aclose()
                    stream = None
                    gc.collect()
                return bool(reply.choices)
            return asyncio.run(use())

        code = forked(child)
        text = ""
        async with asyncio.timeout(30):
            async for chunk in stream:
                if chunk.choices:
                    text += chunk.choices[0].delta.content or ""
            await client.acompletion(**asked())
        print(code, len(text), client.connections)

asyncio.run(main())
"""
    assert await run(program, faults) == f"0 {len(settings().answer)} 2"
    assert faults.accepted == 3
    assert {record.closed_by for record in faults.log} == {"server"}


async def test_fork_and_the_shared_client(faults: Faults) -> None:
    """Row 87: `acompletion` in a forked child has connections of its own."""
    program = """
async def main():
    await acompletion(**asked())
    def child():
        return bool(asyncio.run(acompletion(**asked())).choices)
    print(forked(child), bool((await acompletion(**asked())).choices))

asyncio.run(main())
"""
    assert await run(program, faults) == "0 True"
    assert faults.accepted == 2


async def test_fork_and_the_synchronous_call(faults: Faults) -> None:
    """Row 87: `completion` in a forked child starts a loop of its own; it does not wait for the parent's thread."""
    program = """
completion(**asked())
print(forked(lambda: bool(completion(**asked()).choices)), bool(completion(**asked()).choices))
"""
    assert await run(program, faults) == "0 True"
    assert faults.accepted == 2


@pytest.mark.parametrize("keep", [True, False])
async def test_loop_closes_under_open_streams(faults: Faults, keep: bool) -> None:
    """Row 88: a program whose loop ends with streams open tells each once, closes its sockets and says nothing."""
    program = f"""
told, kept = [], []
async def main():
    client = Client(max_retries=0, on_usage=told.append)
    for _ in range(3):
        stream = await client.acompletion(**slowly())
        await stream.__anext__()
        kept.append(stream)
    if {keep}:
        kept.append(client)
warnings.simplefilter("ignore", ResourceWarning)  # streams that were left open may be called that
asyncio.run(main())
kept.clear()
gc.collect()
print(len(told), {{usage.source for usage in told}})
"""
    assert await run(program, faults) == "3 {'missing'}"
    await until(lambda: not faults.open)


async def test_interpreter_ends_under_open_streams(faults: Faults) -> None:
    """Row 88: streams that still stand in a module's names when the interpreter ends make no noise."""
    program = """
async def main():
    global client, streams
    client = Client(max_retries=0)
    streams = [await client.acompletion(**slowly()) for _ in range(2)]
    streams += [await acompletion(**slowly())]
    await streams[0].__anext__()
warnings.simplefilter("ignore", ResourceWarning)
asyncio.run(main())
print("over")
"""
    assert await run(program, faults) == "over"


async def test_client_dropped_unclosed(faults: Faults) -> None:
    """A client that nobody closed, whose loop runs on, closes its connections when it goes, and is called that."""
    program = """
async def main():
    client = Client(max_retries=0)
    await client.acompletion(**asked())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        del client
        gc.collect()
    print([str(warning.message) for warning in caught], flush=True)
    await asyncio.to_thread(sys.stdin.read)  # it lives on until its input ends
asyncio.run(main())
"""
    process = await started(program, faults)
    assert process.stdin is not None
    assert process.stdout is not None
    assert b"dropped without aclose()" in await process.stdout.readline()
    await until(lambda: not faults.open)
    assert process.returncode is None
    await ended(process)
