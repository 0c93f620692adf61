"""A proxy with a ledger between the client and the provider, in a process of its own; and what became of both."""

from __future__ import annotations

import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from asynccache.usage.ledger_store import TABLE
from tests.cli.command import environment
from tests.proxy.process import START

from .server import FAULTS

_MODELS = {
    "openai": ("openai/gpt-4o", "/openai/v1"),
    "anthropic": ("anthropic/claude-sonnet-4-5", "/anthropic"),
    "deepseek": ("deepseek/deepseek-chat", "/deepseek"),
}
_TICKS = 100  # of CPU time a second


def config(url: str, ledger: Path) -> str:
    """A model for every wire and every fault."""
    rows = "".join(
        f"- model_name: {fault}-{wire}\n"
        f"  litellm_params: {{model: {model}, api_base: '{url}/{fault}{base}', api_key: k}}\n"
        for wire, (model, base) in _MODELS.items()
        for fault in ("whole", *FAULTS)
    )
    settings = f"{{ledger: '{ledger}', max_retries: 0, cooldown_seconds: 0}}"
    return f"model_list:\n{rows}asynccache_settings: {settings}\n"


class Proxied:
    """A running proxy."""

    def __init__(self, process: subprocess.Popen[str], url: str, ledger: Path) -> None:
        self.process = process
        self.url = url
        self.ledger = ledger
        self.memory: list[tuple[float, float]] = []

    def look(self) -> None:
        """Note what it holds."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_bytes().split()[1])
        self.memory.append((time.monotonic(), pages * 4096 / 1e6))

    def measured(self) -> dict[str, Any]:
        """End it, and read its ledger."""
        from .run import slope

        times = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        with closing(sqlite3.connect(self.ledger)) as file:
            rows, ids = file.execute(f"SELECT count(*), count(DISTINCT attempt_id) FROM {TABLE}").fetchone()
            ok = file.execute(
                f"SELECT count(*), sum(prompt_tokens) FROM {TABLE} WHERE outcome = 'ok'"
            ).fetchone()
            states = dict(file.execute(f"SELECT state, count(*) FROM {TABLE} GROUP BY state").fetchall())
        return {
            "exit": code, "rows": rows, "attempt_ids": ids, "ok": ok[0], "tokens": ok[1], "states": states,
            "cpu_s": (int(times[11]) + int(times[12])) / _TICKS, "rss_slope_mb_per_min": slope(self.memory),
            "rss_first_mb": round(self.memory[0][1], 1) if self.memory else None,
            "rss_most_mb": round(max((held for _, held in self.memory), default=0.0), 1),
        }  # fmt: skip


@contextmanager
def proxied(url: str, folder: Path) -> Iterator[Proxied]:
    """A proxy before the provider at *url*, its files in *folder*."""
    file, ledger, log = folder / "c.yaml", folder / "ledger.db", folder / "stderr.txt"
    file.write_text(config(url, ledger))
    command = [sys.executable, "-c", START, "--config", str(file), "--port", "0"]
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, env=environment(), stdout=subprocess.DEVNULL, stderr=errors, text=True
        )
    try:
        for _ in range(9000):
            if found := re.search(r"(?<=listening on )http://\S+", log.read_text()):
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.01)
        else:
            raise AssertionError(log.read_text())
        yield Proxied(process, found[0], ledger)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)
