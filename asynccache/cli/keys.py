"""Command: keys for the proxy's callers, kept in its ledger as digests; a key itself is shown once."""

from __future__ import annotations

import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    from collections.abc import Generator

    from asynccache.usage.ledger_budget import Standing
    from asynccache.usage.ledger_door import Door
    from asynccache.usage.ledger_keys import Key

__all__ = ["keys"]

_UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_MOST: Final = 9_000_000  # dollars; what is kept are whole numbers of 10⁻¹² of them
_HEADS: Final = ("id", "state", "models", "expires", "at once", "rpm", "tpm", "budget", "spent", "held")


def _amount(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Decimal | None:
    """An amount above nothing."""
    if value is None:
        return None
    try:
        amount = Decimal(value)
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or not 0 < amount < _MOST:
        raise click.BadParameter(f"{value!r} is no amount in dollars")
    return amount


def _moment(_ctx: click.Context, _param: click.Parameter, value: str | None) -> datetime | None:
    """A day or a moment of ISO 8601, UTC where it names no zone; or so far ahead: 12h, 30d, 2w."""
    if value is None:
        return None
    now = datetime.now(UTC)
    try:
        if value[:-1].isdecimal() and value[-1] in _UNITS:
            moment = now + int(value[:-1]) * _UNITS[value[-1]]
        else:
            moment = datetime.fromisoformat(value)
    except (ValueError, OverflowError) as error:
        msg = f"{value!r} is neither a day such as 2027-01-31 nor a time such as 30d"
        raise click.BadParameter(msg) from error
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if moment <= now:
        raise click.BadParameter(f"{value!r} has passed already")
    return moment


@click.group
def keys() -> None:
    """Make, list and revoke keys for the callers of a proxy.

    LEDGER is the proxy's asynccache_settings.ledger: a file of SQLite's or a postgresql:// address. It may
    be in use; a running proxy knows of a change within a second or two.
    """


@keys.command(short_help="Make a key and show it, once.")
@click.argument("ledger", required=False)
@click.option("--id", "key_id", help="Its name in reports and logs; one is made up where none is given.")
@click.option(
    "--model",
    "models",
    multiple=True,
    required=True,
    help="A name that it may ask for, exactly; may be given often. '*' is all that are served.",
)
@click.option("--expires", metavar="DAY|12h|30d", callback=_moment, help="When it ends.")
@click.option("--concurrency", type=click.IntRange(min=1), help="Calls at the same time.")
@click.option("--rpm", type=click.IntRange(min=1), help="Calls in any minute, in each proxy process.")
@click.option("--tpm", type=click.IntRange(min=1), help="Tokens in any minute, in each proxy process.")
@click.option(
    "--budget",
    metavar="DOLLARS",
    callback=_amount,
    help="US dollars in a period, over all proxies of the ledger.",
)
@click.option(
    "--per",
    "period",
    type=click.Choice(["day", "month"]),
    default="month",
    show_default=True,
    help="The budget's period, by UTC.",
)
@click.pass_context
def create(
    ctx: click.Context, /, ledger: str | None, key_id: str | None, models: tuple[str, ...], **rights: Any
) -> None:
    """Make a key and show it, once: the key on stdout, its name on stderr.

    Without a LEDGER nothing is kept: stderr has the row for asynccache_settings.keys instead.
    """
    import secrets

    from asynccache.proxy.virtual_keys import digest_of, is_id, new_key
    from asynccache.usage.ledger_keys import Key, Rights, add_key

    if "*" in models and len(models) > 1:
        raise click.UsageError("--model '*' stands alone: it is all that are served")
    if rights["budget"] is None and ctx.get_parameter_source("period") is not ParameterSource.DEFAULT:
        raise click.UsageError("--per is the period of a --budget; give both, or neither")
    name = key_id or f"key-{secrets.token_hex(4)}"
    if not is_id(name):
        raise click.UsageError(
            f"--id {name!r} is not a name of letters, digits, . _ @ and -; 'master' is taken"
        )
    key = new_key()
    made = Key(
        id=name, digest=digest_of(key), rights=Rights(models=models, **rights), created=datetime.now(UTC)
    )
    if ledger is None:
        click.echo(key)
        click.echo(_row(made), err=True)
        return
    is_new = not _is_there(ledger)
    with _door(ledger) as door:
        if not door.run(add_key(made)):
            msg = f"there is a key {name!r} already, or was; a name is never given twice"
            raise click.ClickException(msg)
    click.echo(key)
    click.echo(f"the key {name!r} is made; it is shown this once only, keep it", err=True)
    if is_new:
        click.echo(
            f"there was no ledger {ledger}; now there is, for a proxy whose asynccache_settings.ledger it is",
            err=True,
        )


@keys.command("list", short_help="Every key that was ever made, and what of its budget is spent.")
@click.argument("ledger")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document; amounts are strings.")
def list_(ledger: str, *, as_json: bool) -> None:
    """Every key that was ever made: what it may do, what a budget has spent in this period.

    What keys without a budget cost is in `asynccache report LEDGER --by key`.
    """
    from asynccache.usage.ledger_budget import span_of, standing
    from asynccache.usage.ledger_keys import all_keys

    now = datetime.now(UTC)
    with _door(ledger, must_exist=True) as door:
        found = door.run(all_keys())
        stands = [door.run(standing(key.id, span_of(key.rights.period, now)[0])) for key in found]
    if as_json:
        rows = [_document(key, now, at) for key, at in zip(found, stands, strict=True)]
        click.echo(json.dumps({"keys": rows}, indent=2))
        return
    if not found:
        click.echo("no keys")
        return
    lines = [_HEADS, *(_cells(key, now, at) for key, at in zip(found, stands, strict=True))]
    widths = [max(len(line[place]) for line in lines) for place in range(len(_HEADS))]
    for line in lines:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())


