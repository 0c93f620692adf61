"""The proxy as a process of its own, as a user starts it."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.command import environment
from tests.waiting import PATIENCE

START = "from asynccache.cli.proxy import proxy; proxy.main(prog_name='asynccache proxy')"
WARNINGS = ("-W", "error")


class Running:
    """A proxy that listens."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self._log = log
        self.url = ""

    @property
    def said(self) -> str:
        return self._log.read_text(encoding="utf-8")

    def wait_for(self, text: str, seconds: float = PATIENCE) -> str:
        """Wait until it has said *text*, a pattern; what it said instead of it is the failure."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if found := re.search(text, self.said):
                return found.group(0)
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise AssertionError(self.said)


@contextmanager
def running(
    tmp_path: Path, *arguments: str, port: bool = True, start: str = START, **variables: str
) -> Iterator[Running]:
    """Start it, wait until it listens, and end it by its own process id."""
    log = tmp_path / "stderr.txt"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [sys.executable, *WARNINGS, "-c", start, *arguments, *(("--port", "0") if port else ())],
            env=environment(**variables),
            stdout=subprocess.DEVNULL,
            stderr=errors,
            encoding="utf-8",
        )
    proxy = Running(process, log)
    try:
        proxy.url = proxy.wait_for(r"(?<=listening on )https?://\S+")
        yield proxy
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(
        [sys.executable, *WARNINGS, "-c", START, *arguments],
        env=environment(**variables),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
