"""A PostgreSQL of the tests' own, from the machine's binaries: fresh, on a socket in a folder, gone afterwards."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import PATIENCE

_NOBODY = 65534  # the server refuses to run as root


def binaries() -> Path | None:
    """The folder with initdb: in the PATH, as pg_config says, or where Debian has it."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    config = shutil.which("pg_config")
    if config is not None:
        told = Path(
            subprocess.run([config, "--bindir"], check=False, capture_output=True, text=True).stdout.strip()
        )
        if (told / "initdb").exists():
            return told
    return next((path.parent for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)


def why_not() -> str | None:
    """Why there is no PostgreSQL here, None where there is."""
    try:
        import asyncpg  # noqa: F401
    except ImportError:
        return "asyncpg is not installed"
    return None if binaries() else "there is no initdb on this machine (Debian: postgresql)"


@contextmanager
def server() -> Iterator[str]:
    """The URL of a database on a running server."""
    folder = binaries()
    assert folder is not None
    home = Path(tempfile.mkdtemp(prefix="acpg"))
    user = _NOBODY if os.getuid() == 0 else None
    if user is not None:
        os.chown(home, user, user)
    run = {"user": user, "group": user, "cwd": home} if user is not None else {"cwd": home}
    data = home / "data"
    subprocess.run(
        [
            folder / "initdb",
            "-D",
            data,
            "-U",
            "tester",
            "--auth=trust",
            "--encoding=UTF8",
            "--no-sync",
            "--no-locale",
        ],
        check=True,
        capture_output=True,
        **run,
    )
    # fsync off: these tests kill clients, not the machine.
    settings = ["-c", "fsync=off", "-c", "listen_addresses=", "-c", f"unix_socket_directories={home}"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [folder / "postgres", "-D", data, *settings], stdout=log, stderr=log, **run
        )
        try:
            _wait_ready(process, home)
            yield f"postgresql://tester@/postgres?host={home}"
        finally:
            process.send_signal(signal.SIGINT)  # fast shutdown
            process.wait(2 * PATIENCE)
            shutil.rmtree(home, ignore_errors=True)


def _wait_ready(process: subprocess.Popen[bytes], home: Path) -> None:
    folder = binaries()
    assert folder is not None
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        ready = subprocess.run([folder / "pg_isready", "-q", "-h", home], check=False, cwd="/")
        if ready.returncode == 0:
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"PostgreSQL did not start: {(home / 'log').read_text()}")
