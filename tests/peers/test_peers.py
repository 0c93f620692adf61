"""The rig holds this library to what it holds its peers to, and the page shows what the rig has found."""

from __future__ import annotations

import json
import sys

import pytest

from .cases import CASES, TEXT
from .judging import RIGHT, Truth, judge
from .rendering import PAGE, RESULTS, render
from .rig import COLUMNS, Asker, rig

pytestmark = pytest.mark.anyio

SLOW = {"no-head", "stall", "drip", "pings", "always-500", "retry-after"}
"""Cases that wait: the whole table is a command."""
BUSY = 10.0
"""Seconds that a busy machine may add; what a case holds back, it holds for longer."""
GOOD = {"text": TEXT, "usage": {"prompt": 3, "completion": 4}, "error": None, "took": 0.1}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("wire", ["openai", "anthropic"])
async def test_this_library(wire: str) -> None:
    """Every case that does not take its time is right, in a process of its own."""
    asker = Asker(sys.executable, "asynccache")
    verdicts: dict[str, tuple[str, str]] = {}
    async with rig() as rigged:
        try:
            await rigged.learn(asker, wire)
            for name in CASES.keys() - SLOW:
                case = CASES[name]._replace(within=CASES[name].within + BUSY)
                came, truth = await rigged.ask(asker, wire, case)
                verdicts[name] = judge(case, came, truth)
        finally:
            await asker.stop()
    assert {name: told for name, told in verdicts.items() if told[0] != RIGHT} == {}


def test_the_page_is_of_the_results() -> None:
    """docs/peers.md is what results.json renders to, every case is in it, and this library is right in all."""
    found = json.loads(RESULTS.read_text(encoding="utf-8"))
    assert PAGE.read_text(encoding="utf-8") == render(found)
    assert found["cases"].keys() == CASES.keys()
    for name, row in found["cases"].items():
        assert row.keys() == {f"{one.client}/{one.wire}" for one in COLUMNS}, name
        assert {told["verdict"] for column, told in row.items() if column.startswith("asynccache/")} == {
            RIGHT
        }, name


@pytest.mark.parametrize(
    ("case", "came", "verdict"),
    [
        ("cut-rst", {}, "false success"),
        ("cut-rst", {"error": {"type": "E", "own": False}}, "raw exception"),
        ("cut-rst", {"error": {"type": "E", "own": True}}, RIGHT),
        ("cut-rst", {"error": {"type": "E", "own": True}, "took": 9.0}, "hang"),
        ("plain", {"error": {"type": "E", "own": True}}, "good answer refused"),
        ("plain", {"text": "other"}, "wrong text"),
        ("rst-after-usage", {"error": {"type": "E", "own": True}, "usage": None}, "usage lost"),
        ("rst-after-usage", {"error": {"type": "E", "own": True}, "usage": {"prompt": 3, "completion": 5}}, "wrong usage"),
        ("usage-none", {"error": {"type": "E", "own": True}}, "usage invented"),
        ("usage-huge", {"error": {"type": "E", "own": True}, "usage": {"prompt": 3, "completion": 10**30}}, "absurd usage"),
        ("key-echo", {"error": {"type": "E", "own": True}, "tells_key": True}, "key told"),
        ("bomb", {"error": {"type": "E", "own": True}, "memory": 900.0}, "memory"),
    ],
)  # fmt: skip
def test_the_judge(case: str, came: dict[str, object], verdict: str) -> None:
    """Each kind of wrong is seen."""
    truth = Truth(attempts=1, usage=(3, 4), key_elsewhere=False)
    whole = {**GOOD, "tells_key": False, "memory": 1.0, **came}
    assert judge(CASES[case], whole, truth)[0] == verdict
    assert judge(CASES[case], None, truth)[0] == "hang"
    assert judge(CASES[case], whole, truth._replace(key_elsewhere=True))[0] == "key sent elsewhere"
