"""The ledger in PostgreSQL, for any number of processes: each holds a lock that ends with its connection."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import urlsplit, urlunsplit

import msgspec

from asynccache.errors import ConfigurationError
from asynccache.usage.ledger_row import NAMES
from asynccache.usage.ledger_store import ON_CONFLICT, TABLE, VERSION, RefusedRowError, create_table

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence
    from types import ModuleType

    import asyncpg

    from asynccache.usage.ledger_row import Kind, Row

__all__ = ["PostgresStore", "query_postgres"]

_TYPES: Final[dict[Kind, str]] = {
    "text": "text",
    "integer": "bigint",
    "money": "numeric",
    "time": "timestamptz",
}
_UPSERT: Final = (
    f"INSERT INTO {TABLE} ({', '.join(NAMES)})"  # noqa: S608 - our own names
    f" VALUES ({', '.join(f'${place}' for place in range(1, len(NAMES) + 1))}) {ON_CONFLICT}"
)
_PATIENCE = 10.0  # seconds for a connection, and for one statement
_MAKING = 0x61737963  # the lock under which the table is made: one process at a time

_GIVE_UP: Final = f"UPDATE {TABLE} SET state = 'unknown' WHERE state = 'open' AND owner = $1"  # noqa: S608 - as above

# Rows of owners whose lock is free: their process, or at least its connection, is gone. Taking the lock
# for the length of the statement is how we ask.
_RECOVER: Final = (
    f"WITH left_over AS (SELECT DISTINCT owner FROM {TABLE} WHERE state = 'open' AND owner <> $1),"  # noqa: S608 - as above
    " dead AS MATERIALIZED (SELECT owner FROM left_over WHERE pg_try_advisory_xact_lock(owner))"
    f" UPDATE {TABLE} SET state = 'unknown' FROM dead WHERE {TABLE}.owner = dead.owner AND state = 'open'"
)


@final
class PostgresStore:
    """A database that many processes share; used by one thread, on an event loop of its own.

    Args:
        url: ``postgresql://user:password@host:port/database``, with libpq's parameters.
        owner: the number under which this ledger's rows are written, and its lock is held.
    """

    def __init__(self, url: str, *, owner: int) -> None:
        self._url = url
        self._owner = owner
        self._runner: asyncio.Runner | None = None
        self._db: asyncpg.Connection[Any] | None = None
        self.address = _without_password(url)

    def connect(self) -> int:
        """Connect, take our lock, and give up the rows of those who hold theirs no more.

        Raises:
            ConfigurationError: asyncpg is not installed, or the database cannot be used.
        """
        errors = _asyncpg().exceptions
        self._runner = asyncio.Runner()
        try:
            return self._runner.run(self._connect())
        except (OSError, TimeoutError, ValueError, errors.PostgresError, errors.InterfaceError) as error:
            self.close()
            raise ConfigurationError(_unusable(self.address, error)) from error

    def write(self, rows: Sequence[Row], /) -> None:
        """One transaction; a lost connection is made again."""
        if self._runner is None:
            raise ConnectionError(f"the ledger {self.address} is closed")
        self._runner.run(self._write([msgspec.structs.astuple(row) for row in rows]))

    def close(self) -> None:
        """Our rows that are still open become unknown: nobody will settle them."""
        runner, self._runner = self._runner, None
        if runner is not None:
            with closing(runner):
                runner.run(self._close())

    async def _connect(self) -> int:
        connection: asyncpg.Connection[Any] = await _asyncpg().connect(
            self._url, timeout=_PATIENCE, command_timeout=_PATIENCE
        )
        self._db = connection
        if await connection.fetchval(f"SELECT to_regclass('{TABLE}')") is None:
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", _MAKING)
                for statement in create_table(_TYPES):
                    await connection.execute(statement)
                await connection.execute(f"COMMENT ON TABLE {TABLE} IS '{_comment(VERSION)}'")
        comment = await connection.fetchval(f"SELECT obj_description('{TABLE}'::regclass)")
        if comment != _comment(VERSION):
            raise ValueError(f"its table is {comment!r}, this asynccache knows {_comment(VERSION)!r}")
        # After a lost connection the server may still believe in the old one, which then holds our lock.
        await connection.execute("SELECT pg_try_advisory_lock($1)", self._owner)
        return _affected(await connection.execute(_RECOVER, self._owner))

    async def _write(self, rows: list[tuple[Any, ...]]) -> None:
        errors = _asyncpg().exceptions
        try:
            if self._db is None or self._db.is_closed():
                await self._connect()
            if self._db is not None:
                await self._db.executemany(_UPSERT, rows)
        except (errors.DataError, errors.IntegrityConstraintViolationError, OverflowError) as error:
            raise RefusedRowError(str(error)) from error
        except BaseException:
            self._drop()
            raise

    async def _close(self) -> None:
        connection = self._db
        if connection is None or connection.is_closed():
            return
        try:
            await connection.execute(_GIVE_UP, self._owner)
            await connection.close(timeout=_PATIENCE)
        finally:
            self._drop()

    def _drop(self) -> None:
        """Make no second use of a connection that failed: whether it still holds our lock is not known."""
        connection, self._db = self._db, None
        if connection is not None:
            with suppress(Exception):  # it is broken; there is nothing left to be told about it
                connection.terminate()


def query_postgres(url: str, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows of a query with parameters ``$1``, ``$2`` …; blocks, whatever event loop runs.

    Raises:
        ConfigurationError: the database cannot be read.
    """
    errors = _asyncpg().exceptions
    try:
        return _run(_query(url, sql, parameters))
    except (OSError, TimeoutError, ValueError, errors.PostgresError, errors.InterfaceError) as error:
        raise ConfigurationError(_unusable(_without_password(url), error)) from error


async def _query(url: str, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    connection: asyncpg.Connection[Any] = await _asyncpg().connect(url, timeout=_PATIENCE)
    try:
        return [tuple(record) for record in await connection.fetch(sql, *parameters)]
    finally:
        await connection.close(timeout=_PATIENCE)


def _run(coroutine: Coroutine[Any, Any, list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
    """In a thread of its own: the caller's may already have a running event loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def _asyncpg() -> ModuleType:
    try:
        import asyncpg
    except ImportError as error:
        msg = "a ledger on PostgreSQL needs asyncpg: pip install 'asynccache[postgres]'"
        raise ConfigurationError(msg) from error
    return asyncpg


def _comment(version: int) -> str:
    return f"asynccache ledger, version {version}"


def _affected(status: str) -> int:
    return int(status.rpartition(" ")[2])


def _unusable(address: str, error: BaseException) -> str:
    reason = str(error) or type(error).__name__
    return f"the ledger {address} cannot be used: {reason}; see that the server runs and the URL is right"


def _without_password(url: str) -> str:
    """*url* without anything that could be secret: neither the password nor the parameters."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    user = parts.netloc.rpartition("@")[0].partition(":")[0]
    return urlunsplit((parts.scheme, f"{user}@{host}" if user else host, parts.path, "", ""))
