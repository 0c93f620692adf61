"""Numbers, amounts and times as people read them; the exact value always stands beside."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from asynccache.proxy.markup import Markup, el

if TYPE_CHECKING:
    from decimal import Decimal

__all__ = ["age", "clock", "count", "dollars", "exact_dollars", "percent", "shown_count", "shown_dollars"]

_UNITS = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k"))


def shown_count(number: float) -> str:
    """950, 12.3 k, 1.23 M."""
    for unit, word in _UNITS:
        if abs(number) >= unit:
            scaled = number / unit
            digits = 0 if scaled >= 100 else 1 if scaled >= 10 else 2
            text = f"{scaled:.{digits}f}"
            return f"{text.rstrip('0').rstrip('.') if '.' in text else text} {word}"
    return f"{number:g}"


def shown_dollars(amount: Decimal) -> str:
    """$0, $0.0042, $1.23, $1,234: two digits that count, more before the point."""
    sign, size = ("\u2212" if amount < 0 else ""), abs(amount)
    if size == 0:
        return "$0"
    if size >= 1000:
        return f"{sign}${size:,.0f}"
    if size >= 1:
        return f"{sign}${size:.2f}"
    digits = min(max(1 - size.adjusted(), 2), 8)
    return f"{sign}${size:.{digits}f}"


def exact_dollars(amount: Decimal) -> str:
    """Every digit."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(number: int) -> Markup:
    """A count for people, the exact one on it."""
    style = None if number else "zero"
    return el("data", shown_count(number), value=number, title=f"{number:,}", class_=style)


def dollars(amount: Decimal) -> Markup:
    """An amount for people, the exact one on it."""
    exact = exact_dollars(amount)
    return el(
        "data", shown_dollars(amount), value=exact, title=f"${exact}", class_=None if amount else "zero"
    )


def percent(share: float | None) -> str:
    """93.1 %, or a dash where nothing is known."""
    if share is None:
        return "\u2013"
    return "100 %" if share >= 0.9995 else f"{share * 100:.1f} %"


def clock(at: float, *, day: bool = False) -> str:
    """12:34, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%d %b %H:%M" if day else "%H:%M")


def age(seconds: float) -> str:
    """12 s, 3 min, 2 h, 5 d."""
    seconds = max(seconds, 0.0)
    for unit, word in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= unit:
            return f"{int(seconds // unit)} {word}"
    return f"{int(seconds)} s" if seconds >= 10 or seconds < 1 else f"{seconds:.1f} s"
