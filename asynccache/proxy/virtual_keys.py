"""Keys for callers: made once, kept as digests, looked up in memory; a wrong key of any kind is one that is not there.

What is revoked or expired leaves the table of good keys, so that it takes the very path of a key that never
was: one hash, one look, one comparison, one answer.
"""

from __future__ import annotations

import hmac
import re
import secrets
import time
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

import msgspec

from asynccache.shapes import is_array, is_object
from asynccache.usage.ledger_keys import Key, Rights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from asynccache.proxy.yaml_source import Source
    from asynccache.request import Path
    from asynccache.secret import Secret

__all__ = ["MASTER", "KeyRing", "config_keys", "digest_of", "is_id", "new_key", "presented"]

MASTER: Final = "master"
"""The id of the one key that may do everything."""
PREFIX: Final = "ac-"
_RANDOM: Final = 32  # bytes
_SHORTEST: Final = 32  # characters of a key that a configuration gives itself
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_EVER: Final = float("inf")
_ALL: Final = Rights(models=("*",))


def new_key() -> str:
    """A key that nobody can guess; it is shown once and kept nowhere."""
    return PREFIX + urlsafe_b64encode(secrets.token_bytes(_RANDOM)).rstrip(b"=").decode()


def digest_of(key: str) -> bytes:
    """What is kept of a key."""
    return sha256(key.encode("utf-8", "surrogateescape")).digest()


def is_id(text: str) -> bool:
    """Whether a key may be called that."""
    return _ID.fullmatch(text) is not None and text != MASTER


def presented(headers: Mapping[str, str]) -> str:
    """The key that a caller brings, in either dialect's header; empty where there is none."""
    given = headers.get("authorization", "")
    return given[7:].strip() if given[:7].lower() == "bearer " else headers.get("x-api-key", "").strip()


class _Good(NamedTuple):
    """The keys that open, and until when this is so."""

    keys: dict[bytes, Key]
    until: float


@final
class KeyRing:
    """Every key that opens, by its digest.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._nobody = Key(id="", digest=secrets.token_bytes(32), rights=Rights(models=()))
        self._fixed: tuple[Key, ...] = ()
        self._stored: tuple[Key, ...] = ()
        self._retired: dict[bytes, Key] = {}
        self._good = _Good({}, _EVER)
        self.is_locked = False
        """Whether a key is asked for: there is one, or there was. Revoking the last one opens nothing."""

    def use(self, fixed: Iterable[Key], master: Secret | None) -> None:
        """Let the configuration's own keys in, and no others of a former one."""
        own = () if master is None else (Key(id=MASTER, digest=digest_of(master.reveal()), rights=_ALL),)
        self._fixed = (*own, *fixed)
        self._arrange()

    def load(self, stored: Sequence[Key]) -> None:
        """Let the database's keys in, as they stand there now; may be called from any thread."""
        if (new := tuple(stored)) != self._stored:
            self._stored = new
            self._arrange()

    def find(self, key: str) -> Key | None:
        """The good key that *key* is; None for all that are not, after the same work."""
        good = self._good
        if self._clock() >= good.until:
            good = self._arrange()
        digest = digest_of(key)
        found = good.keys.get(digest, self._nobody)
        is_same = hmac.compare_digest(found.digest, digest)
        return found if is_same else None

    def retired(self, digest: bytes) -> str | None:
        """The id of the revoked or expired key with *digest*; for the audit log, where no caller can time it."""
        found = self._retired.get(digest)
        return None if found is None else found.id

    def _arrange(self) -> _Good:
        """Sort the good from the rest; swapped as a whole, so that a reader sees the one or the other."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        every = (*self._stored, *self._fixed)  # where both know a key, the configuration's rights count
        good = {key.digest: key for key in every if key.is_good(now)}
        ends = [key.rights.expires.timestamp() for key in good.values() if key.rights.expires is not None]
        self.is_locked = bool(every)
        self._retired = {key.digest: key for key in every if key.digest not in good}
        self._good = made = _Good(good, min(ends, default=_EVER))
        return made


def config_keys(source: Source, rows: Any, path: Path) -> tuple[Key, ...]:
    """The keys of ``asynccache_settings.keys``: each an id, a digest (or a key from the environment), and rights.

    Raises:
        ConfigError: one of them cannot be used.
    """
    if rows is None:
        return ()
    if not is_array(rows):
        raise source.error(path, "is not a list")
    found = [_config_key(source, row, (*path, place)) for place, row in enumerate(rows)]
    ids: set[str] = set()
    digests: set[bytes] = set()
    for place, key in enumerate(found):
        if key.id in ids or key.digest in digests:
            told = "id" if key.id in ids else "key"
            raise source.error((*path, place), f"has the same {told} as another")
        ids.add(key.id)
        digests.add(key.digest)
    return tuple(found)


def _config_key(source: Source, row: Any, path: Path) -> Key:
    if not is_object(row):
        raise source.error(path, "is not a mapping with an id, a key or its sha256, and models")
    rest = dict(row)
    key_id, key, digest = (rest.pop(name, None) for name in ("id", "key", "sha256"))
    if not isinstance(key_id, str) or not is_id(key_id):
        raise source.error((*path, "id"), "is not a name of letters, digits, . _ @ and -; 'master' is taken")
    known = ("id", "key", "sha256", *Rights.__struct_fields__)
    for name in rest:
        if name not in known:
            raise source.unknown((*path, name), known)
    if not rest.get("models"):
        raise source.error(path, "has no models; name each, or write ['*'] for all that are served")
    expires = rest.get("expires")
    if isinstance(expires, str) and len(expires) == len("2027-01-31"):
        rest["expires"] = f"{expires}T00:00:00Z"
    try:
        rights = msgspec.convert(rest, Rights, strict=False)
    except msgspec.ValidationError as exc:
        place, told = _where(str(exc))
        raise source.error((*path, place) if place else path, told) from exc
    _check_rights(source, rights, path)
    return Key(id=key_id, digest=_config_digest(source, key, digest, path), rights=_in_utc(rights))


def _config_digest(source: Source, key: Any, digest: Any, path: Path) -> bytes:
    if (key is None) == (digest is None):
        raise source.error(path, "needs either sha256 or key; `asynccache keys create` makes both")
    if digest is not None:
        text = str(digest).strip().lower()
        if re.fullmatch(r"[0-9a-f]{64}", text) is None:
            raise source.error((*path, "sha256"), "is not 64 hexadecimal digits in quotes")
        return bytes.fromhex(text)
    if not isinstance(key, str) or len(key.strip()) < _SHORTEST:
        raise source.error(
            (*path, "key"), f"has fewer than {_SHORTEST} characters; `asynccache keys create` makes one"
        )
    return digest_of(key.strip())


def _check_rights(source: Source, rights: Rights, path: Path) -> None:
    for name in ("concurrency", "rpm", "tpm", "budget"):
        value = getattr(rights, name)
        if value is not None and not 0 < value < 2**53:
            raise source.error((*path, name), f"{value} is no limit; leave it out for none")
    if "*" in rights.models and rights.models != ("*",):
        raise source.error((*path, "models"), "'*' stands alone or not at all; names are exact")


def _in_utc(rights: Rights) -> Rights:
    expires = rights.expires
    if expires is None or expires.tzinfo is not None:
        return rights
    return msgspec.structs.replace(rights, expires=expires.replace(tzinfo=UTC))


def _where(message: str) -> tuple[str | None, str]:
    """What msgspec says, and the name that it says it of."""
    told, _, place = message.partition(" - at `$.")
    return re.split(r"[.\[`]", place)[0] or None, told[:1].lower() + told[1:]
