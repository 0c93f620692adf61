"""The page that shows the results."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from .cases import CASES, LIMIT
from .judging import RIGHT
from .rig import COLUMNS

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).resolve().parent / "results.json"
PAGE = ROOT / "docs" / "peers.md"

_WORDS = {
    RIGHT: "text and usage are those that were sent; or, where no whole answer came, an error of the client's own",
    "key sent elsewhere": "another origin was sent the key",
    "key told": "the error shows the key",
    "hang": f"not over within twice the {LIMIT:.0f} s that it was told to wait at most (or the row's own limit)",
    "false success": "the answer was not whole, and the call was a success",
    "memory": "more than 48 MB for it",
    "raw exception": "an exception that is not one of the client's own",
    "good answer refused": "the answer was whole, and the call was an error",
    "wrong text": "a success with another text",
    "too many attempts": "more requests than one and its retries",
    "asked too soon": "asked again before the time that was asked for",
    "usage lost": "the provider told the usage, and no one who looks at all that the client gives finds it",
    "wrong usage": "other counts than the provider told",
    "usage invented": "counts where the provider told none, without a word that they are guesses",
    "absurd usage": "counts passed on that cannot be",
}


def render(found: dict[str, Any]) -> str:
    """The page, from the results of a run."""
    columns = [f"{one.client}/{one.wire}" for one in COLUMNS]
    there = [name for name in columns if any(name in case for case in found["cases"].values())]
    versions = ", ".join(
        f"{name} {version}" for name, version in sorted(found["versions"].items()) if name != "asynccache"
    )
    lines = [
        "# The same faults through other clients",
        "",
        f"Each client streams an answer in a process of its own, told to wait {LIMIT:.0f} s at most, against the",
        "project's simulator with its relay of faults. What came of it is held against what was truly sent.",
        f"Written {found['when']} by `python -m tests.peers --python peers=PATH --python litellm=PATH`, the paths being",
        f"of interpreters that have the SDKs, and LiteLLM: {versions}.",
        "",
        "A column is a client and the wire that it is asked on, OpenAI's Chat Completions or Anthropic's Messages. Numbers",
        "behind a fault are rows of the catalogue in [reliability.md](reliability.md). Behind a verdict stand how the call",
        "ended, a success or an exception's name, and after how long.",
        "",
        "Usage is looked for in every chunk and event, in the error, and in LiteLLM's callbacks too. LiteLLM is here as",
        "`pip install litellm` makes it, which is without tenacity; its retries need that.",
        "",
        "| | " + " | ".join(name.replace("/", "<br>on ") for name in there) + " |",
        "|---|" + "---|" * len(there),
    ]
    for name, case in CASES.items():
        row = found["cases"].get(name, {})
        cells = [_cell(row.get(column)) for column in there]
        lines.append(f"| {case.title} ({case.rows}) | " + " | ".join(cells) + " |")
    totals = [Counter(row[column]["verdict"] == RIGHT for row in found["cases"].values()) for column in there]
    lines.append("| **right** | " + " | ".join(f"**{one[True]} of {one.total()}**" for one in totals) + " |")
    seen = {row[column]["verdict"] for row in found["cases"].values() for column in there}
    lines += ["", *(f"- **{word}**: {means}." for word, means in _WORDS.items() if word in seen)]
    return "\n".join(lines) + "\n"


def _cell(told: dict[str, str] | None) -> str:
    if told is None:
        return "-"
    return "right" if told["verdict"] == RIGHT else f"**{told['verdict']}** ({told['seen']})"
