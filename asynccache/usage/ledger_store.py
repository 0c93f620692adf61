"""What a ledger needs of a database, and the SQL that SQLite and PostgreSQL share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from asynccache.usage.ledger_row import COLUMNS, NAMES, SETTLED_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asynccache.usage.ledger_row import Kind, Row

__all__ = ["ON_CONFLICT", "TABLE", "VERSION", "RefusedRowError", "Store", "create_table"]

TABLE: Final = "asynccache_calls"
VERSION: Final = 1
"""Of the table's shape; a ledger of a later one is refused."""

ON_CONFLICT: Final = (
    f"ON CONFLICT (attempt_id) DO UPDATE SET "
    f"{', '.join(f'{name} = excluded.{name}' for name in SETTLED_NAMES)} "
    f"WHERE excluded.state = 'settled' AND {TABLE}.state <> 'settled'"
)
"""A row is settled once; opening or settling it again changes nothing. What was given up as unknown may
still be settled: the truth wins."""


class RefusedRowError(Exception):
    """The database takes no row with such a value; it would refuse it again."""


class Store(Protocol):
    """A database as the writer's thread uses it. What it raises is tried again, but for `RefusedRowError`."""

    @property
    def address(self) -> str:
        """Where it is, without a password."""
        ...

    def connect(self) -> int:
        """Take hold of the database; rows that dead processes left open become unknown: how many.

        Raises:
            ConfigurationError: it cannot be used; the message says why, and the remedy.
        """
        ...

    def write(self, rows: Sequence[Row], /) -> None:
        """Make all rows durable, or none; each attempt occurs once at most. Writing them again is safe.

        Raises:
            RefusedRowError: one of them can never be written.
        """
        ...

    def close(self) -> None:
        """Give up what is still open, and let go of the database. Idempotent."""
        ...


def create_table(types: Mapping[Kind, str]) -> tuple[str, ...]:
    """The statements that make an empty ledger, with a database's own types."""
    needed = {"attempt_id", "call_id", "attempt", "owner", "opened_at", "provider", "model", "state"}
    columns = [f"{name} {types[COLUMNS[name]]}{' NOT NULL' if name in needed else ''}" for name in NAMES]
    return (
        f"CREATE TABLE IF NOT EXISTS {TABLE} ({', '.join(columns)}, PRIMARY KEY (attempt_id))",
        f"CREATE INDEX IF NOT EXISTS {TABLE}_opened_at ON {TABLE} (opened_at)",
        f"CREATE INDEX IF NOT EXISTS {TABLE}_open ON {TABLE} (owner) WHERE state = 'open'",
    )
