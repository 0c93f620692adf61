"""`asynccache proxy` as a process: it says what it serves, starts at once, and ends well."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from asynccache.usage.ledger_report import read_rows
from tests.proxy.process import run, running
from tests.waiting import PATIENCE

STRONG = "f2b7c1d09e8a4b6532c1a0fedcba98765432100123456789"
CONFIG = """
model_list:
- model_name: m
  litellm_params: {model: simulator/openai/gpt-4o, rpm: 3}
"""


def ask(url: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, bytes]:
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", **({} if key is None else {"x-api-key": key})}
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url + path, data, headers), timeout=2 * PATIENCE
        ) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def hello(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], **more}


def test_check_says_what_is_served(tmp_path: Path) -> None:
    """`--check` reads the file, lists names and what means nothing, and ends with 0."""
    file = tmp_path / "c.yaml"
    file.write_text(CONFIG)
    done = run("--config", str(file), "--check")
    assert done.returncode == 0
    assert "m → simulator/openai/gpt-4o" in done.stderr
    assert "without meaning here: litellm_params.rpm" in done.stderr


def test_a_bad_file_is_exit_code_2_before_binding(tmp_path: Path) -> None:
    """File, line and path on stderr, and the port was never taken."""
    file = tmp_path / "c.yaml"
    file.write_text(CONFIG + "\n  nonsense: 1\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        for more in ((), ("--check",)):
            done = run("--config", str(file), "--port", str(taken.getsockname()[1]), *more)
            assert done.returncode == 2
            assert done.stderr.startswith(f"Error: {file}:")
    file.write_text("model_list:\n- model_name: m\n  litellm_params: {model: nobody/x}\n")
    done = run("--config", str(file), "--check")
    assert (done.returncode, "no provider named 'nobody'" in done.stderr) == (2, True)


def test_other_addresses_need_a_key() -> None:
    """Without one the proxy does not even bind."""
    done = run("--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 2
    assert "no master key" in done.stderr
    done = run("--host", "0.0.0.0", "--port", "0", ASYNCCACHE_MASTER_KEY="sk-1234")
    assert (done.returncode, "sk-1234" in done.stderr) == (2, False)


def test_a_port_that_is_taken() -> None:
    """One line, and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = run("--port", str(taken.getsockname()[1]))
    assert done.returncode == 1
    assert "another --port may be free" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_file(tmp_path: Path) -> None:
    """It answers by simulated models, and ends with 0 on SIGTERM."""
    with running(tmp_path) as proxy:
        for model in ("simulator/openai/gpt-4o", "simulator/anthropic/claude-sonnet-4-5"):
            status, body = ask(proxy.url, "/v1/chat/completions", hello(model))
            assert status == 200
            assert json.loads(body)["usage"]["cost"] > 0
        assert ask(proxy.url, "/v1/chat/completions", hello("openai/gpt-4o"))[0] == 404
        proxy.process.send_signal(signal.SIGTERM)
        assert proxy.process.wait(PATIENCE) == 0
        assert "Traceback" not in proxy.said


@pytest.mark.slow  # it decides by a clock, which a busy machine spoils: pytest -m slow tests/proxy
def test_it_is_ready_soon(tmp_path: Path) -> None:
    """Within a second or so: on an idle machine 0.6."""
    took: list[float] = []
    for _ in range(3):
        began = time.monotonic()
        with running(tmp_path):
            took.append(time.monotonic() - began)
    assert min(took) < 1.5


def test_example_keys_are_allowed_on_loopback_with_a_warning(tmp_path: Path) -> None:
    """The page's `sk-1234` works where only this machine can ask."""
    with running(tmp_path, ASYNCCACHE_MASTER_KEY="sk-1234") as proxy:
        assert ask(proxy.url, "/v1/models")[0] == 401
        assert ask(proxy.url, "/v1/models", key="sk-1234")[0] == 200
        assert "Warning: the master key is one that stands in examples" in proxy.said
        assert "sk-1234" not in proxy.said


def test_sighup_reads_the_file_again(tmp_path: Path) -> None:
    """A good file takes effect at once, a bad one changes nothing."""
    file = tmp_path / "c.yaml"
    file.write_text(CONFIG)
    with running(tmp_path, "--config", str(file)) as proxy:
        assert ask(proxy.url, "/v1/chat/completions", hello("m"))[0] == 200
        file.write_text(CONFIG.replace("model_name: m", "model_name: n"))
        proxy.process.send_signal(signal.SIGHUP)
        proxy.wait_for("the configuration was read again")
        assert ask(proxy.url, "/v1/chat/completions", hello("m"))[0] == 404
        assert ask(proxy.url, "/v1/chat/completions", hello("n"))[0] == 200
        file.write_text("model_list: [")
        proxy.process.send_signal(signal.SIGHUP)
        proxy.wait_for("the configuration stays as it was")
        assert ask(proxy.url, "/v1/chat/completions", hello("n"))[0] == 200


def test_sigterm_with_fifty_open_streams(tmp_path: Path) -> None:
    """All fifty are said to their end, fifty exact rows are in the ledger, and the exit code is 0."""
    file = tmp_path / "c.yaml"
    ledger = tmp_path / "ledger.db"
    rows = "".join(
        f"- model_name: m{number}\n  litellm_params:\n    model: simulator/{model}\n"
        "    extra_headers: {x-simulator: '{\"rate\":30}'}\n"
        for number, model in enumerate(("openai/gpt-4o", "anthropic/claude-sonnet-4-5"))
    )
    file.write_text(f"model_list:\n{rows}asynccache_settings: {{ledger: {ledger}}}\n")
    answers: list[bytes] = []
    with running(tmp_path, "--config", str(file), ASYNCCACHE_MASTER_KEY=STRONG) as proxy:
        begun = threading.Semaphore(0)

        def one(number: int) -> None:
            body = hello(f"m{number % 2}", stream=True, max_tokens=40)
            asked = urllib.request.Request(
                proxy.url + "/v1/chat/completions", json.dumps(body).encode(), {"x-api-key": STRONG}
            )
            with urllib.request.urlopen(asked, timeout=2 * PATIENCE) as answer:
                begun.release()
                answers.append(answer.read())

        threads = [threading.Thread(target=one, args=(number,)) for number in range(50)]
        for thread in threads:
            thread.start()
        assert all(begun.acquire(timeout=PATIENCE) for _ in threads)
        proxy.process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(2 * PATIENCE)
        assert proxy.process.wait(PATIENCE) == 0
        assert "Traceback" not in proxy.said
    assert [answer.endswith(b"data: [DONE]\n\n") for answer in answers] == [True] * 50
    kept = read_rows(str(ledger))
    assert [(row.state, row.output_tokens, row.key_id) for row in kept] == [("settled", 40, "master")] * 50
    assert len({row.attempt_id for row in kept}) == 50
