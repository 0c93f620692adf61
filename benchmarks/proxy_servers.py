"""What is compared, each a process of its own on a core of its own: a bare relay, ours twice, LiteLLM's proxy, Portkey."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
BASE = "openai/200/16/0"
TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
_OURS = "from asynccache.cli.proxy import proxy; proxy.main()"
_PATIENCE = 90.0  # seconds that a start may take


class Server:
    """A contender that answers.

    Attributes:
        started: seconds from its start until it answered.
        idle: MB that it held then.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], port: int, path: str, headers: dict[str, str]
    ) -> None:
        self.port = port
        self.path = path
        self.headers = headers
        self.started = 0.0
        self.idle = 0.0
        self._pid = process.pid

    def cpu(self) -> float:
        """Seconds that it and its children have worked."""
        return sum(_cpu(pid) for pid in _family(self._pid))

    def memory(self) -> tuple[float, float]:
        """Now, and at its highest, MB; of all its processes."""
        found = [_memory(pid) for pid in _family(self._pid)]
        return sum(now for now, _ in found), sum(most for _, most in found)


def _family(pid: int) -> list[int]:
    found = [pid]
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += _family(int(child))
    return found


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _memory(pid: int) -> tuple[float, float]:
    lines = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    return tuple(int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))  # type: ignore[return-value]


def on_load_core() -> None:
    """This process, and what it starts from now on, leave the last core to the server that is measured."""
    if len(CORES) > 1:
        os.sched_setaffinity(0, set(CORES[:-1]))


def _on_server_core() -> None:
    os.sched_setaffinity(0, {CORES[-1]})


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def upstream() -> Iterator[int]:
    """The provider, and its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.upstream"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # it complains of callers who leave
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline().split()[0])
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


@contextmanager
def running(name: str, provider: int, peers: dict[str, str]) -> Iterator[Server]:
    """The server called *name* in front of the upstream at port *provider*; `NotInstalled` where it is not there."""
    with tempfile.TemporaryDirectory() as folder:
        port = _free_port()
        command, environment, health, headers = _WAYS[name](Path(folder), port, provider, peers)
        began = time.perf_counter()
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(ROOT) if name in OURS else "", **environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_on_server_core,  # noqa: PLW1509 - no threads here
            )
        try:
            server = Server(process, port, "/v1/chat/completions", headers)
            if not _answers(process, port, health, began):
                raise NotInstalled(
                    Path(folder, "log").read_text(errors="replace")[-300:] or "it did not start"
                )
            server.started = time.perf_counter() - began
            time.sleep(0.3)
            server.idle = server.memory()[0]
            yield server
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class NotInstalled(Exception):  # noqa: N818 - says what it is
    """It cannot be measured here; why."""


def _answers(process: subprocess.Popen[bytes], port: int, path: str, began: float) -> bool:
    while time.perf_counter() - began < _PATIENCE and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return True
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.005)
    return False


def _ours(folder: Path, port: int, provider: int, *, ledger: bool) -> tuple:
    rows = "".join(
        f"- model_name: {wire}\n  litellm_params:\n    model: {model}\n    api_key: none\n"
        f"    api_base: http://127.0.0.1:{provider}/{wire}/200/16/0\n"
        for wire, model in (("openai", "openai/gpt-4o"), ("anthropic", "anthropic/claude-sonnet-4-5"))
    )
    kept = f"asynccache_settings: {{ledger: {folder}/ledger.db}}\n" if ledger else ""
    config = folder / "config.yaml"
    config.write_text(f"model_list:\n{rows}{kept}")
    command = [sys.executable, "-c", _OURS, "--config", str(config), "--port", str(port)]
    return command, {}, "/health/liveliness", {}


def _litellm(folder: Path, port: int, provider: int, peers: dict[str, str]) -> tuple:
    python = peers.get("litellm")
    script = Path(python).parent / "litellm" if python else None
    if script is None or not script.exists():
        raise NotInstalled("no interpreter that has litellm[proxy] was named by --litellm")
    config = folder / "config.yaml"
    config.write_text(
        "model_list:\n- model_name: openai\n  litellm_params:\n    model: openai/gpt-4o\n    api_key: none\n"
        f"    api_base: http://127.0.0.1:{provider}/{BASE}\n"
    )
    command = [str(script), "--config", str(config), "--port", str(port), "--host", "127.0.0.1"]
    environment = {
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        "LITELLM_LOG": "ERROR",
    }
    return command, environment, "/health/liveliness", {}


def _portkey(_folder: Path, port: int, provider: int, peers: dict[str, str]) -> tuple:
    script = Path(
        peers.get("portkey") or "-", "node_modules/@portkey-ai/gateway/build/start-server.js"
    ).absolute()
    if not script.exists():
        raise NotInstalled("no folder that npm has put @portkey-ai/gateway into was named by --portkey")
    headers = {
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{provider}/{BASE}",
        "Authorization": "Bearer none",
    }
    environment = {"TRUSTED_CUSTOM_HOSTS": "127.0.0.1", "NODE_ENV": "production"}
    return ["node", str(script), f"--port={port}", "--headless"], environment, "/", headers


def _relay(_folder: Path, port: int, provider: int, _peers: dict[str, str]) -> tuple:
    command = [sys.executable, "-m", "benchmarks.relay", str(port), f"http://127.0.0.1:{provider}/{BASE}"]
    return command, {"PYTHONPATH": str(ROOT)}, "/health/liveliness", {}


_WAYS = {
    "bare aiohttp relay": _relay,
    "asynccache, ledger off": lambda folder, port, provider, _: _ours(folder, port, provider, ledger=False),
    "asynccache, ledger on": lambda folder, port, provider, _: _ours(folder, port, provider, ledger=True),
    "LiteLLM proxy": _litellm,
    "Portkey gateway": _portkey,
}
OURS = ("asynccache, ledger off", "asynccache, ledger on")
RELAY = "bare aiohttp relay"
"""The floor of what aiohttp's server and client cost together."""
PEERS = ("LiteLLM proxy", "Portkey gateway")


def versions(peers: dict[str, str]) -> dict[str, str]:
    """Which peers they are."""
    found: dict[str, str] = {}
    if python := peers.get("litellm"):
        told = subprocess.run(
            [python, "-c", "from importlib.metadata import version; print(version('litellm'))"],
            capture_output=True,
            text=True,
            check=False,
        )
        found["litellm"] = told.stdout.strip() or "not installed"
    if folder := peers.get("portkey"):
        package = Path(folder, "node_modules/@portkey-ai/gateway/package.json")
        found["portkey"] = json.loads(package.read_text())["version"] if package.exists() else "not installed"
        server = Path(folder, "node_modules/@hono/node-server/package.json")
        if server.exists():
            found["portkey's @hono/node-server"] = json.loads(server.read_text())["version"]
        node = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
        found["node"] = node.stdout.strip().removeprefix("v")
    return found
