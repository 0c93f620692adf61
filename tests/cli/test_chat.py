from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.cli.command import START, environment, run, start

MODEL = "anthropic/claude-sonnet-5-5"


@pytest.fixture
def slow_openai() -> Iterator[dict[str, str]]:
    """A simulated provider that takes seconds for an answer, as the environment of another process."""
    with start("simulator", "--port", "0", "--rate", "20", "--answer-tokens", "2000") as process:
        exports: dict[str, str] = {}
        while len(exports) < 9 and process.stdout:
            line = process.stdout.readline()
            assert line
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").strip().partition("=")
                exports[name] = value
        yield exports
        process.terminate()
        process.communicate(timeout=60)


@pytest.mark.parametrize(
    "model",
    [
        MODEL,
        "openai/gpt-6.2-sol",
        "deepseek/deepseek-flash",
        "bedrock/global.anthropic.claude-sonnet-5",
        "claude-sonnet-4-5",
    ],
)
def test_a_simulated_conversation(model: str) -> None:
    """Every line is a question; every answer is followed by its tokens and its cost."""
    done = run("chat", model, "--simulate", "--system", "Be brief. " * 900, stdin="one\n\ntwo\n")
    assert (done.returncode, done.stderr) == (0, "")
    counts = [line for line in done.stdout.splitlines() if " = read " in line]
    assert len(counts) == 2
    assert " read 0 " in counts[0]
    assert " read 0 " not in counts[1]
    assert all("; cost $" in line for line in counts)


def test_exit() -> None:
    """/exit ends the chat; what follows is not asked."""
    done = run("chat", MODEL, "--simulate", stdin="one\n/exit\ntwo\n")
    assert done.returncode == 0
    assert done.stdout.count(" = read ") == 1


@pytest.mark.parametrize(
    ("arguments", "stdin", "extra", "said"),
    [
        (("nonesuch/model",), "hi\n", {}, "no provider named 'nonesuch'"),
        (("clod-sonnet",), "hi\n", {}, "no known model is named 'clod-sonnet'"),
        (("openai/gpt-4o",), "hi\n", {}, "set OPENAI_API_KEY or pass api_key=; --simulate needs none"),
        (("groq/some-model",), "hi\n", {}, "set GROQ_API_KEY or pass api_key=\n"),
        (("groq/some-model", "--simulate"), "hi\n", {}, "there is no simulated 'groq'"),
        (("openai/nonexistent", "--simulate"), "hi\n", {}, "does not exist"),
        (
            ("openai/gpt-4o",),
            "hi\n",
            {"OPENAI_API_KEY": "sk-0123456789abcdef", "OPENAI_BASE_URL": "http://127.0.0.1:9/v1"},
            "no connection to 127.0.0.1",
        ),
    ],
)
def test_what_goes_wrong_is_one_line(
    arguments: tuple[str, ...], stdin: str, extra: dict[str, str], said: str
) -> None:
    """An error is one line that names the value, without a traceback and without the key; the exit code is 1."""
    done = run("chat", *arguments, stdin=stdin, **extra)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert "0123456789abcdef" not in done.stderr + done.stdout


def test_a_key_that_is_refused(slow_openai: dict[str, str]) -> None:
    """A refused key is one line; the key is not in it."""
    done = run(
        "chat", "openai/gpt-4o", stdin="hi\n", **{**slow_openai, "OPENAI_API_KEY": "invalid-0123456789"}
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert "0123456789" not in done.stderr


def test_ctrl_c_stops_the_answer_only(slow_openai: dict[str, str]) -> None:
    """Ctrl-C during an answer stops that answer; the chat goes on with the next question."""
    with start("chat", "openai/gpt-4o", **slow_openai) as process:
        try:
            assert process.stdin
            assert process.stdout
            process.stdin.write("a long story, please\n")
            process.stdin.flush()
            assert process.stdout.read(10)
            process.send_signal(signal.SIGINT)
            while "(stopped)" not in (line := process.stdout.readline()):
                assert line, "it ended"
            process.stdin.write("/exit\n")
            rest, errors = process.communicate(timeout=60)
            assert (process.returncode, rest, errors) == (0, "", "")
        finally:
            process.kill()


def test_a_dialogue_in_a_terminal() -> None:
    """In a terminal it asks for each line, and Ctrl-C stops the answer but not the chat."""
    leader, follower = pty.openpty()
    own = "import fcntl, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0)"  # so that Ctrl-C becomes a signal
    own += "; import asynccache.cli.chat as chat; chat._RATE = 10.0"  # 5 seconds to stop it in
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-c", f"{own}; {START}", "chat", MODEL, "--simulate"],
        env=environment(TERM="xterm", NO_COLOR="1"),
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
    )
    os.close(follower)
    shown = ""

    def wait_for(text: str, times: int = 1) -> None:
        nonlocal shown
        while shown.count(text) < times:
            shown += os.read(leader, 4096).decode("utf-8", "replace")

    try:
        wait_for("> ")
        os.write(leader, b"tell me a long story\n")
        wait_for("simulated")  # the answer has begun
        os.write(leader, b"\x03")
        wait_for("(stopped)")
        assert " = read " not in shown
        os.write(leader, b"shorter\n")
        wait_for(" = read ")
        os.write(leader, b"/exit\n")
        assert process.wait(timeout=60) == 0
    finally:
        process.kill()
        os.close(leader)


def test_input_that_is_no_text() -> None:
    """Bytes that are no text end the chat with one line."""
    with start("chat", MODEL, "--simulate") as process:
        assert process.stdin
        process.stdin.buffer.write(b"\xff\xfe\n")
        process.stdin.close()
        process.stdin = None
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert errors.startswith("Error: the standard input is not utf-8 text")
