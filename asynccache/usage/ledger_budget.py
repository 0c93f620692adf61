"""What a key may spend: held before a call, spent after it, each in one atomic step of the ledger's database.

A hold is taken only where spent, held and asked together stay within the limit; no number of processes
can take two that do not fit. What a dead process held stays held until the period ends: nobody knows
whether its calls were billed, and a budget errs on its owner's side.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import ROUND_CEILING, Context, Decimal
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from asynccache.usage.ledger_door import Statement

if TYPE_CHECKING:
    from asynccache.usage.ledger_door import Script

__all__ = ["BUDGET_TABLES", "Period", "Standing", "hold", "picodollars", "settle", "span_of", "standing"]

Period: TypeAlias = Literal["day", "month"]

_BUDGETS: Final = "asynccache_budgets"
_HOLDS: Final = "asynccache_holds"

BUDGET_TABLES: Final = (
    (
        f"CREATE TABLE IF NOT EXISTS {_BUDGETS} (key_id text NOT NULL, span text NOT NULL,"
        " spent bigint NOT NULL, held bigint NOT NULL, PRIMARY KEY (key_id, span))"
    ),
    (
        f"CREATE TABLE IF NOT EXISTS {_HOLDS} (hold_id text PRIMARY KEY, key_id text NOT NULL,"
        " span text NOT NULL, amount bigint NOT NULL)"
    ),
)
"""Amounts are whole numbers of 10⁻¹² dollars: exact, and up to nine million dollars a period."""

_LARGEST: Final = 2**62
_EXACT: Final = Context(prec=60)

# A conflict is decided on the newest row, behind its lock; the first call of a span has none to conflict with.
_TAKE: Final = (
    f"INSERT INTO {_BUDGETS} (key_id, span, spent, held)"
    " SELECT CAST($1 AS text), CAST($2 AS text), 0, CAST($3 AS bigint)"
    " WHERE CAST($3 AS bigint) <= CAST($4 AS bigint)"
    f" ON CONFLICT (key_id, span) DO UPDATE SET held = {_BUDGETS}.held + excluded.held"
    f" WHERE {_BUDGETS}.spent + {_BUDGETS}.held + excluded.held <= CAST($4 AS bigint)"
)
_NOTE: Final = f"INSERT INTO {_HOLDS} (hold_id, key_id, span, amount) VALUES ($1, $2, $3, $4)"  # noqa: S608 - as above
_FIND: Final = f"SELECT key_id, span, amount FROM {_HOLDS} WHERE hold_id = $1"  # noqa: S608 - as above
_FORGET: Final = f"DELETE FROM {_HOLDS} WHERE hold_id = $1"  # noqa: S608 - as above
_SPEND: Final = (
    f"UPDATE {_BUDGETS} SET held = held - CAST($3 AS bigint), spent = spent + CAST($4 AS bigint)"  # noqa: S608
    " WHERE key_id = $1 AND span = $2"
)
_STANDING: Final = f"SELECT spent, held FROM {_BUDGETS} WHERE key_id = $1 AND span = $2"  # noqa: S608 - as above


class Standing(NamedTuple):
    """Where a key's budget stands; in 10⁻¹² dollars."""

    spent: int
    held: int


def hold(hold_id: str, key_id: str, span: str, amount: int, limit: int) -> Script[Standing | None]:
    """Hold *amount*; None where it was held, else where the budget stands."""
    taken = yield Statement(_TAKE, (key_id, span, amount, limit))
    if taken.changed:
        yield Statement(_NOTE, (hold_id, key_id, span, amount))
        return None
    return (yield from standing(key_id, span))


def settle(hold_id: str, spent: int) -> Script[bool]:
    """Replace a hold by what was *spent*; False, and nothing done, where it was settled already."""
    found = yield Statement(_FIND, (hold_id,))
    gone = yield Statement(_FORGET, (hold_id,))
    if not found.rows or not gone.changed:
        return False
    key_id, span, amount = found.rows[0]
    yield Statement(_SPEND, (key_id, span, amount, spent))
    return True


def standing(key_id: str, span: str) -> Script[Standing]:
    """Where a key's budget stands."""
    found = yield Statement(_STANDING, (key_id, span))
    return Standing(*found.rows[0]) if found.rows else Standing(0, 0)


def span_of(period: Period, now: datetime) -> tuple[str, datetime]:
    """The name of the day or month that *now* is in, by UTC, and when it ends."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "day":
        return today.strftime("%Y-%m-%d"), today + timedelta(days=1)
    first = today.replace(day=1)
    return first.strftime("%Y-%m"), (first + timedelta(days=32)).replace(day=1)


def picodollars(dollars: Decimal) -> int:
    """*dollars* in 10⁻¹², rounded up."""
    scaled = dollars.scaleb(12, _EXACT).to_integral_value(ROUND_CEILING, _EXACT)
    return min(max(int(scaled), 0), _LARGEST)
