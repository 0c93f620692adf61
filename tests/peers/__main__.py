"""The same faults through this library and its peers, judged by what was truly sent.

``python -m tests.peers --python peers=PATH --python litellm=PATH``: interpreters that have openai and anthropic, and
LiteLLM. Writes tests/peers/results.json and, from it, docs/peers.md. `--case NAME` and `--client NAME` run less, and
leave the rest as it was; `--render` writes the page again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from .cases import CASES
from .judging import judge
from .rendering import PAGE, RESULTS, render
from .rig import COLUMNS, Asker, Column, rig


async def run(pythons: dict[str, str], columns: list[Column], names: list[str]) -> dict[str, Any]:
    """Every case on every column whose interpreter is given."""
    found: dict[str, Any] = {"versions": {}, "cases": {name: {} for name in names}}
    async with rig() as rigged:
        for column in columns:
            asker = Asker(pythons[column.client], column.client)
            try:
                await rigged.learn(asker, column.wire)
                found["versions"][column.client] = asker.version
                for name in names:
                    came, truth = await rigged.ask(asker, column.wire, CASES[name])
                    verdict, seen = judge(CASES[name], came, truth)
                    found["cases"][name][f"{column.client}/{column.wire}"] = {
                        "verdict": verdict,
                        "seen": seen,
                    }
                    sys.stdout.write(f"{column.client}/{column.wire} {name}: {verdict} ({seen})\n")
                    sys.stdout.flush()
            finally:
                await asker.stop()
    return found


def merged(before: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What was known, and what is known better now."""
    cases = {name: {**before["cases"].get(name, {}), **found["cases"].get(name, {})} for name in CASES}
    return {"versions": {**before["versions"], **found["versions"]}, "cases": cases}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", action="append", default=[], metavar="peers|litellm=PATH")
    parser.add_argument("--case", action="append", choices=CASES)
    parser.add_argument("--client", action="append")
    parser.add_argument("--render", action="store_true")
    given = parser.parse_args()
    if not given.render:
        told = dict(pair.split("=", 1) for pair in given.python)
        peers = told.get("peers")
        pythons = {
            "asynccache": sys.executable,
            "openai": peers,
            "anthropic": peers,
            "litellm": told.get("litellm"),
        }
        known = {name: path for name, path in pythons.items() if path is not None}
        columns = [one for one in COLUMNS if one.client in (given.client or known) and one.client in known]
        found = asyncio.run(run(known, columns, given.case or list(CASES)))
        if given.case or given.client:
            found = merged(json.loads(RESULTS.read_text(encoding="utf-8")), found)
        found["when"] = time.strftime("%Y-%m-%d", time.gmtime())
        RESULTS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    Path(PAGE).write_text(render(json.loads(RESULTS.read_text(encoding="utf-8"))), encoding="utf-8")


if __name__ == "__main__":
    main()
