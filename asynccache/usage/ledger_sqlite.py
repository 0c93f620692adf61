"""The ledger in one SQLite file: a row that was committed survives the death of the process.

A write-ahead log is used. With durability ``process`` (``synchronous=NORMAL``) a commit is in the
operating system's hands: a killed process loses nothing, a power failure may take the last moments.
With ``power`` (``synchronous=FULL``) every group waits for the disk.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from datetime import UTC, datetime
from decimal import Context, Decimal
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, final
from uuid import uuid4

import msgspec

from asynccache.errors import ConfigurationError
from asynccache.usage.ledger_door import make_private
from asynccache.usage.ledger_row import COLUMNS, NAMES
from asynccache.usage.ledger_store import ON_CONFLICT, TABLE, VERSION, RefusedRowError, create_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asynccache.usage.ledger_row import Kind, Row

__all__ = ["MEMORY", "Durability", "SqliteStore", "query_sqlite"]

Durability: TypeAlias = Literal["process", "power"]

_Statements: TypeAlias = "dict[int, str]"
"""One statement for each number of rows, the largest first."""

MEMORY: Final = ":memory:"

_TYPES: Final[dict[Kind, str]] = {"text": "TEXT", "integer": "INTEGER", "money": "TEXT", "time": "TEXT"}
_OPENED: Final = NAMES[: NAMES.index("state") + 1]
"""The columns that an attempt fills when it is opened: a third of them, for half the work."""
_GIVE_UP: Final = f"UPDATE {TABLE} SET state = 'unknown' WHERE state = 'open'"  # noqa: S608 - as above
_TIMES: Final = tuple(place for place, kind in enumerate(COLUMNS.values()) if kind == "time")
_MONEY: Final = tuple(place for place, kind in enumerate(COLUMNS.values()) if kind == "money")
_SIZES: Final = (16, 8, 4, 3, 2, 1)
"""Rows of a statement: each that was prepared is kept, with 6 KB a row."""
_CACHE: Final = 512
"""KB of pages that SQLite keeps: what a commit touches; all else is the system's to keep."""
_ACCESS = 0o600  # who spends what is nobody else's business
_SYNCHRONOUS: Final[dict[Durability, str]] = {"process": "NORMAL", "power": "FULL"}


@final
class SqliteStore:
    """A file that this process alone writes; others may read it at any time.

    Args:
        path: the file, made when it is not there; ``:memory:`` for a ledger that ends with the process.
        durability: what a commit survives.
    """

    def __init__(self, path: str | Path, *, durability: Durability = "process") -> None:
        memory = str(path) == MEMORY
        self._path = None if memory else Path(path).absolute()
        self.address = f"file:asynccache-{uuid4().hex}?mode=memory&cache=shared" if memory else str(path)
        self._synchronous = _SYNCHRONOUS[durability]
        self._db: sqlite3.Connection | None = None
        self._lock: int | None = None
        self._opening: _Statements = {}
        self._settling: _Statements = {}

    def connect(self) -> int:
        """Lock and open the file; every row left open is of a dead process, since the lock was free.

        Raises:
            ConfigurationError: another process writes it, or it cannot be used.
        """
        try:
            if self._path is not None:
                self._lock = _locked(self._path)
                make_private(self._path)
            return self._open()
        except (OSError, sqlite3.Error) as error:
            self._let_go()
            msg = (
                f"the ledger {self.address} cannot be used: {error}; its folder must exist and be writable,"
                " and the file be one of SQLite's"
            )
            raise ConfigurationError(msg) from error

    def write(self, rows: Sequence[Row], /) -> None:
        """One transaction, in as few statements as possible: each of them is one wait for Python's lock."""
        db = self._db
        if db is None:
            msg = f"the ledger {self.address} is closed"
            raise sqlite3.ProgrammingError(msg)
        try:
            statements = self._statements(rows)
            if len(statements) == 1:  # a transaction by itself
                db.execute(*statements[0])
                return
            db.execute("BEGIN IMMEDIATE")
            for sql, values in statements:
                db.execute(sql, values)
            db.execute("COMMIT")
        except (sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError, OverflowError) as error:
            _roll_back(db)
            raise RefusedRowError(str(error)) from error
        except BaseException:
            _roll_back(db)
            raise

    def _statements(self, rows: Sequence[Row]) -> list[tuple[str, list[Any]]]:
        opened = [_opened_values(row) for row in rows if row.state == "open"]
        settled = [_settled_values(row) for row in rows if row.state != "open"]
        return _filled(self._opening, opened) + _filled(self._settling, settled)

    def close(self) -> None:
        """Rows still open become unknown: nobody will settle them."""
        try:
            if self._db is not None:
                _give_up_open(self._db)
        finally:
            self._let_go()

    def _let_go(self) -> None:
        db, self._db = self._db, None
        if db is not None:
            db.close()
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def _open(self) -> int:
        memory = self._path is None
        db = sqlite3.connect(
            self.address,
            timeout=5.0,
            isolation_level=None,
            cached_statements=2 * len(_SIZES) + 8,
            uri=memory,
        )
        self._db = db
        db.execute("PRAGMA journal_mode=WAL")
        db.execute(f"PRAGMA synchronous={self._synchronous}")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            msg = f"version {version} was made by a later asynccache; this one knows version {VERSION}"
            raise sqlite3.NotSupportedError(msg)
        for statement in create_table(_TYPES):
            db.execute(statement)
        db.execute(f"PRAGMA user_version={VERSION}")
        db.execute(f"PRAGMA cache_size=-{_CACHE}")
        most = db.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
        sizes = [size for size in _SIZES if size * len(NAMES) <= most] or [1]
        self._opening = {size: _insert(size, _OPENED, "ON CONFLICT DO NOTHING") for size in sizes}
        self._settling = {size: _insert(size, NAMES, ON_CONFLICT) for size in sizes}
        return _give_up_open(db)


