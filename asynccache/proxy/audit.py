"""Who was let in and who was not: lines of JSON that are only ever added, each bound to the one before it.

A line ends in ``"prev"``, the hash of the line before, and ``"hash"``, the SHA-256 of everything before it.
Whoever changes, drops, adds or moves a line breaks the chain from there on. What no chain can show is that
lines are missing at its end; the last hash, kept elsewhere, does (`verify_audit`'s *head*).

Like events of a moment share one line with a count, so that no flood of wrong keys fills the disk. No line
holds a prompt, a key, or any word that a caller sent.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, final
from urllib.parse import urlsplit

import msgspec
import orjson

from asynccache.errors import ConfigurationError
from asynccache.secret import redact_headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynccache.proxy.settings import Config

__all__ = ["Audit", "Verdict", "config_hash", "verify_audit"]

_logger = logging.getLogger("asynccache.proxy")

_FIRST: Final = "0" * 64
_GATHERING: Final = 0.25  # seconds in which like events become one line
_AGAIN: Final = 1.0  # seconds between two tries while the disk is full
_MOST: Final = 1000  # different events of one moment; more are counted, not told
_HASH: Final = b',"hash":"'
_TAIL: Final = len(_HASH) + 64 + 2  # and the quote and brace after it
_ACCESS: Final = 0o600

Field: TypeAlias = "str | int | None"


class Verdict(NamedTuple):
    """What the chain says."""

    lines: int
    """How many hold."""
    head: str
    """The hash of the last one that does; zeros for none."""
    trouble: str | None
    """What is wrong with the next one; None where nothing is."""


def verify_audit(file: Path, *, head: str | None = None) -> Verdict:
    """Whether *file* is as it was written.

    Args:
        file: the log.
        head: a hash that must occur in it, where one was kept elsewhere: lines missing at the end are seen.

    Raises:
        ConfigurationError: it cannot be read.
    """
    last, lines, has_head = _FIRST, 0, head is None
    try:
        with file.open("rb") as log:
            for line in log:
                trouble = _trouble(line, lines + 1, last)
                if trouble is not None:
                    return Verdict(lines, last, f"line {lines + 1} {trouble}")
                last, lines = line[-_TAIL + len(_HASH) - 1 : -3].decode(), lines + 1
                has_head = has_head or last == head
    except OSError as error:
        raise ConfigurationError(f"the audit log {file} cannot be read: {error.strerror}") from error
    return Verdict(lines, last, None if has_head else "the line with that hash is missing")


def config_hash(config: Config) -> str:
    """The SHA-256 of what is configured; secrets stand as ``***``, so that none can be guessed from it."""
    settings = msgspec.structs.replace(config.settings, ledger=_place(config.settings.ledger))
    models = tuple(
        msgspec.structs.replace(model, headers=redact_headers(dict(model.headers))) for model in config.models
    )
    told = msgspec.structs.replace(config, settings=settings, models=models)
    return sha256(repr(told).encode()).hexdigest()


def _place(ledger: str | None) -> str | None:
    """An address without what may be secret in it: its user, password and parameters."""
    if ledger is None or "://" not in ledger:
        return ledger
    parts = urlsplit(ledger)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


@final
class Audit:
    """Writes one log; a thread of its own does, so that no call waits for the disk.

    Args:
        file: made where it is missing, for its owner alone; one process at a time writes it.

    Raises:
        ConfigurationError: it cannot be written, another process writes it, or its last line is broken.
    """

    def __init__(self, file: str | Path) -> None:
        self._file = Path(file)
        self._lines = 0
        self._last = _FIRST
        self._changed = threading.Condition(threading.Lock())
        self._waiting: dict[tuple[tuple[str, Field], ...], tuple[str, int]] = {}
        self._strangers: list[bytes] = []
        self._untold = 0
        self._unwritten = b""
        self._trouble: str | None = None
        self._is_closing = False
        self.name_of: Callable[[bytes], str | None] = _nobody
        """Which revoked or expired key has a digest; asked in the thread, where no caller can time it."""
        self._descriptor = self._open()
        self._thread = threading.Thread(target=self._run, name="asynccache audit", daemon=True)
        self._thread.start()

    def tell(self, event: str, **fields: Field) -> None:
        """Note that *event* happened; never blocks, never raises."""
        told = (("event", event), *fields.items())
        with self._changed:
            at, count = self._waiting.get(told, ("", 0))
            if not count and len(self._waiting) >= _MOST:
                self._untold += 1
                return
            self._waiting[told] = (at or _now(), count + 1)
            if not count:
                self._changed.notify()

    def tell_stranger(self, digest: bytes) -> None:
        """Note that a wrong key was brought; the same work for every kind of wrong."""
        with self._changed:
            if len(self._strangers) < _MOST:
                self._strangers.append(digest)
                self._changed.notify()
            else:
                self._untold += 1

    def close(self) -> None:
        """Write what is waiting, and let go of the file. Idempotent."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(5.0)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not (self._waiting or self._strangers or self._unwritten or self._is_closing):
                    self._changed.wait()
                is_last = self._is_closing
            if not is_last:
                time.sleep(_AGAIN if self._unwritten else _GATHERING)
            if is_last or not self._unwritten:  # while the disk is full, what happens waits, and is counted
                self._gather()
            self._write()
            if is_last:
                if self._unwritten:
                    _logger.error("the audit log %s lacks its last lines", self._file)
                os.close(self._descriptor)
                return

    def _gather(self) -> None:
        """Make lines of what has happened."""
        with self._changed:
            waiting, self._waiting = self._waiting, {}
            strangers, self._strangers = self._strangers, []
            untold, self._untold = self._untold, 0
        for key_id, count in Counter(map(self.name_of, strangers)).items():
            refused = (("event", "refused"), ("code", "invalid_api_key"), ("key", key_id))
            waiting[refused] = (_now(), count)
        if untold:
            waiting[(("event", "untold"),)] = (_now(), untold)
        self._unwritten += b"".join(
            self._line(dict(told), at, count) for told, (at, count) in waiting.items()
        )

    def _write(self) -> None:
        """Write what there is. What does not go now is kept to the byte: the lines after it follow it."""
        trouble = None
        try:
            while self._unwritten:
                self._unwritten = self._unwritten[os.write(self._descriptor, self._unwritten) :]
            os.fsync(self._descriptor)
        except OSError as error:
            trouble = f"cannot be written: {error.strerror}"
        else:
            if _is_elsewhere(self._descriptor, self._file):
                trouble = "was moved or removed while it was written; lines go on to the file that it was"
        if trouble is not None and trouble != self._trouble:
            _logger.error("the audit log %s %s", self._file, trouble)
        self._trouble = trouble

    def _line(self, told: dict[str, Field], at: str, count: int) -> bytes:
        self._lines += 1
        fields: dict[str, Any] = {"n": self._lines, "at": at, **told}
        if count > 1:
            fields["count"] = count
        body = orjson.dumps({**fields, "prev": self._last})[:-1]
        self._last = sha256(body).hexdigest()
        return body + _HASH + self._last.encode() + b'"}\n'

    def _open(self) -> int:
        try:
            descriptor = os.open(self._file, os.O_RDWR | os.O_APPEND | os.O_CREAT, _ACCESS)
        except OSError as error:
            msg = f"the audit log {self._file} cannot be written: {error.strerror}"
            raise ConfigurationError(msg) from error
        try:
            _lock(descriptor, self._file)
            torn = _mended(descriptor)
            verdict = verify_audit(self._file)
            if verdict.trouble is not None:
                msg = f"the audit log {self._file} was changed: {verdict.trouble}; keep it, and name another"
                raise ConfigurationError(msg)
        except BaseException:
            os.close(descriptor)
            raise
        self._lines, self._last = verdict.lines, verdict.head
        if torn:
            self._waiting[("event", "torn"), ("bytes", torn)] = (_now(), 1)
        return descriptor


