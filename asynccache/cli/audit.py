"""Command: whether a proxy's audit log is as it was written."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["audit"]


@click.command
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--head", metavar="HASH", help="A hash that must occur in it: shows lines missing at the end.")
def audit(file: Path, head: str | None) -> None:
    """Check the hash chain of an audit log.

    It says how many lines hold, and the hash of the last one: kept elsewhere, that hash shows later whether
    lines are missing at the end. Exit code 1 where the log was changed.
    """
    from asynccache.proxy.audit import verify_audit

    verdict = verify_audit(file, head=head)
    if verdict.trouble is not None:
        raise click.ClickException(f"{file}: {verdict.trouble}; {verdict.lines} lines before it hold")
    click.echo(f"{verdict.lines} lines, unbroken; the last one's hash is {verdict.head}")
