"""Fuzz one target, led by coverage: `python -m tests.fuzz.run sse -max_total_time=1800`.

Needs atheris (CPython 3.11, Linux; it stands in the group `dev`). `all` runs every target for 30 s in turn. A run
begins with what `kept/` has and with the seeds, what it finds worth keeping goes to `corpus/`, what crashes to
`crashers/`, where `test_crashers.py` keeps it; ``ASYNCCACHE_FUZZ=DIR`` puts both elsewhere. `keep` brings `kept/` up to
date: of all that is in `corpus/`, as little as covers the same.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

HERE = Path(__file__).parent
KEPT = HERE / "kept"
_RAW = "--raw"  # what libFuzzer calls itself with


def main() -> int:
    name, *flags = sys.argv[1:] or ["all"]
    if name == "keep":
        from tests.fuzz.targets import TARGETS

        for one in TARGETS:
            keep(one)
        return 0
    if name == "all":
        from tests.fuzz.targets import TARGETS

        limit = flags or ["-max_total_time=30"]
        return max(
            subprocess.run([sys.executable, "-m", "tests.fuzz.run", one, *limit], check=False).returncode
            for one in TARGETS
        )
    fuzz(name, flags)
    return 0


def fuzz(name: str, flags: list[str]) -> None:
    """Fuzz until the flags, libFuzzer's, say that it is enough."""
    import atheris

    with atheris.instrument_imports(include=["asynccache"]):
        from tests.fuzz.seeds import seeds
        from tests.fuzz.targets import TARGETS

        target = TARGETS[name]
        for seed in seeds(name):  # what is imported on first use is instrumented as well
            target(seed)

    if flags[:1] == [_RAW]:
        atheris.Setup([os.environ["ASYNCCACHE_FUZZ_SELF"], *flags[1:]], target)
        atheris.Fuzz()
        return
    root = Path(os.environ.get("ASYNCCACHE_FUZZ", HERE))
    corpus, crashers = root / "corpus" / name, root / "crashers"
    crashers.mkdir(parents=True, exist_ok=True)
    corpus.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate([*seeds(name), *kept(name)]):
        (corpus / f"seed-{number}").write_bytes(data)
    mine = [sys.argv[0], str(corpus), f"-artifact_prefix={crashers}/{name}-", "-max_len=4096"]
    atheris.Setup([*mine, *flags], target)
    atheris.Fuzz()


def kept(name: str) -> list[bytes]:
    """The stored inputs of a target."""
    if not (KEPT / f"{name}.zip").exists():
        return []
    with ZipFile(KEPT / f"{name}.zip") as stored:
        return [stored.read(one) for one in sorted(stored.namelist())]


def keep(name: str) -> None:
    """Store as few inputs as cover what the whole corpus covers; what was never fuzzed here stays as it is."""
    if not (HERE / "corpus" / name).exists():
        return
    with tempfile.TemporaryDirectory() as folder:
        few, itself = Path(folder) / "few", Path(folder) / "itself"
        few.mkdir()
        command = shlex.join([sys.executable, "-m", "tests.fuzz.run", name, _RAW])
        itself.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        itself.chmod(0o700)
        flags = ["-merge=1", str(few), str(HERE / "corpus" / name)]
        subprocess.run([itself, *flags], check=True, env={**os.environ, "ASYNCCACHE_FUZZ_SELF": str(itself)})
        KEPT.mkdir(exist_ok=True)
        with ZipFile(KEPT / f"{name}.zip", "w", ZIP_DEFLATED) as stored:
            for file in sorted(few.iterdir()):
                stored.writestr(ZipInfo(file.name), file.read_bytes(), ZIP_DEFLATED)


if __name__ == "__main__":
    sys.exit(main())
