from __future__ import annotations

import errno
import json
import os
import signal
import socket
import urllib.request

import pytest

from asynccache.cli.listening import cannot_listen
from tests.cli.command import run, start


def test_serves_until_it_is_told_to_stop() -> None:
    """`asynccache simulator` prints what to export, answers there, and ends cleanly on SIGTERM."""
    with start("simulator", "--port", "0", "--answer-tokens", "3") as process:
        try:
            exports: dict[str, str] = {}
            while len(exports) < 9:
                line = process.stdout.readline() if process.stdout else ""
                assert line, "it ended before it had said where it listens"
                if line.startswith("export "):
                    name, _, value = line.removeprefix("export ").strip().partition("=")
                    exports[name] = value
            request = urllib.request.Request(
                exports["OPENAI_BASE_URL"] + "/chat/completions",
                data=json.dumps(
                    {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
                ).encode(),
                headers={
                    "authorization": f"Bearer {exports['OPENAI_API_KEY']}",
                    "content-type": "application/json",
                },
            )
            with urllib.request.urlopen(request, timeout=60) as response:
                answer = json.load(response)
            assert answer["usage"]["completion_tokens"] == 3
            process.send_signal(signal.SIGTERM)
            rest, errors = process.communicate(timeout=60)
            assert (process.returncode, rest, errors) == (0, "", "")
        finally:
            process.kill()


def test_a_port_that_is_taken() -> None:
    """A port in use is one clear line and exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("simulator", "--port", str(port))
    assert done.returncode == 1
    assert done.stdout == ""
    why = f"{os.strerror(errno.EADDRINUSE).lower()}; another --port may be free"
    assert done.stderr == f"Error: cannot listen on 127.0.0.1:{port}: {why}\n"


def test_why_it_cannot_listen() -> None:
    """The system's word for it, once, with a remedy that fits."""
    other = OSError(errno.EADDRNOTAVAIL, "error while attempting to bind on address ('203.0.113.1', 0)")
    assert cannot_listen("203.0.113.1", 0, other).message == (
        f"cannot listen on 203.0.113.1:0: {os.strerror(errno.EADDRNOTAVAIL).lower()}"
        "; --host is an address of this machine's"
    )
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    assert cannot_listen("nobody", 1, unknown).message == (
        "cannot listen on nobody:1: name or service not known"
    )


@pytest.mark.parametrize("command", ["simulator", "proxy"])
def test_a_port_that_is_none(command: str) -> None:
    """It is wrong usage, and no traceback."""
    done = run(command, "--port", "99999")
    assert done.returncode == 2
    assert "99999 is not in the range 0<=x<=65535" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_rate_of_nothing() -> None:
    """Settings that make no sense are refused as wrong usage."""
    assert run("simulator", "--rate", "0").returncode == 2