@keys.command
@click.argument("ledger")
@click.argument("key_id", metavar="ID")
def revoke(ledger: str, key_id: str) -> None:
    """Refuse the key with that ID from now on, for ever."""
    from asynccache.usage.ledger_keys import revoke_key

    with _door(ledger, must_exist=True) as door:
        if not door.run(revoke_key(key_id, datetime.now(UTC))):
            msg = f"there is no key {key_id!r} that is not revoked already; see `asynccache keys list`"
            raise click.ClickException(msg)
    click.echo(f"the key {key_id!r} is revoked", err=True)


def _is_there(ledger: str) -> bool:
    """Whether a file is; what a server's address leads to is the server's matter."""
    from pathlib import Path

    return "://" in ledger or Path(ledger).exists()


@contextmanager
def _door(ledger: str, *, must_exist: bool = False) -> Generator[Door]:
    from asynccache.usage.ledger_budget import BUDGET_TABLES
    from asynccache.usage.ledger_door import open_door
    from asynccache.usage.ledger_keys import KEY_TABLES

    if must_exist and not _is_there(ledger):
        msg = f"there is no ledger {ledger}; its name stands in asynccache_settings.ledger of the proxy"
        raise click.ClickException(msg)
    door = open_door(ledger, (*BUDGET_TABLES, *KEY_TABLES))
    try:
        yield door
    except ConnectionError as error:
        raise click.ClickException(" ".join(str(error).split())) from error
    finally:
        door.close()


def _row(key: Key) -> str:
    """The key as a configuration has it."""
    import msgspec

    rights: dict[str, Any] = msgspec.to_builtins(key.rights)
    told = {"id": key.id, "sha256": key.digest.hex(), **rights}
    return "\n".join(
        (
            "asynccache_settings:",
            "  keys:",
            *(
                f"  {'- ' if place == 0 else '  '}{name}: {json.dumps(value)}"
                for place, (name, value) in enumerate(told.items())
            ),
        )
    )


def _state(key: Key, now: datetime) -> str:
    if key.revoked is not None:
        return "revoked"
    return "good" if key.is_good(now) else "expired"


def _document(key: Key, now: datetime, at: Standing) -> dict[str, Any]:
    rights = key.rights
    return {
        "id": key.id,
        "state": _state(key, now),
        "created": None if key.created is None else key.created.isoformat(),
        "revoked": None if key.revoked is None else key.revoked.isoformat(),
        "models": list(rights.models),
        "expires": None if rights.expires is None else rights.expires.isoformat(),
        "concurrency": rights.concurrency,
        "rpm": rights.rpm,
        "tpm": rights.tpm,
        "budget": None if rights.budget is None else str(rights.budget),
        "period": rights.period,
        "spent": None if rights.budget is None else _dollars(at.spent),
        "held": None if rights.budget is None else _dollars(at.held),
    }


def _cells(key: Key, now: datetime, at: Standing) -> tuple[str, ...]:
    rights = key.rights
    limits = (rights.concurrency, rights.rpm, rights.tpm)
    return (
        key.id,
        _state(key, now),
        ",".join(rights.models),
        "-" if rights.expires is None else rights.expires.strftime("%Y-%m-%d %H:%M"),
        *("-" if limit is None else str(limit) for limit in limits),
        *(
            ("-", "-", "-")  # nothing is counted for it here; `asynccache report` tells what it cost
            if rights.budget is None
            else (f"{rights.budget}/{rights.period}", _dollars(at.spent), _dollars(at.held))
        ),
    )


def _dollars(picodollars: int) -> str:
    amount = Decimal(picodollars).scaleb(-12)
    return format(amount.normalize() if amount else amount.quantize(Decimal(1)), "f")