def query_sqlite(address: str, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The rows of a query with parameters ``$1``, ``$2`` …; ``exact_sum`` adds money without loss.

    Raises:
        ConfigurationError: there is no such ledger.
    """
    memory = address.startswith("file:asynccache-")
    path = Path(address).absolute()
    if not memory and not path.is_file():
        raise ConfigurationError(f"there is no ledger at {address}")
    named = {str(place): _plain(value) for place, value in enumerate(parameters, 1)}
    try:
        with contextlib.closing(
            sqlite3.connect(address if memory else f"{path.as_uri()}?mode=ro", timeout=5.0, uri=True)
        ) as db:
            if memory:
                db.execute("PRAGMA read_uncommitted=1")
            db.create_aggregate("exact_sum", 1, _ExactSum)
            return db.execute(sql, named).fetchall()
    except sqlite3.Error as error:
        raise ConfigurationError(f"the ledger {address} cannot be read: {error}") from error


@final
class _ExactSum:
    """Adds decimal texts; SQLite itself would make floats of them."""

    def __init__(self) -> None:
        self._sum: Decimal | None = None

    def step(self, text: Any, /) -> None:
        """One more amount."""
        if text is not None:
            self._sum = _EXACT.add(Decimal(0) if self._sum is None else self._sum, Decimal(text))

    def finalize(self) -> Any:
        """The sum; None when there was nothing to add."""
        return None if self._sum is None else format(self._sum, "f")


_EXACT: Final = Context(prec=60)


def _insert(rows: int, names: Sequence[str], conflict: str) -> str:
    place = f"({', '.join('?' * len(names))})"
    return f"INSERT INTO {TABLE} ({', '.join(names)}) VALUES {', '.join([place] * rows)} {conflict}"  # noqa: S608 - our own names


def _filled(statements: _Statements, rows: Sequence[Sequence[Any]]) -> list[tuple[str, list[Any]]]:
    """As few of *statements* as take all *rows*, each with its values."""
    found: list[tuple[str, list[Any]]] = []
    start, end = 0, len(rows)
    for size, sql in statements.items() if rows else ():
        while end - start >= size:
            found.append((sql, list(chain.from_iterable(rows[start : start + size]))))
            start += size
    return found


def _opened_values(row: Row) -> Sequence[Any]:
    values = list(msgspec.structs.astuple(row)[: len(_OPENED)])
    values[_TIMES[0]] = _moment(row.opened_at)
    return values


def _settled_values(row: Row) -> Sequence[Any]:
    values = list(msgspec.structs.astuple(row))
    for place in _TIMES:
        if values[place] is not None:
            values[place] = _moment(values[place])
    for place in _MONEY:
        if values[place] is not None:
            values[place] = format(values[place], "f")
    return values


def _moment(moment: datetime) -> str:
    """Text of one width in UTC, which sorts as moments do."""
    if moment.tzinfo is UTC and moment.microsecond:  # msgspec's takes a ninth of the time, and no zeros
        told: str = msgspec.to_builtins(moment)
        return f"{told[:-1]}+00:00"
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _plain(value: Any) -> Any:
    """Money as exact decimal text, and moments as they stand in the table."""
    if type(value) is datetime:
        return _moment(value)
    return format(value, "f") if type(value) is Decimal else value


def _give_up_open(db: sqlite3.Connection) -> int:
    return db.execute(_GIVE_UP).rowcount


def _roll_back(db: sqlite3.Connection) -> None:
    if db.in_transaction:
        with contextlib.suppress(sqlite3.Error):  # the error that led here is the one to tell
            db.execute("ROLLBACK")


def _locked(path: Path) -> int:
    """A descriptor that holds the only right to write the ledger; the system lets go of it with the process."""
    name = path.with_name(f"{path.name}.lock")
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT, _ACCESS)
    try:
        _lock(descriptor)
    except OSError as error:
        holder = (
            os.pread(descriptor, 20, 0).decode("ascii", "replace").strip() if hasattr(os, "pread") else ""
        )
        os.close(descriptor)
        who = f"process {holder}" if holder else "another process"
        msg = (
            f"the ledger {path} is being written by {who}; give each process a file of its own,"
            " or let them share one on PostgreSQL (postgresql://…)"
        )
        raise ConfigurationError(msg) from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    return descriptor


def _lock(descriptor: int) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]  # there
        return
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
