"""A second way into the ledger's database, for what is decided at once: scripts of statements, each one transaction.

The writer's thread takes rows whenever it gets to them; a budget must be answered before a call is made.
A script is a generator: it yields a statement, is sent what came of it, and returns what it found. It is
written once, and both databases run it; it runs wholly or not at all.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias, TypeVar, final

from asynccache.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import ModuleType

    import asyncpg

__all__ = ["Door", "Result", "Script", "Statement", "make_private", "open_door"]

T = TypeVar("T")

_ACCESS = 0o600  # who spends what is nobody else's business
_PATIENCE = 5.0  # seconds for a connection, and for one statement
_LOCKED = 1.5  # seconds for SQLite's one lock, which is held for microseconds
_MAKING = 0x61737963  # the ledger's own lock under which tables are made: one process at a time
_MEMORY = "file:asynccache-"  # a ledger in memory; what is decided beside it ends with the process too


class Statement(NamedTuple):
    """SQL that both databases understand; its parameters are ``$1``, ``$2`` and so on."""

    sql: str
    parameters: Sequence[Any] = ()


class Result(NamedTuple):
    """What came of a statement: the rows that it found, or how many it changed."""

    rows: list[tuple[Any, ...]]
    changed: int


Script: TypeAlias = Generator[Statement, Result, T]


class Door(Protocol):
    """A connection that one thread uses. What fails with ``ConnectionError`` may be tried again."""

    def run(self, script: Script[T], /) -> T:
        """Run *script* in one transaction and give what it returns.

        Raises:
            ConnectionError: the database could not be used; whether the script ran is not known.
        """
        ...

    def close(self) -> None:
        """Let go of the database. Idempotent."""
        ...


def open_door(where: str | Path, tables: Sequence[str]) -> Door:
    """A door to the ledger at *where*; makes *tables* where they are missing.

    Args:
        where: as `open_ledger` takes it.
        tables: ``CREATE TABLE IF NOT EXISTS`` statements that both databases understand.

    Raises:
        ConfigurationError: the database cannot be used.
    """
    text = str(where)
    scheme, found, path = text.partition("://")
    if found and scheme in {"postgresql", "postgres"}:
        return _PostgresDoor(text, tables)
    if found and (scheme != "sqlite" or not path.startswith("/")):
        msg = f"no ledger at {scheme}://…: give a path, sqlite:///path or postgresql://…"
        raise ConfigurationError(msg)
    return _SqliteDoor(path.removeprefix("/") if found else text, tables)


def make_private(file: str | Path) -> None:
    """Make *file* for its owner alone, where it is missing.

    One that is there is not touched: closing any descriptor of a file drops all of the process's POSIX locks on
    it, SQLite's among them, and then the next process to look in would clear away the log that we write to.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, _ACCESS))


@final
class _SqliteDoor:
    """A file that others write too: each transaction waits for the lock, and holds it for microseconds."""

    def __init__(self, path: str, tables: Sequence[str]) -> None:
        memory = path == ":memory:" or path.startswith(_MEMORY)
        try:
            if not memory:
                make_private(path)
            self._db = sqlite3.connect(
                ":memory:" if memory else path,
                timeout=_LOCKED,
                isolation_level=None,
                check_same_thread=False,  # one thread at a time: opened by one, used by another
            )
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            for table in tables:
                self._db.execute(table)
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(f"the ledger {path} cannot be used: {error}") from error

    def run(self, script: Script[T], /) -> T:
        """Run *script* behind SQLite's one write lock."""
        db = self._db
        try:
            db.execute("BEGIN IMMEDIATE")
            try:
                result: Any = None
                while True:
                    statement = script.send(result)
                    named = {str(place): value for place, value in enumerate(statement.parameters, 1)}
                    cursor = db.execute(statement.sql, named)
                    result = Result(cursor.fetchall(), cursor.rowcount)
            except StopIteration as end:
                db.execute("COMMIT")
                return end.value  # type: ignore[no-any-return]  # what the script returns is a T
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise ConnectionError(f"the ledger's database refused: {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._db.close()


@final
class _PostgresDoor:
    """A connection of its own, on an event loop of its own; made again when it is lost."""

    def __init__(self, url: str, tables: Sequence[str]) -> None:
        self._url = url
        self._tables = tables
        self._runner: asyncio.Runner | None = None
        self._db: asyncpg.Connection[Any] | None = None
        self._asyncpg = _asyncpg()
        self._ready = False

    def run(self, script: Script[T], /) -> T:
        """Run *script*; rows that it changes are locked until it ends."""
        if self._runner is None:  # the thread that uses the door is the one whose loop it is
            self._runner = asyncio.Runner()
        errors = self._asyncpg.exceptions
        try:
            return self._runner.run(self._run(script))
        # The last: a farewell of the server's was read, but not yet the end of its connection.
        except (OSError, TimeoutError, errors.PostgresError, errors.InterfaceError, errors.InternalClientError) as error:  # fmt: skip
            self._drop()
            told = f"the ledger's database failed: {str(error) or type(error).__name__}"
            raise ConnectionError(told) from error

    def close(self) -> None:
        """Close the connection."""
        runner, self._runner = self._runner, None
        if runner is not None:
            with contextlib.closing(runner):
                connection, self._db = self._db, None
                if connection is not None:
                    with contextlib.suppress(Exception):  # it is the server's to notice as well
                        runner.run(connection.close(timeout=_PATIENCE))

    async def _run(self, script: Script[T]) -> T:
        db = await self._connected()
        async with db.transaction():
            result: Any = None
            try:
                while True:
                    statement = script.send(result)
                    if statement.sql.startswith("SELECT"):
                        rows = [tuple(row) for row in await db.fetch(statement.sql, *statement.parameters)]
                        result = Result(rows, len(rows))
                    else:
                        status = await db.execute(statement.sql, *statement.parameters)
                        result = Result([], _affected(status))
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]  # as above

    async def _connected(self) -> asyncpg.Connection[Any]:
        db = self._db
        if db is None or db.is_closed():
            new: asyncpg.Connection[Any] = await self._asyncpg.connect(
                self._url, timeout=_PATIENCE, command_timeout=_PATIENCE
            )
            db = self._db = new
        if not self._ready:
            async with db.transaction():
                await db.execute("SELECT pg_advisory_xact_lock($1)", _MAKING)
                for table in self._tables:
                    await db.execute(table)
            self._ready = True
        return db

    def _drop(self) -> None:
        """Make no second use of a connection that failed."""
        connection, self._db = self._db, None
        if connection is not None:
            with contextlib.suppress(Exception):  # it is broken; there is nothing left to be told about it
                connection.terminate()


def _asyncpg() -> ModuleType:
    try:
        import asyncpg
    except ImportError as error:
        msg = "a ledger on PostgreSQL needs asyncpg: pip install 'asynccache[postgres]'"
        raise ConfigurationError(msg) from error
    return asyncpg


def _affected(status: str) -> int:
    """The count at the end of what PostgreSQL says of a statement, such as ``INSERT 0 1``."""
    last = status.rpartition(" ")[2]
    return int(last) if last.isdecimal() else 0
