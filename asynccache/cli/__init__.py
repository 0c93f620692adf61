"""The `asynccache` command."""

from __future__ import annotations

import sys
from importlib.util import find_spec

__all__ = ["main"]


def main() -> None:
    """Run the command line; without the extra that it needs, say in one line how to get it."""
    missing = [name for name in ("click", "rich") if find_spec(name) is None]
    if missing:
        sys.exit(
            f"the asynccache command needs {' and '.join(missing)}: pip install 'asynccache[cli]'"
        )  # a string goes to stderr, with exit code 1

    from asynccache.cli.group import asynccache

    asynccache.main(prog_name="asynccache")
