"""Runs the command line as a user does: in a process of its own, with no key and no address in its environment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = (sys.executable, "-W", "error")
START = "from asynccache.cli import main; main()"
_FOREIGN = ("OPENAI_", "ANTHROPIC_", "DEEPSEEK_", "AWS_", "ASYNCCACHE_", "NO_COLOR", "FORCE_COLOR")


def environment(**extra: str) -> dict[str, str]:
    """This process's environment without anything that a command could read, and *extra*."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**mine, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", **extra}


def run(*arguments: str, stdin: str = "", **extra: str) -> subprocess.CompletedProcess[str]:
    """The command's exit code and all that it wrote; every warning is an error."""
    return subprocess.run(
        [*PYTHON, "-c", START, *arguments],
        input=stdin,
        env=environment(**extra),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def start(*arguments: str, **extra: str) -> subprocess.Popen[str]:
    """The command as a running process, all its streams at hand."""
    return subprocess.Popen(
        [*PYTHON, "-u", "-c", START, *arguments],
        env=environment(**extra),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
