"""One attempt as the ledger keeps it: who asked whom, what came of it, tokens and money; never a prompt, never a key."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, final

import msgspec

if TYPE_CHECKING:
    from decimal import Decimal

    from asynccache.reply import Cost, Price, Usage
    from asynccache.request import Request

__all__ = ["COLUMNS", "NAMES", "SETTLED_NAMES", "Kind", "Labels", "Row", "opened_row", "settled_row"]

Kind: TypeAlias = Literal["text", "integer", "money", "time"]

COLUMNS: Final[dict[str, Kind]] = {
    "attempt_id": "text",
    "call_id": "text",
    "attempt": "integer",
    "owner": "integer",
    "opened_at": "time",
    "provider": "text",
    "model": "text",
    "key_id": "text",
    "deployment_id": "text",
    "tags": "text",
    "state": "text",
    "settled_at": "time",
    "outcome": "text",
    "status_code": "integer",
    "answered_model": "text",
    "source": "text",
    "prompt_tokens": "integer",
    "uncached_tokens": "integer",
    "read_tokens": "integer",
    "written_tokens": "integer",
    "written_5m_tokens": "integer",
    "written_30m_tokens": "integer",
    "written_1h_tokens": "integer",
    "written_12h_tokens": "integer",
    "output_tokens": "integer",
    "reasoning_tokens": "integer",
    "cost": "money",
    "saved": "money",
    "without_cache": "money",
    "price": "text",
    "reason": "text",
}
"""Every column and its kind, in the order of `Row`'s fields; those from ``state`` on are written by a settle."""

NAMES: Final = tuple(COLUMNS)
SETTLED_NAMES: Final = NAMES[NAMES.index("state") :]

_LONGEST = 300  # characters of a text; a model's name may come from anywhere
_LARGEST = 2**63 - 1


@final
class Labels(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller knows of a call beyond its request: whose key, which deployment, which tags."""

    key_id: str | None = None
    """The name of a key, never the key."""
    deployment_id: str | None = None
    tags: dict[str, str] | None = None


@final
class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt; what is not known, or not yet, is None."""

    attempt_id: str
    call_id: str
    attempt: int
    """How many attempts of the same call went before."""
    owner: int
    """The ledger that opened it: a random number for each one opened."""
    opened_at: datetime
    provider: str
    model: str
    """The model asked, as ``provider/model``."""
    key_id: str | None = None
    deployment_id: str | None = None
    tags: str | None = None
    """A JSON object."""
    state: Literal["open", "settled", "unknown"] = "open"
    """``unknown``: the process ended before the attempt did."""
    settled_at: datetime | None = None
    outcome: str | None = None
    """``ok``, ``let_go`` (the caller left early), ``cancelled``, or the name of the error's class."""
    status_code: int | None = None
    """Of the error, where it has one."""
    answered_model: str | None = None
    """The model that answered, as the provider names it."""
    source: str | None = None
    """Where the counts are from: `Usage.source`."""
    prompt_tokens: int | None = None
    uncached_tokens: int | None = None
    read_tokens: int | None = None
    written_tokens: int | None = None
    written_5m_tokens: int | None = None
    written_30m_tokens: int | None = None
    written_1h_tokens: int | None = None
    written_12h_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost: Decimal | None = None
    """US dollars, exactly."""
    saved: Decimal | None = None
    without_cache: Decimal | None = None
    price: str | None = None
    """The entry of the price book: ``provider/model@since`` and the tier where it is not the standard one."""
    reason: str | None = None
    """Why there is no cost, or what it leaves open."""

    def to_json(self) -> str:
        """What is known, as a JSON object; amounts are strings."""
        return msgspec.json.encode(self).decode()


def opened_row(attempt_id: str, request: Request, labels: Labels | None, owner: int) -> Row:
    """The row of an attempt that is about to be sent."""
    told = labels or _NO_LABELS
    return Row(
        attempt_id=_clean(attempt_id),
        call_id=_clean(request.call_id or attempt_id),
        attempt=request.attempt,
        owner=owner,
        opened_at=datetime.now(UTC),
        provider=_clean(request.provider),
        model=_clean(request.model),
        key_id=None if told.key_id is None else _clean(told.key_id),
        deployment_id=None if told.deployment_id is None else _clean(told.deployment_id),
        tags=_tags_text(told.tags) if told.tags else None,
    )


def settled_row(
    row: Row, usage: Usage, model: str | None, error: BaseException | None, *, let_go: bool
) -> Row:
    """*row* with what came of it."""
    prompt, written, cost = usage.prompt_tokens_details, usage.cache_creation, usage.cost_details
    return Row(
        attempt_id=row.attempt_id,
        call_id=row.call_id,
        attempt=row.attempt,
        owner=row.owner,
        opened_at=row.opened_at,
        provider=row.provider,
        model=row.model,
        key_id=row.key_id,
        deployment_id=row.deployment_id,
        tags=row.tags,
        state="settled",
        settled_at=datetime.now(UTC),
        outcome=_outcome(error, let_go=let_go),
        status_code=getattr(error, "status_code", None) if error is not None else None,
        answered_model=None if model is None else _clean(model),
        source=usage.source,
        prompt_tokens=_count(usage.prompt_tokens),
        uncached_tokens=_count(prompt.uncached_tokens),
        read_tokens=_count(prompt.cached_tokens),
        written_tokens=_count(prompt.cache_write_tokens),
        written_5m_tokens=_count(written.ephemeral_5m_input_tokens),
        written_30m_tokens=_count(written.ephemeral_30m_input_tokens),
        written_1h_tokens=_count(written.ephemeral_1h_input_tokens),
        written_12h_tokens=_count(written.ephemeral_12h_input_tokens),
        output_tokens=_count(usage.completion_tokens),
        reasoning_tokens=_count(usage.completion_tokens_details.reasoning_tokens),
        cost=None if cost is None else cost.total,
        saved=None if cost is None else cost.saved,
        without_cache=None if cost is None else cost.without_cache,
        price=None if cost is None or cost.price is None else _price_text(cost.price),
        reason=_reason(cost),
    )


_NO_LABELS: Final = Labels()


def _outcome(error: BaseException | None, *, let_go: bool) -> str:
    if error is None:
        return "let_go" if let_go else "ok"
    return "cancelled" if isinstance(error, asyncio.CancelledError) else type(error).__name__


def _price_text(price: Price) -> str:
    tier = "" if price.tier == "standard" else f" {price.tier}"
    return _clean(f"{price.model}@{price.since}{tier}")


def _reason(cost: Cost | None) -> str | None:
    if cost is None:
        return "the answer carries no cost"
    return None if cost.reason is None else _clean(cost.reason)


def _tags_text(tags: dict[str, str]) -> str:
    return msgspec.json.encode({_clean(name): _clean(value) for name, value in tags.items()}).decode()


def _count(tokens: int | None) -> int | None:
    """*tokens* where a store can hold it; a count beyond 64 bits is not a count."""
    return tokens if tokens is None or 0 <= tokens <= _LARGEST else None


def _clean(text: str) -> str:
    """*text* as every store takes it: no NUL, no half of a surrogate pair, not without end."""
    if len(text) <= _LONGEST and text.isascii() and text.isprintable():
        return text
    return text[:_LONGEST].encode("utf-8", "replace").decode().replace("\0", "�")
