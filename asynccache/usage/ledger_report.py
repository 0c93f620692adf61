"""What a ledger adds up to: attempts, tokens by bucket and exact money, grouped by model, key, day and more."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, final

import msgspec

from asynccache.usage.ledger_row import COLUMNS, NAMES, Row
from asynccache.usage.ledger_store import TABLE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["GROUPINGS", "Grouping", "Summary", "read_rows", "summarize"]

Grouping: TypeAlias = Literal["model", "key", "day", "provider", "deployment", "outcome", "state"]

GROUPINGS: Final[dict[Grouping, str]] = {
    "model": "model",
    "key": "key_id",
    "day": "",
    "provider": "provider",
    "deployment": "deployment_id",
    "outcome": "outcome",
    "state": "state",
}
"""What rows can be grouped by, and the column; a day is cut from `opened_at`, in UTC."""

_SQLITE_DAY = "substr(opened_at, 1, 10)"
_POSTGRES_DAY = "to_char(opened_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')"

_COUNTS: Final = {
    "attempts": "count(*)",
    "calls": "count(DISTINCT call_id)",
    "ok": "count(CASE WHEN outcome = 'ok' THEN 1 END)",
    "let_go": "count(CASE WHEN outcome IN ('let_go', 'cancelled') THEN 1 END)",
    "failed": "count(CASE WHEN outcome NOT IN ('ok', 'let_go', 'cancelled') THEN 1 END)",
    "unknown": "count(CASE WHEN state = 'unknown' THEN 1 END)",
    "open": "count(CASE WHEN state = 'open' THEN 1 END)",
    "unpriced": "count(CASE WHEN state = 'settled' AND cost IS NULL THEN 1 END)",
    **{
        name: f"sum({name})"
        for name in NAMES
        if name.endswith("_tokens")  # disjoint buckets and their totals, as they stand in the row
    },
    "told_tokens": "sum(CASE WHEN read_tokens IS NOT NULL THEN prompt_tokens END)",
}
_MONEY: Final = ("cost", "saved", "without_cache")


@final
class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one group, added up; money is exact."""

    by: dict[str, str | None]
    """What the rows have in common, by grouping."""
    attempts: int
    calls: int
    """Attempts of one call count once."""
    ok: int
    let_go: int
    """Answers that the caller left or cancelled."""
    failed: int
    unknown: int
    """Of processes that died."""
    open: int
    unpriced: int
    """Settled without a cost: their tokens are counted, their money is not."""
    prompt_tokens: int
    uncached_tokens: int
    read_tokens: int
    written_tokens: int
    written_5m_tokens: int
    written_30m_tokens: int
    written_1h_tokens: int
    written_12h_tokens: int
    output_tokens: int
    reasoning_tokens: int
    told_tokens: int
    """Prompt tokens of rows that tell how many of them were read from the cache."""
    cost: Decimal
    saved: Decimal
    without_cache: Decimal

    @property
    def hit_ratio(self) -> float | None:
        """The share of the prompt tokens that was read from the cache; None where nothing is known."""
        return self.read_tokens / self.told_tokens if self.told_tokens else None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; amounts are strings, so that no digit is lost."""
        plain = {name: getattr(self, name) for name in self.__struct_fields__ if name != "told_tokens"}
        return {**plain, **{name: format(plain[name], "f") for name in _MONEY}, "hit_ratio": self.hit_ratio}


def summarize(
    source: str | Path,
    by: Sequence[Grouping] = (),
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Summary]:
    """The ledger at *source* added up, one `Summary` for each group; also while it is being written.

    Args:
        source: what `open_ledger` takes, or `Ledger.source`.
        by: the groupings; none adds up everything.
        since: the first moment of interest, inclusive.
        until: the last one, exclusive.

    Raises:
        ConfigurationError: there is no ledger, or no such grouping.
    """
    postgres = _is_postgres(source)
    day = _POSTGRES_DAY if postgres else _SQLITE_DAY
    columns = [GROUPINGS[name] or day for name in by]
    money = [f"{'sum' if postgres else 'exact_sum'}({name})" for name in _MONEY]
    wanted = ", ".join([*columns, *_COUNTS.values(), *money])
    where, parameters = _between(since, until)
    grouped = f" GROUP BY {', '.join(columns)} ORDER BY {', '.join(columns)}" if columns else ""
    rows = _query(source, f"SELECT {wanted} FROM {TABLE}{where}{grouped}", parameters)  # noqa: S608 - our own names
    return [_summary(by, row) for row in rows if columns or row[0]]


def read_rows(
    source: str | Path,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    limit: int | None = None,
) -> list[Row]:
    """The rows of the ledger at *source*, newest first.

    Raises:
        ConfigurationError: there is no ledger.
    """
    where, parameters = _between(since, until)
    some = "" if limit is None else f" LIMIT {int(limit)}"
    sql = f"SELECT {', '.join(NAMES)} FROM {TABLE}{where} ORDER BY opened_at DESC, attempt_id{some}"  # noqa: S608 - as above
    return [_row(values) for values in _query(source, sql, parameters)]


def _query(source: str | Path, sql: str, parameters: list[datetime]) -> list[tuple[Any, ...]]:
    if _is_postgres(source):
        from asynccache.usage.ledger_postgres import query_postgres

        return query_postgres(str(source), sql, parameters)
    from asynccache.usage.ledger_sqlite import query_sqlite

    return query_sqlite(str(source).removeprefix("sqlite:///"), sql, parameters)


def _is_postgres(source: str | Path) -> bool:
    return str(source).startswith(("postgresql://", "postgres://"))


def _between(since: datetime | None, until: datetime | None) -> tuple[str, list[datetime]]:
    limits = [(sign, at) for sign, at in ((">=", since), ("<", until)) if at is not None]
    terms = [f"opened_at {sign} ${place}" for place, (sign, _) in enumerate(limits, 1)]
    return f" WHERE {' AND '.join(terms)}" if terms else "", [at.astimezone(UTC) for _, at in limits]


def _summary(by: Sequence[Grouping], row: tuple[Any, ...]) -> Summary:
    groups, rest = row[: len(by)], row[len(by) :]
    counts = {name: int(count or 0) for name, count in zip(_COUNTS, rest, strict=False)}
    money = dict(zip(_MONEY, (Decimal(amount or 0) for amount in rest[len(_COUNTS) :]), strict=True))
    fields: dict[str, Any] = {
        name: value for name, value in {**counts, **money}.items() if name in Summary.__struct_fields__
    }
    return Summary(by=dict(zip(by, groups, strict=True)), **fields)


def _row(values: tuple[Any, ...]) -> Row:
    fields: dict[str, Any] = {}
    for (name, kind), value in zip(COLUMNS.items(), values, strict=True):
        if value is not None and kind == "time" and type(value) is str:
            fields[name] = datetime.fromisoformat(value)
        elif value is not None and kind == "money":
            fields[name] = Decimal(value)
        else:
            fields[name] = value
    return Row(**fields)
