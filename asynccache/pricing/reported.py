"""What the provider itself says that it billed, where it says so in its usage: a table of places."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from asynccache.pricing.shelves import billed_at
from asynccache.shapes import is_array, is_object

if TYPE_CHECKING:
    from asynccache.reply import Usage

__all__ = ["reported_cost"]


def reported_cost(usage: Usage, provider: str) -> Decimal | None:
    """Dollars that *provider* says it billed for *usage*; None where it does not say."""
    if usage.cost_details is not None and usage.cost_details.reported is not None:
        return usage.cost_details.reported
    place = billed_at(provider)
    if place is None or usage.raw is None:
        return None
    parts = usage.raw if is_array(usage.raw) else [usage.raw]
    for part in reversed(parts):
        amount = _amount(part, place.path)
        if amount is not None:
            return (amount * place.unit).normalize()
    return None


def _amount(part: Any, path: tuple[str, ...]) -> Decimal | None:
    for name in path:
        part = part.get(name) if is_object(part) else None
    if part is None or isinstance(part, bool) or not isinstance(part, (int, float, str)):
        return None
    try:
        amount = Decimal(str(part))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and amount >= 0 else None
