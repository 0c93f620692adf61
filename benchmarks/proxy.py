"""The proxy alone: requests and streams a second, added time, CPU, memory and start, ledger off and on.

``python -m benchmarks.proxy`` runs it between a load of its own (this process) and `benchmarks.upstream`,
both in processes of their own; CPU is the proxy's alone. ``--seconds`` sets how long each figure is taken.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path

START = "from asynccache.cli.proxy import proxy; proxy.main()"
TICKS = os.sysconf("SC_CLK_TCK")
MESSAGES = [
    {"role": "system", "content": "You answer in few words. " * 40},
    {"role": "user", "content": "Which clauses are new?"},
]


class Caller(asyncio.Protocol):
    """One connection that asks again as soon as it is answered, and counts."""

    def __init__(self, request: bytes, times: list[float]) -> None:
        self._request = request
        self._times = times
        self._tail = b""
        self._left = -1  # bytes of the body still to come; -1 while the head is not whole
        self._chunked = False
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.running = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._ask()

    def connection_lost(self, _exc: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)

    def _ask(self) -> None:
        self._left, self._tail = -1, b""
        self._began = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._left < 0:
            self._tail += data
            end = self._tail.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self._tail[:end].lower()
            assert head.startswith(b"http/1.1 200"), self._tail[:500]
            self._chunked = b"chunked" in head
            data = self._tail[end + 4 :]
            self._tail = b""
            self._left = 1 if self._chunked else int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        if self._chunked:
            self._tail = (self._tail + data)[-7:]
            done = self._tail == b"\r\n0\r\n\r\n"
        else:
            self._left -= len(data)
            done = self._left == 0
        if done:
            self._times.append(time.perf_counter() - self._began)
            if self.running:
                self._ask()
            else:
                self._transport.close()


def request_for(path: str, body: dict) -> bytes:
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


async def load(port: int, request: bytes, clients: int, seconds: float) -> tuple[list[float], float]:
    """The time of every answer within *seconds*, and how long it truly took."""
    loop = asyncio.get_running_loop()
    times: list[float] = []
    callers = [
        (await loop.create_connection(lambda: Caller(request, times), "127.0.0.1", port))[1]
        for _ in range(clients)
    ]
    await asyncio.sleep(0.3)  # warm
    times.clear()
    began = time.perf_counter()
    await asyncio.sleep(seconds)
    took = time.perf_counter() - began
    found = list(times)
    for caller in callers:
        caller.running = False
    with suppress(TimeoutError):
        async with asyncio.timeout(10):
            await asyncio.gather(*(caller.lost for caller in callers))
    return found, took


def cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss(pid: int) -> tuple[float, float]:
    """Now and at its highest, MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    now, most = (re.search(rf"{name}:\s+(\d+) kB", status) for name in ("VmRSS", "VmHWM"))
    assert now
    assert most
    return int(now[1]) / 1024, int(most[1]) / 1024


@contextmanager
def upstream():
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.upstream"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield int(process.stdout.readline().split()[0])
    finally:
        process.stdin.close()
        process.wait(10)


@contextmanager
def proxy(port: int, folder: Path, *, ledger: bool):
    file = folder / "config.yaml"
    rows = "".join(
        f"- model_name: {wire}\n  litellm_params:\n    model: {provider}\n    api_key: none\n"
        f"    api_base: http://127.0.0.1:{port}/{wire}/200/16/0\n"
        for wire, provider in (("openai", "openai/gpt-4o"), ("anthropic", "anthropic/claude-sonnet-4-5"))
    )
    kept = f"asynccache_settings: {{ledger: {folder}/ledger.db}}\n" if ledger else ""
    file.write_text(f"model_list:\n{rows}{kept}")
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", START, "--config", str(file), "--port", "0"], stderr=subprocess.PIPE, text=True
    )
    try:
        for line in process.stderr:
            if found := re.search(r"listening on http://127\.0\.0\.1:(\d+)", line):
                yield process.pid, int(found[1]), time.perf_counter() - began
                break
    finally:
        process.terminate()
        process.stderr.close()
        process.wait(20)


def percent(times: list[float], share: float) -> float:
    return sorted(times)[min(int(len(times) * share), len(times) - 1)] * 1e3


CASES = [
    ("chat, passed through", "/v1/chat/completions", {"model": "openai", "messages": MESSAGES}, (1, 16, 128)),
    (
        "chat, translated to Anthropic",
        "/v1/chat/completions",
        {"model": "anthropic", "messages": MESSAGES},
        (16,),
    ),
    (
        "messages, passed through",
        "/v1/messages",
        {"model": "anthropic", "max_tokens": 300, "messages": MESSAGES[1:]},
        (16,),
    ),
]


async def measure(port: int, pid: int, served: int, seconds: float) -> None:
    direct = request_for("/openai/200/16/0/chat/completions", {"model": "gpt-4o", "messages": MESSAGES})
    for clients in (1, 16):
        times, _ = await load(port, direct, clients, seconds / 2)
        print(f"  {'upstream alone':34} {clients:4} clients: p50 {percent(times, 0.5):6.2f} ms")
    for name, path, body, counts in CASES:
        for stream in (False, True):
            request = request_for(path, {**body, "stream": stream} if stream else body)
            for clients in (128,) if stream else counts:
                before = cpu(pid)
                times, took = await load(served, request, clients, seconds)
                used = (cpu(pid) - before) / (took + 0.3)
                per = used * took / max(len(times), 1) * 1e3
                what = f"{name}, 200 chunks" if stream else name
                print(
                    f"  {what:42} {clients:4} clients: {len(times) / took:7.0f} /s  p50 {percent(times, 0.5):7.2f}"
                    f"  p99 {percent(times, 0.99):7.2f} ms  CPU {per:6.3f} ms each"
                )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    seconds = parser.parse_args().seconds
    for ledger in (False, True):
        with (
            tempfile.TemporaryDirectory() as folder,
            upstream() as port,
            proxy(port, Path(folder), ledger=ledger) as (pid, served, start),
        ):
            print(f"ledger {'on' if ledger else 'off'}: ready in {start:.2f} s, {rss(pid)[0]:.0f} MB")
            asyncio.run(measure(port, pid, served, seconds))
            now, most = rss(pid)
            print(f"  memory after all that: {now:.0f} MB, at most {most:.0f} MB")


if __name__ == "__main__":
    main()
