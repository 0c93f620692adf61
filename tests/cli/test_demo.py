from __future__ import annotations

import json
import os
import pty
import subprocess
import time
from decimal import Decimal
from typing import Any

import pytest

from asynccache.cli.conversation import AFTERWARDS, TURNS
from asynccache.cli.demo import MODELS
from tests.cli.command import PYTHON, START, environment, run


def play(*arguments: str, **extra: str) -> str:
    done = run("demo", *arguments, **extra)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def play_json(*arguments: str) -> dict[str, Any]:
    document = json.loads(play("--json", *arguments))
    assert isinstance(document, dict)
    return document


def test_shows_reads_writes_cost_and_saving() -> None:
    """The default demo shows what was read, written and saved at every turn, and the miss after a changed word."""
    shown = play()
    lines = shown.splitlines()
    assert "simulated; prices as of 20" in lines[0]
    assert len([line for line in lines if line.startswith("> ")]) == 5
    counts = [line for line in lines if " = read " in line]
    assert len(counts) == 5
    assert [" read 0 " in line for line in counts] == [True, False, False, False, True]
    assert len([line for line in lines if line.startswith("  cost $") and ", without caching $" in line]) == 5
    assert shown.count("  miss: prefix diverged at messages[0], character 0:") == 1
    assert lines[-1].startswith("total of 5 turns: $")
    assert ", saved $" in lines[-1]


def test_fits_a_terminal() -> None:
    """No line of the demo is wider than 80 columns."""
    assert max(len(line) for line in play().splitlines()) <= 80


@pytest.mark.parametrize("provider", sorted(MODELS))
def test_every_provider_as_json(provider: str) -> None:
    """`--json` prints one document, whose sums are right, for every simulated provider."""
    document = play_json("--provider", provider)
    turns = document["turns"]
    assert document["model"] == MODELS[provider]
    assert document["simulated"] is True
    assert [turn["turn"] for turn in turns] == [1, 2, 3, 4, 5]
    assert [turn["answer"] for turn in turns] == [exchange.answer for exchange in (*TURNS, AFTERWARDS)]
    for turn in turns:
        usage = turn["usage"]
        details = usage["prompt_tokens_details"]
        assert usage["source"] == "provider"
        assert usage["prompt_tokens"] == (
            details["cached_tokens"] + details["cache_write_tokens"] + details["uncached_tokens"]
        )
        assert Decimal(turn["saved"]) == Decimal(turn["cost"]["without_cache"]) - Decimal(
            turn["cost"]["total"]
        )
    assert [turn["usage"]["prompt_tokens_details"]["cached_tokens"] > 0 for turn in turns] == [
        False,
        True,
        True,
        True,
        False,
    ]
    assert [turn["cache_miss"] is not None for turn in turns] == [False, False, False, False, True]
    totals = document["totals"]
    assert Decimal(totals["cost"]) == sum(Decimal(turn["cost"]["total"]) for turn in turns)
    assert Decimal(totals["saved"]) == Decimal(totals["without_cache"]) - Decimal(totals["cost"])
    assert Decimal(totals["saved"]) > 0
    assert totals["cached_tokens"] == sum(turn["usage"]["cache_read_input_tokens"] for turn in turns)


def test_the_default_writes_and_reads() -> None:
    """The default provider charges for writing and gives back by reading: both are seen."""
    totals = play_json()["totals"]
    assert totals["cache_write_tokens"] > 0
    assert totals["cached_tokens"] > 0


def test_two_runs_are_alike() -> None:
    """The numbers of the demo do not depend on luck."""
    first, second = play_json(), play_json()
    assert first["totals"] == second["totals"]


def test_another_model() -> None:
    """`--model` takes any model of the provider; with no known price the tokens are still told."""
    document = play_json("--provider", "openai", "--model", "openai/gpt-of-tomorrow")
    assert document["model"] == "openai/gpt-of-tomorrow"
    assert document["totals"]["cost"] is None
    assert document["totals"]["prompt_tokens"] > 0
    assert document["turns"][0]["cost"]["reason"]
    assert "cost unknown: " in play("--provider", "openai", "--model", "gpt-of-tomorrow")


def in_terminal(**extra: str) -> tuple[bytes, float]:
    """What the demo writes to a terminal, and the seconds it takes."""
    leader, follower = pty.openpty()
    began = time.perf_counter()
    process = subprocess.Popen(
        [PYTHON[0], "-c", START, "demo"],
        env=environment(TERM="xterm-256color", COLUMNS="80", **extra),
        stdout=follower,
        stdin=subprocess.DEVNULL,
    )
    os.close(follower)
    written = b""
    while True:
        try:
            read = os.read(leader, 65536)
        except OSError:  # how a terminal says that nobody writes to it any more
            break
        if not read:
            break
        written += read
    os.close(leader)
    assert process.wait(timeout=60) == 0
    return written, time.perf_counter() - began


def test_in_a_terminal() -> None:
    """In a terminal the demo streams in colour, read green and written yellow."""
    written, _ = in_terminal()
    assert b"\x1b[32m" in written
    assert b"\x1b[33m" in written
    assert written.count(b" = read ") == 5


@pytest.mark.slow  # it decides by a clock, which a busy machine spoils: pytest -m slow tests/cli
def test_in_a_few_seconds() -> None:
    """Nobody waits long for it: 3 seconds on an idle machine."""
    assert min(in_terminal()[1] for _ in range(3)) < 6


def test_no_color() -> None:
    """With NO_COLOR, or without a terminal, not one escape sequence is written."""
    written, _ = in_terminal(NO_COLOR="1")
    assert b"\x1b" not in written
    assert written.count(b" = read ") == 5
    assert "\x1b" not in play()


def test_a_terminal_without_block_characters() -> None:
    """Where the output cannot hold block characters the bar is drawn with others."""
    shown = play(PYTHONIOENCODING="ascii")
    assert "####" in shown
    assert "++++" in shown
