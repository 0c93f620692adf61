"""Fuzz one target, led by coverage: `python -m tests.fuzz.run sse -max_total_time=1800`.

Needs atheris (`pip install atheris`, CPython 3.11). What it finds worth keeping goes to `tests/fuzz/corpus/`, what
crashes to `tests/fuzz/crashers/`, where `test_crashers.py` keeps it. `all` runs every target for 30 s in
turn: the smoke that is run before a release.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import atheris

HERE = Path(__file__).parent


def main() -> int:
    name, *flags = sys.argv[1:] or ["all"]
    if name == "all":
        from tests.fuzz.targets import TARGETS

        limit = flags or ["-max_total_time=30"]
        return max(
            subprocess.run([sys.executable, "-m", "tests.fuzz.run", one, *limit], check=False).returncode
            for one in TARGETS
        )

    with atheris.instrument_imports(include=["asynccache"]):
        from tests.fuzz.seeds import seeds
        from tests.fuzz.targets import TARGETS

        target = TARGETS[name]
        for seed in seeds(name):  # what is imported on first use is instrumented as well
            target(seed)

    corpus = HERE / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(seeds(name)):
        (corpus / f"seed-{number}").write_bytes(seed)
    crashers = HERE / "crashers"
    crashers.mkdir(exist_ok=True)
    atheris.Setup(
        [sys.argv[0], str(corpus), f"-artifact_prefix={crashers}/{name}-", "-max_len=4096", *flags], target
    )
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
