"""The pages on the proxy are true: their snippets run as a reader would run them, and print what is shown."""

from __future__ import annotations

import os
import re
import secrets
import socket
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest
import yaml
from anyio.from_thread import start_blocking_portal

from asynccache.cli.group import COMMANDS
from asynccache.proxy.settings import Settings
from asynccache.testing import environment as simulated
from asynccache.testing import simulator

from .command import ROOT, environment, run

GUIDE = (ROOT / "docs" / "proxy.md").read_text(encoding="utf-8")
WATCHING = (ROOT / "docs" / "watching.md").read_text(encoding="utf-8")
AWAITING = """
import ast, asyncio, sys
code = compile(sys.stdin.read(), "snippet", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
asyncio.run(eval(code, {}))
"""
SHIM = f"""#!/bin/sh
exec '{sys.executable}' -W error -c 'from asynccache.cli import main; main()' "$@"
"""


class Block(NamedTuple):
    """One fenced block."""

    kind: str
    text: str


BLOCKS = [
    Block(kind, text) for kind, text in re.findall(r"^```(\w+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
]


def files() -> dict[str, str]:
    """Every file that the guide shows, by the name in its first line."""
    found: dict[str, str] = {}
    for kind, text in BLOCKS:
        if kind == "yaml":
            first, _, rest = text.partition("\n")
            found[first.removeprefix("# ")] = rest
    return found


def script(port: int) -> str:
    """All that a reader types, in one shell; a line of its own before each block's output."""
    parts = ["set -eu", "trap 'kill %1 2>/dev/null || true' EXIT", "exec 2>&1"]
    for number, (kind, text) in enumerate(BLOCKS):
        if kind not in {"sh", "python"} or text.startswith("pip "):
            continue
        parts.append(f"echo; echo '#### {number}'")
        parts.append(text if kind == "sh" else f"'{sys.executable}' -W error - <<'PYTHON'\n{text}PYTHON")
    told = "\n".join(parts).replace("127.0.0.1:4000", f"127.0.0.1:{port}")
    reread = "until grep -q 'until a restart' proxy.log; do sleep 0.1; done"  # a busy machine takes more than a second
    told = told.replace("kill -HUP %1 && sleep 1", f"kill -HUP %1 && {reread}")
    return told.replace("--config config.yaml 2>", f"--port {port} --config config.yaml 2>")


def masked(text: str) -> list[str]:
    """Lines without what differs from run to run: hashes, moments, addresses, spaces that line up a table."""
    text = re.sub(r"127\.0\.0\.1:\d+", "ADDRESS", text)
    text = re.sub(r"\b\d+ lines", "N lines", text)  # like events of a moment share one
    text = re.sub(r"once=[\w-]{43}", "once=WORD", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "HASH", text)
    text = re.sub(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\dZ)?)?", "MOMENT", text)
    return [" ".join(line.split()) for line in text.strip().splitlines()]


def free_port() -> int:
    """One that the system gives to nobody who does not ask for it by its number."""
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with socket.socket() as found, suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port


@pytest.mark.skipif(sys.platform == "win32", reason="the guide is for a POSIX shell")
def test_every_snippet_runs_and_prints_what_is_shown(tmp_path: Path) -> None:
    """In an empty folder, from the first line to the last; where an output is shown, it is the output."""
    folder = tmp_path / "reader"
    folder.mkdir()
    for name, text in files().items():
        (folder / name).write_text(text)
    shim = tmp_path / "bin" / "asynccache"
    shim.parent.mkdir()
    shim.write_text(SHIM)
    shim.chmod(shim.stat().st_mode | stat.S_IXUSR)
    done = subprocess.run(
        ["bash", "-c", script(free_port())],
        cwd=folder,
        env=environment(PATH=f"{shim.parent}{os.pathsep}{os.environ['PATH']}"),
        stdout=subprocess.PIPE,
        encoding="utf-8",
        timeout=150,
        check=False,
    )
    printed = dict(re.findall(r"^#### (\d+)\n(.*?)(?=^#### |\Z)", done.stdout, re.MULTILINE | re.DOTALL))
    shown = {str(number - 1): text for number, (kind, text) in enumerate(BLOCKS) if kind == "text"}
    assert done.returncode == 0, done.stdout
    assert len(shown) >= 9
    for number, text in shown.items():
        assert masked(printed[number]) == masked(text)
    secret = (folder / "team-b.key").read_text().strip()
    assert re.fullmatch(r"ac-[\w-]{43}", secret)
    for name in ("proxy.log", "audit.jsonl"):
        assert secret not in (folder / name).read_text()


@pytest.mark.parametrize("name", files())
def test_every_configuration_is_good(name: str, tmp_path: Path) -> None:
    """Each one passes `asynccache proxy --check` as it stands."""
    (tmp_path / name).write_text(files()[name])
    given = {
        "MASTER_KEY": "f2b7c1d09e8a4b6532c1a0fedcba98765432100123456789",
        "ANTHROPIC_API_KEY": "sk-ant-x",
        "OPENAI_API_KEY": "sk-x",
        "DATABASE_URL": "postgresql://u:p@db.example/asynccache",
    }
    done = run("proxy", "--config", str(tmp_path / name), "--check", **given)
    assert (done.returncode, "the configuration is good" in done.stderr) == (0, True), done.stderr
    assert "without meaning" not in done.stderr


def test_all_settings_are_shown_with_their_defaults() -> None:
    """The list is whole, and what it says of being unset is so."""
    told = yaml.safe_load(files()["settings.yaml"])["asynccache_settings"]
    assert told.pop("keys") == []
    assert told == msgspec.to_builtins(Settings())


def test_what_the_page_on_watching_shows(tmp_path: Path) -> None:
    """Its program runs against the simulator, and its settings pass `asynccache proxy --check`."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(simulator()) as sim:
        [program] = re.findall(r"^```python\n(.*?)^```$", WATCHING, re.MULTILINE | re.DOTALL)
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", AWAITING],
            input=program,
            env=environment(**simulated(sim)),
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    assert "caller ──► trace_calls ──► retry" in done.stdout
    [settings] = re.findall(r"^```yaml\n(.*?)^```$", WATCHING, re.MULTILINE | re.DOTALL)
    (tmp_path / "c.yaml").write_text(settings)
    assert run("proxy", "--config", str(tmp_path / "c.yaml"), "--check").returncode == 0


def test_its_commands_and_links_exist() -> None:
    """Every command that is named is a command, and every file that is linked is there."""
    for page in ("proxy.md", "watching.md"):
        text = (ROOT / "docs" / page).read_text(encoding="utf-8")
        assert set(re.findall(r"`asynccache (\w+)", text)) <= set(COMMANDS)
        links = re.findall(r"\]\((?!http)([^)#]+)\)", text)
        assert links
        assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
