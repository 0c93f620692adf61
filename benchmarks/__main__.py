"""``python -m benchmarks``: measures everything, writes ``results/speed.json``, the plots and RESULTS.md's Speed.

Peers live where they are installed: ``--python peers=PATH`` names the interpreter that has them, ``--python
litellm=PATH`` one for a peer that cannot share it. What is not installed says so in the table. The proxy is measured
last, beside the peers that ``--litellm-proxy`` and ``--portkey`` name; see `benchmarks.proxy`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path

from benchmarks.measure import ROOT, Suite
from benchmarks.plots import write_plots
from benchmarks.proxy import measure_proxy
from benchmarks.report import write_results

FOLDER = Path(__file__).parent / "results"


def main() -> None:
    """Measure, or only render what was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--python", action="append", default=[], metavar="NAME=PATH", help="the interpreter of a peer"
    )
    parser.add_argument("--scale", type=float, default=1.0, help="of the usual number of rounds")
    parser.add_argument("--render", action="store_true", help="write the tables from the last results")
    parser.add_argument(
        "--litellm-proxy", metavar="PYTHON", default="", help="an interpreter that has litellm[proxy]"
    )
    parser.add_argument(
        "--portkey", metavar="FOLDER", default="", help="where npm has put @portkey-ai/gateway"
    )
    parser.add_argument("--no-proxy", action="store_true", help="leave the proxy out")
    options = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    kept = FOLDER / "speed.json"
    if options.render:
        measured = json.loads(kept.read_text())
    else:
        begin = time.monotonic()
        suite = Suite(dict(pair.split("=", 1) for pair in options.python), options.scale)
        suite.run()
        measured = {"about": _about(suite, time.monotonic() - begin), **_rounded(suite.results)}  # type: ignore[dict-item]
        kept.write_text(json.dumps(measured, separators=(",", ":")) + "\n")
    write_plots(measured, FOLDER)
    write_results(measured, ROOT / "benchmarks" / "RESULTS.md")
    if not options.no_proxy and (not options.render or (FOLDER / "proxy.json").exists()):
        given = {"litellm": options.litellm_proxy, "portkey": options.portkey}
        peers = {name: path for name, path in given.items() if path}
        measure_proxy(peers, seconds=1.5 * options.scale, render=options.render)


def _about(suite: Suite, took: float) -> dict[str, object]:
    versions = {name: version(name) for name in ("aiohttp", "msgspec", "orjson", "anyio")}
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        platform.machine(),
    )
    return {
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "versions": {**versions, **suite.versions},
        "seconds": round(took),
        "scale": suite.scale,
    }


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(item) for item in value]
    return value


if __name__ == "__main__":
    sys.exit(main())
