"""All measurements: processes are started, rounds are interleaved, and every figure is kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.clients import KNOWN, LIGHT

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]

# (chunks, events per write, pause in µs, rounds of the light clients, rounds of the others); see `upstream`
STREAMS = (
    (2000, "16x1", 0, 15, 3),
    (2000, 16, 150, 15, 3),
    (200, 16, 150, 15, 3),
    (2000, 16, 0, 15, 3),
    (2000, 1, 150, 9, 2),
    (200, 1, 150, 15, 3),
    (400, 1, 2000, 9, 0),
)
WIRES = ("openai", "anthropic", "converse")
AT_ONCE = ((1, 30, 10), (64, 4, 2), (512, 1, 1))  # calls at once, rounds of the light clients, of the others
_HELD = (1000, 2000)
HOLDING = {"aiohttp": _HELD, "asynccache": _HELD, "httpx": _HELD, "openai": _HELD, "litellm": (250,)}
"""Streams held open; LiteLLM's pool ends before a thousand."""
IMPORTS = (
    "asyncio",
    "aiohttp",
    "asynccache",
    "asynccache.client",
    "openai",
    "anthropic",
    "any_llm",
    "litellm",
)


class Process:
    """A measuring process that answers orders, line by line."""

    def __init__(self, python: str, module: str, *arguments: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
        self._process = subprocess.Popen(
            [python, "-m", module, *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.greeting = self._process.stdout.readline().strip() if self._process.stdout else ""

    def ask(self, **order: Any) -> dict[str, Any]:
        """The answer to one order."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        return json.loads(line) if line else {"error": "the process has died"}

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()


@contextmanager
def process(python: str, module: str, *arguments: str) -> Iterator[Process]:
    """A process for as long as the block runs."""
    made = Process(python, module, *arguments)
    try:
        yield made
    finally:
        made.close()


class Suite:
    """One run of everything.

    Args:
        pythons: the interpreter for each client that has one of its own; ``peers`` is for all others.
        scale: how many of the usual rounds are run.
    """

    def __init__(self, pythons: dict[str, str], scale: float) -> None:
        self._pythons = pythons
        self.scale = scale
        self.versions: dict[str, Any] = {}
        self.results: dict[str, Any] = {"errors": {}}

    def python(self, name: str) -> str:
        """The interpreter that *name* is installed for."""
        if name in LIGHT:
            return sys.executable
        return self._pythons.get(name) or self._pythons.get("peers") or sys.executable

    def run(self) -> None:
        """Measure everything."""
        with process(sys.executable, "benchmarks.upstream") as upstream:
            self._address = f"http://127.0.0.1:{upstream.greeting}"
            workers = self._workers()
            self._report("streams", self._streams, workers)
            self._report("first", self._first, workers)
            self._report("calls", self._calls, workers)
            self._report("at_once", self._at_once, workers)
            for worker in {id(worker): worker for worker in workers.values()}.values():
                worker.close()
            self._report("memory", self._memory)
        self._report("imports", self._imports)
        self._report("parts", self._parts)
        self._report("frames", self._frames)

    def _report(self, name: str, measure: Any, *arguments: Any) -> None:
        print(f"{name} …", file=sys.stderr, flush=True)
        self.results[name] = measure(*arguments)

    def _rounds(self, usual: int) -> int:
        return max(1, round(usual * self.scale)) if usual else 0

    def _workers(self) -> dict[str, Process]:
        """A process for the light clients, and one for each of the others that is installed."""
        workers: dict[str, Process] = {}
        for names in (LIGHT, *((name,) for name in KNOWN if name not in LIGHT)):
            worker = Process(self.python(names[0]), "benchmarks.worker", ",".join(names))
            ready = json.loads(worker.greeting or "{}")
            for name in names:
                found = ready.get(name, "not installed (it does not start)")
                if isinstance(found, str):
                    self.results["errors"][name] = found
                else:
                    workers[name] = worker
                    self.versions.update(found)
        return workers

    def _ask(self, worker: Process, name: str, **order: Any) -> dict[str, Any] | None:
        answer = worker.ask(client=name, **order)
        if "error" in answer:
            self.results["errors"].setdefault(
                f"{name} {order.get('base', '').rpartition(':')[2]}", answer["error"]
            )
            return None
        return answer

    def _base(self, wire: str, chunks: int, per: int | str, pause: int) -> str:
        return f"{self._address}/{wire}/{chunks}/{per}/{pause}"

    def _streams(self, workers: dict[str, Process]) -> dict[str, Any]:
        results: dict[str, Any] = {}
        for wire in WIRES:
            for chunks, per, pause, light, heavy in STREAMS:
                base = self._base(wire, chunks, per, pause)
                clients = [name for name in workers if wire in KNOWN[name][3]]
                figures: dict[str, Any] = {name: {"cpu": [], "wall": [], "reads": []} for name in clients}
                for turn in range(self._rounds(light) + 1):
                    for name in clients[turn % len(clients) :] + clients[: turn % len(clients)]:
                        if name not in LIGHT and turn > self._rounds(heavy):
                            continue
                        answer = self._ask(workers[name], name, do="stream", base=base)
                        if answer is not None and turn:  # the first one warms up
                            figures[name]["cpu"].append(answer["cpu"] / chunks * 1e6)
                            figures[name]["wall"].append(answer["wall"] / chunks * 1e6)
                            figures[name]["reads"].append(answer["reads"])
                results[f"{wire}/{chunks}/{per}/{pause}"] = figures
        return results

    def _first(self, workers: dict[str, Process]) -> dict[str, Any]:
        base = self._base("openai", 20, 2, 1000)  # the first write holds the first text
        clients = [name for name in workers if "openai" in KNOWN[name][3]]
        times: dict[str, list[float]] = {name: [] for name in clients}
        for turn in range(self._rounds(40) + 3):
            for name in clients:
                answer = self._ask(workers[name], name, do="stream", base=base)
                if answer is not None and answer["first"] and turn > 2:
                    times[name].append(answer["first"] * 1e3)
        return times

    def _calls(self, workers: dict[str, Process]) -> dict[str, Any]:
        results: dict[str, Any] = {}
        for wire in WIRES:
            base = self._base(wire, 1, 1, 0)
            clients = [name for name in workers if wire in KNOWN[name][3]]
            for at_once, light, heavy in AT_ONCE:
                if wire != "openai" and at_once > 64:
                    continue
                figures: dict[str, Any] = {name: {"cpu": [], "wall": []} for name in clients}
                for turn in range(self._rounds(7) + 1):
                    for name in clients:
                        if name not in LIGHT and turn > 2:
                            continue
                        rounds = light if name in LIGHT else heavy
                        answer = self._ask(
                            workers[name], name, do="whole", base=base, at_once=at_once, rounds=rounds
                        )
                        if answer is not None and turn:
                            figures[name]["cpu"].append(answer["cpu"] * 1e6)
                            figures[name]["wall"].append(answer["wall"] * 1e6)
                results[f"{wire}/{at_once}"] = figures
        return results

    def _at_once(self, workers: dict[str, Process]) -> dict[str, Any]:
        """CPU per chunk of 200 chunks, with so many streams at once."""
        base = self._base("openai", 200, 16, 1000)
        figures: dict[str, Any] = {}
        for count in (1, 16, 128, 512):
            for name in ("aiohttp+msgspec", "asynccache"):
                samples: list[float] = []
                for _ in range(self._rounds(5)):
                    answer = self._ask(workers[name], name, do="stream", base=base, at_once=count)
                    if answer is not None:
                        samples.append(answer["cpu"] / 200 / count * 1e6)
                figures.setdefault(name, {})[str(count)] = samples
        return figures

    def _memory(self) -> dict[str, Any]:
        results: dict[str, Any] = {}
        for name, counts in HOLDING.items():
            with process(self.python(name), "benchmarks.worker", name) as worker:
                if isinstance(json.loads(worker.greeting or "{}").get(name, ""), str):
                    continue
                warm = self._base("openai", 20, 16, 0)
                base = self._base("openai", 3, 2, 300_000_000)
                answer = self._ask(worker, name, do="hold", base=base, warm=warm, counts=counts)
                if answer is not None:
                    results[name] = answer["bytes"]
        return results

    def _imports(self) -> dict[str, Any]:
        """Seconds and bytes that an import takes over the bare interpreter, each in a process of its own."""
        code = (
            "import time; from pathlib import Path; rss = lambda: int(Path('/proc/self/statm').read_text().split()[1]) * 4096\n"
            "held, begin = rss(), time.perf_counter()\nimport {0}\n"
            "print(time.perf_counter() - begin, rss() - held, rss())"
        )
        results: dict[str, Any] = {}
        for _ in range(self._rounds(9) + 1):
            for name in IMPORTS:
                python = self.python(
                    {"any_llm": "any-llm", "asyncio": "floor"}.get(name, name.partition(".")[0])
                )
                environment = {**os.environ, "PYTHONPATH": str(ROOT), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
                done = subprocess.run(
                    [python, "-c", code.format(name)],
                    capture_output=True,
                    text=True,
                    env=environment,
                    check=False,
                )
                if done.returncode == 0:
                    seconds, grown, held = done.stdout.split()[-3:]
                    results.setdefault(name, []).append((float(seconds), int(grown), int(held)))
        return {
            name: figures[1:] for name, figures in results.items()
        }  # the first one fills the disk's cache

    def _parts(self) -> dict[str, Any]:
        results: dict[str, Any] = {"ours": [], "litellm": []}
        for _ in range(self._rounds(3)):
            for name, python in (("ours", sys.executable), ("litellm", self.python("litellm"))):
                environment = {**os.environ, "PYTHONPATH": str(ROOT)}
                done = subprocess.run(
                    [python, "-m", "benchmarks.parts", name],
                    capture_output=True,
                    text=True,
                    env=environment,
                    check=False,
                )
                if done.returncode == 0:
                    results[name].append(json.loads(done.stdout.splitlines()[-1]))
                else:
                    self.results["errors"][f"parts {name}"] = done.stderr[-300:]
        return results

    def _frames(self) -> Any:
        """Microseconds a frame, ours and botocore's, 16 frames a read."""
        try:
            from benchmarks import frames
        except ImportError as error:
            return {"error": str(error)}
        whole = frames.stream()
        pieces = [b"".join(whole[start : start + 16]) for start in range(0, len(whole), 16)]
        rounds = [
            (frames.timed(frames.ours, pieces), frames.timed(frames.botocores, pieces))
            for _ in range(self._rounds(15))
        ]
        return {"ours": [ours for ours, _ in rounds], "botocore": [theirs for _, theirs in rounds]}