def _nobody(_digest: bytes) -> None:
    return None


def _trouble(line: bytes, number: int, last: str) -> str | None:
    if not line.endswith(b'"}\n') or line[-_TAIL - 1 : -_TAIL - 1 + len(_HASH)] != _HASH:
        return "is not whole"
    body, told = line[: -_TAIL - 1], line[-_TAIL - 1 + len(_HASH) : -3]
    if sha256(body).hexdigest().encode() != told:
        return "was changed"
    try:
        fields = orjson.loads(body + b"}")
    except orjson.JSONDecodeError:
        return "is not JSON"
    if fields.get("prev") != last or fields.get("n") != number:
        return "does not follow the one before it"
    return None


def _mended(descriptor: int) -> int:
    """Cut off a line that a power failure left unfinished: it was never part of the chain. How many bytes."""
    size = os.fstat(descriptor).st_size
    tail = os.pread(descriptor, 1 << 20, max(size - (1 << 20), 0))
    torn = len(tail) - (tail.rfind(b"\n") + 1)
    if torn:
        os.ftruncate(descriptor, size - torn)
    return torn


def _lock(descriptor: int, file: Path) -> None:
    try:
        import fcntl
    except ImportError:  # Windows: two proxies with one log are the operator's to avoid
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        msg = f"the audit log {file} is being written by another process; give each a file of its own"
        raise ConfigurationError(msg) from error


def _is_elsewhere(descriptor: int, file: Path) -> bool:
    try:
        return not os.path.samestat(os.fstat(descriptor), file.stat())
    except OSError:
        return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
