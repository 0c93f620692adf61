"""Where a command listens, and why it cannot: one line with the remedy."""

from __future__ import annotations

import errno
import os

import click

__all__ = ["PORT", "cannot_listen"]

PORT = click.IntRange(0, 65_535)


def cannot_listen(host: str, port: int, error: OSError) -> click.ClickException:
    """What is told of *error*, which asyncio words at length."""
    code = error.errno or 0
    why = os.strerror(code) if code > 0 else error.strerror or str(error)
    remedy = {
        errno.EADDRINUSE: "; another --port may be free",
        errno.EADDRNOTAVAIL: "; --host is an address of this machine's",
        errno.EACCES: "; a --port from 1024 on needs no rights",
    }.get(code, "")
    return click.ClickException(f"cannot listen on {host}:{port}: {why.lower()}{remedy}")
