"""Keys that the proxy gives out, in the ledger's database: an id, a digest, what each may do; never the key."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from decimal import Decimal  # noqa: TC003 - msgspec reads the annotations
from typing import TYPE_CHECKING, Any, Final, final

import msgspec

from asynccache.usage.ledger_budget import Period  # noqa: TC001 - msgspec reads the annotations
from asynccache.usage.ledger_door import Statement

if TYPE_CHECKING:
    from asynccache.usage.ledger_door import Script

__all__ = ["KEY_TABLES", "Key", "Rights", "add_key", "all_keys", "keys_mark", "revoke_key"]

_logger = logging.getLogger("asynccache")

_TABLE: Final = "asynccache_keys"

KEY_TABLES: Final = (
    (
        f"CREATE TABLE IF NOT EXISTS {_TABLE} (key_id text PRIMARY KEY, digest text NOT NULL UNIQUE,"
        " rights text NOT NULL, created_at text NOT NULL, revoked_at text)"
    ),
)


@final
class Rights(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a key may do; None is no limit."""

    models: tuple[str, ...]
    """The names that callers may ask for, exactly; ``*`` alone is all that are served."""
    expires: datetime | None = None
    concurrency: int | None = None
    """Calls at the same time."""
    rpm: int | None = None
    """Calls in any minute."""
    tpm: int | None = None
    """Tokens in any minute, of prompts and answers."""
    budget: Decimal | None = None
    """Dollars in a period."""
    period: Period = "month"

    def may_ask(self, model: str) -> bool:
        """Whether a call of *model* is allowed."""
        return model in self.models or self.models == ("*",)


@final
class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key, as it is kept."""

    id: str
    """Its name: in the ledger's rows, in the audit log, in `asynccache keys list`."""
    digest: bytes
    """SHA-256 of the key; random keys need no slow hash."""
    rights: Rights
    created: datetime | None = None
    revoked: datetime | None = None

    def is_good(self, now: datetime) -> bool:
        """Whether it is neither revoked nor expired."""
        expires = self.rights.expires
        return self.revoked is None and (expires is None or now < expires)


def add_key(key: Key) -> Script[bool]:
    """Keep *key*; False where another has its id."""
    rights = msgspec.json.encode(key.rights).decode()
    created = (key.created or datetime.now(UTC)).isoformat(timespec="seconds")
    made = yield Statement(
        f"INSERT INTO {_TABLE} (key_id, digest, rights, created_at) VALUES ($1, $2, $3, $4)"  # noqa: S608 - our own name
        " ON CONFLICT DO NOTHING",
        (key.id, key.digest.hex(), rights, created),
    )
    return made.changed > 0


def revoke_key(key_id: str, now: datetime) -> Script[bool]:
    """Refuse a key from now on, for ever; False where there is none, or it is revoked already."""
    done = yield Statement(
        f"UPDATE {_TABLE} SET revoked_at = $2 WHERE key_id = $1 AND revoked_at IS NULL",  # noqa: S608 - as above
        (key_id, now.astimezone(UTC).isoformat(timespec="seconds")),
    )
    return done.changed > 0


def keys_mark() -> Script[tuple[int, int]]:
    """How many keys there are, and how many are revoked: where neither number has grown, nothing has changed."""
    found = yield Statement(f"SELECT count(*), count(revoked_at) FROM {_TABLE}")  # noqa: S608 - our own name
    keys, revoked = found.rows[0]
    return int(keys), int(revoked)


def all_keys() -> Script[list[Key]]:
    """Every key that was ever made, oldest first, but for those of a later version whose rights we cannot read."""
    found = yield Statement(
        f"SELECT key_id, digest, rights, created_at, revoked_at FROM {_TABLE} ORDER BY created_at, key_id"  # noqa: S608
    )
    keys = [_key(*row) for row in found.rows]
    return [key for key in keys if key is not None]


def _key(key_id: Any, digest: Any, rights: Any, created: Any, revoked: Any) -> Key | None:
    try:
        known = msgspec.json.decode(rights, type=Rights)
    except msgspec.DecodeError:
        _logger.error("the key %s was made by a later asynccache, and is refused", key_id)  # noqa: TRY400 - as it says
        return None
    return Key(
        id=key_id,
        digest=bytes.fromhex(digest),
        rights=known,
        created=datetime.fromisoformat(created),
        revoked=None if revoked is None else datetime.fromisoformat(revoked),
    )
