"""The proxy beside its peers: the same load, the same upstream, interleaved; ledger off and on.

``python -m benchmarks.proxy --litellm PYTHON --portkey FOLDER`` measures all, writes ``results/proxy.json`` and the
Proxy section of RESULTS.md. PYTHON is an interpreter that has ``litellm[proxy]``, FOLDER one into which npm has put
``@portkey-ai/gateway``; what is not there says so. (The newest ``@hono/node-server`` that npm picks for Portkey 1.15.2
makes each of its streams a 500 on Node 20: ``"overrides": {"@hono/node-server": "1.13.7"}`` in package.json.) The
server that is measured has one core to itself, the load and the upstream share the others; CPU is the server's alone.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import time
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.proxy_load import Load, load, request_for
from benchmarks.proxy_report import write_proxy
from benchmarks.proxy_servers import (
    BASE,
    CORES,
    OURS,
    PEERS,
    RELAY,
    ROOT,
    NotInstalled,
    Server,
    on_load_core,
    running,
    upstream,
    versions,
)

FOLDER = Path(__file__).parent / "results"
DIRECT = "upstream alone"
MESSAGES = [
    {"role": "system", "content": "You answer in few words. " * 40},
    {"role": "user", "content": "Which clauses are new?"},
]
CASES = {"1": (1, False), "16": (16, False), "128": (128, False), "streams": (128, True)}
"""Clients, and whether they ask for streams."""
OTHERS = {
    "chat, translated to Anthropic": ("/v1/chat/completions", {"model": "anthropic", "messages": MESSAGES}),
    "messages, passed through": (
        "/v1/messages",
        {"model": "anthropic", "max_tokens": 300, "messages": MESSAGES[1:]},
    ),
}
STARTS = {RELAY: 1, OURS[0]: 5, OURS[1]: 5, PEERS[0]: 1, PEERS[1]: 3}
_LONGEST = 30.0  # seconds that a slow server gets until each of its clients has an answer
_SLOW = 2.0  # answers a second and client under which a server is slow


class Run:
    """One run of everything.

    Args:
        peers: where the peers are.
        seconds: how long each figure is taken.
        rounds: how often.
    """

    def __init__(self, peers: dict[str, str], seconds: float, rounds: int) -> None:
        self._peers = peers
        self._seconds = seconds
        self._rounds = rounds
        self._slow: set[tuple[str, str]] = set()
        self.results: dict[str, Any] = {"cases": {}, "others": {}, "servers": {}, "errors": {}}

    def measure(self) -> dict[str, Any]:
        """Everything."""
        on_load_core()
        with upstream() as provider, ExitStack() as stack:
            self._starts(provider)
            servers: dict[str, Server] = {}
            for name in (RELAY, *OURS, *PEERS):
                try:
                    servers[name] = stack.enter_context(running(name, provider, self._peers))
                except NotInstalled as error:
                    self.results["errors"][name] = str(error)
                else:
                    self.results["servers"].setdefault(name, {})["idle"] = servers[name].idle
                    self.results["servers"][name].setdefault("started", []).append(servers[name].started)
            self._cases(servers, provider)
            for name, server in servers.items():
                now, most = server.memory()
                self.results["servers"][name].update(after=now, most=most)
            self._others({name: servers[name] for name in OURS})
        return self.results

    def _starts(self, provider: int) -> None:
        """Whole starts, some more than the one that is needed."""
        for number in range(max(STARTS.values()) - 1):
            for name in (RELAY, *OURS, *PEERS):
                if number < STARTS[name] - 1:
                    try:
                        with running(name, provider, self._peers) as server:
                            kept = self.results["servers"].setdefault(name, {})
                            kept.setdefault("started", []).append(server.started)
                    except NotInstalled:
                        continue

    def _cases(self, servers: dict[str, Server], provider: int) -> None:
        names = list(servers)
        for number in range(self._rounds):
            names.append(names.pop(0))  # nobody always comes first
            for case, (clients, stream) in CASES.items():
                self._direct(case, provider, clients, stream=stream)
                for name in names:
                    server = servers[name]
                    if number and (name, case) in self._slow:
                        continue  # it had its seconds, and more
                    body = {"model": "gpt-4o" if name == PEERS[1] else "openai", "messages": MESSAGES}
                    request = _request(server.path, body, stream=stream, headers=server.headers)
                    self._take("cases", case, name, (server, request, clients, stream))

    def _direct(self, case: str, provider: int, clients: int, *, stream: bool) -> None:
        request = _request(
            f"/{BASE}/chat/completions", {"model": "gpt-4o", "messages": MESSAGES}, stream=stream
        )
        found = asyncio.run(
            load(provider, request, clients, self._seconds / 2, stream=stream, longest=0, slow=False)
        )
        self._keep("cases", case, DIRECT, found, 0.0)

    def _others(self, servers: dict[str, Server]) -> None:
        for what, (path, body) in OTHERS.items():
            for clients, stream in ((16, False), (128, True)):
                for name, server in servers.items():
                    case = f"{what}{', 200 chunks' if stream else ''}, {clients} clients"
                    self._take(
                        "others", case, name, (server, _request(path, body, stream=stream), clients, stream)
                    )

    def _take(self, part: str, case: str, name: str, what: tuple[Server, bytes, int, bool]) -> None:
        server, request, clients, stream = what
        slow = name == PEERS[0] and clients > 1
        before = server.cpu()
        began = time.perf_counter()
        found = asyncio.run(
            load(server.port, request, clients, self._seconds, stream=stream, longest=_LONGEST, slow=slow)
        )
        used = (server.cpu() - before) * found.took / (time.perf_counter() - began)
        if slow and len(found.times) < _SLOW * clients * found.took:
            self._slow.add((name, case))
        self._keep(part, case, name, found, used)

    def _keep(self, part: str, case: str, name: str, found: Load, used: float) -> None:
        times = sorted(found.times)
        if found.wrong:
            self.results["errors"].setdefault(f"{name}, {case}", found.wrong[0])
        if not times:
            self.results["errors"].setdefault(f"{name}, {case}", f"no answer in {found.took:.0f} s")
            return
        figures = {
            "rate": len(times) / found.took,
            "p50": times[len(times) // 2] * 1e3,
            "p99": times[min(int(len(times) * 0.99), len(times) - 1)] * 1e3,
            "cpu": used / len(times) * 1e3,
            "answers": len(times),
        }
        kept = self.results[part].setdefault(case, {}).setdefault(name, {})
        for figure, value in figures.items():
            kept.setdefault(figure, []).append(value)


def _request(path: str, body: dict, *, stream: bool, headers: dict[str, str] | None = None) -> bytes:
    return request_for(path, {**body, "stream": True} if stream else body, headers)


def measure_proxy(
    peers: dict[str, str], *, seconds: float = 1.5, rounds: int = 3, render: bool = False
) -> None:
    """Measure, or only render what was measured; write the JSON and the section.

    The affinity of the calling process is as before afterwards.
    """
    FOLDER.mkdir(exist_ok=True)
    kept = FOLDER / "proxy.json"
    if render:
        measured = json.loads(kept.read_text())
    else:
        began = time.monotonic()
        cores = os.sched_getaffinity(0)
        try:
            run = Run(peers, seconds, rounds).measure()
        finally:
            os.sched_setaffinity(0, cores)
        about = {
            "date": time.strftime("%Y-%m-%d"),
            "python": platform.python_version(),
            "cores": len(CORES),
            "seconds": round(time.monotonic() - began),
            "rounds": rounds,
            "versions": {"aiohttp": version("aiohttp"), **versions(peers)},
        }
        measured = {"about": about, **run}
        kept.write_text(json.dumps(_rounded(measured), indent=1) + "\n")
    write_proxy(measured, ROOT / "benchmarks" / "RESULTS.md")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.proxy", description=__doc__)
    parser.add_argument(
        "--litellm", metavar="PYTHON", default="", help="an interpreter that has litellm[proxy]"
    )
    parser.add_argument(
        "--portkey", metavar="FOLDER", default="", help="where npm has put @portkey-ai/gateway"
    )
    parser.add_argument("--seconds", type=float, default=1.5, help="for each figure")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--render", action="store_true", help="write the tables from the last results")
    options = parser.parse_args()
    peers = {name: path for name in ("litellm", "portkey") if (path := getattr(options, name))}
    measure_proxy(peers, seconds=options.seconds, rounds=options.rounds, render=options.render)


if __name__ == "__main__":
    main()
