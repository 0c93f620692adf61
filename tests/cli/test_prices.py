from __future__ import annotations

import json

from tests.cli.command import run

USAGE = {
    "input_tokens": 12,
    "cache_read_input_tokens": 1150,
    "cache_creation_input_tokens": 1000,
    "output_tokens": 48,
}


def test_models() -> None:
    """`models` lists the models whose name holds the words, and fails in one line where there is none."""
    done = run("models", "sonnet-4-5", "--provider", "anthropic")
    assert (done.returncode, done.stderr) == (0, "")
    assert "anthropic/claude-sonnet-4-5" in done.stdout
    listed = json.loads(run("models", "gpt-4o", "--json").stdout)
    assert any(row["key"] == "openai/gpt-4o" for row in listed)
    none = run("models", "no-such-model")
    assert (none.returncode, none.stdout) == (1, "")
    assert none.stderr.count("\n") == 1


def test_cost() -> None:
    """`cost` prices a usage from the standard input: Claude Sonnet 4.5 at $3, a tenth read, a quarter more written."""
    done = run("cost", "-", "--model", "anthropic/claude-sonnet-4-5", "--json", stdin=json.dumps(USAGE))
    assert (done.returncode, done.stderr) == (0, "")
    cost = json.loads(done.stdout)["cost"]
    assert float(cost["total"]) == (12 * 3 + 1150 * 0.3 + 1000 * 3.75 + 48 * 15) / 1e6
    shown = run("cost", "-", "--model", "anthropic/claude-sonnet-4-5", stdin=json.dumps(USAGE))
    assert "cache read" in shown.stdout
    assert "without caching $0.00721: saved $" in shown.stdout


def test_what_cannot_be_priced() -> None:
    """A file without counts, or a model without a provider, is one line and exit code 1."""
    for model, text in (("openai/gpt-4o", "[]"), ("openai/gpt-4o", "{}"), ("no-such-model", "{}")):
        done = run("cost", "-", "--model", model, stdin=text)
        assert done.returncode == 1
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1
