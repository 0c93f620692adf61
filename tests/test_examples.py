"""The examples run as they stand, without a key, and print what they promise."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command import ROOT, environment

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def lines(name: str) -> list[str]:
    """What an example prints; every warning is an error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples" / name)],
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_short(path: Path) -> None:
    """An example has 60 lines at most and says first what it shows."""
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60
    assert text.startswith('"""A ')


def test_budget_guard() -> None:
    """Calls pass while there is money left; the first one over the limit is refused, unsent."""
    shown = lines("budget_guard.py")
    assert "caller ──► budget_guard ──► retry" in shown[0]
    assert "caller ◄── budget_guard ◄── retry" in shown[1]
    spent = [float(line.removeprefix("spent $")) for line in shown[2:-1]]
    assert spent == sorted(spent)
    assert all(amount < 0.001 for amount in spent[:-1])
    assert spent[-1] >= 0.001
    assert shown[-1] == f"refused: ${spent[-1]:.4f} of $0.001 are spent; raise the limit to go on"


def test_fallback() -> None:
    """The other provider answers, and the mark goes out in its own words."""
    shown = lines("fallback.py")
    assert shown[0] == "anthropic/claude-sonnet-5-5: 529 OverloadedError; now openai/gpt-6.2-sol"
    written = re.fullmatch(r"gpt-6\.2-sol answered; (\d+) tokens written to its cache", shown[1])
    assert written is not None
    assert int(written[1]) > 2000
    assert shown[2] == "messages[0].content[0]: sent to messages[0].content[0]"
    assert shown[3].startswith("on the wire: {")
    assert "'mode': 'explicit'" in shown[3]


def test_redaction() -> None:
    """The number arrives in pieces and never goes out; other numbers do, and the text still streams."""
    (shown,) = lines("redaction.py")
    assert shown.replace("|", "") == "Charged to [card] on 3 May, as in 2024, 2025 and 2026."
    assert "1111" not in shown
    assert len(shown.split("|")) > 5


def test_service() -> None:
    """The service streams OpenAI's chunks as server-sent events: text, usage, [DONE]."""
    shown = [line for line in lines("service.py") if line]
    assert all(line.startswith("data: ") for line in shown)
    assert shown[-1] == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in shown[:-1]]
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in chunks)
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert text == "Salt lowers the freezing point."
    assert [chunk["usage"] is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1]["choices"] == []
