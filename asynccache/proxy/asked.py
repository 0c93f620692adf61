"""What the page's address asks for: a span, a model, a key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final
from urllib.parse import parse_qs, urlencode

import msgspec

from asynccache.proxy.view import SPANS

if TYPE_CHECKING:
    from asynccache.proxy.view import Span

__all__ = ["Asked", "read_asked"]

_LONGEST_NAME = 300


@final
class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the page's address asks for."""

    span: Span = "all"
    model: str | None = None
    key: str | None = None
    still: bool = False
    """Whether it stays as it is, instead of being drawn anew every few seconds."""
    once: str | None = None
    held: str | None = None
    """The pass."""

    def address(self, **changes: object) -> str:
        """The address of the same page, but for *changes*."""
        other = msgspec.structs.replace(self, once=None, **changes)
        told = {
            "range": None if other.span == "all" else other.span,
            "model": other.model,
            "key": other.key,
            "still": "1" if other.still else None,
            "pass": other.held,
        }
        query = urlencode({name: value for name, value in told.items() if value is not None})
        return f"/ui?{query}" if query else "/ui"


def read_asked(query: str) -> Asked:
    """What *query* asks for; what it says that nobody knows is passed over."""
    try:
        given = {name: values[-1] for name, values in parse_qs(query, max_num_fields=16).items()}
    except ValueError:
        given = {}
    wanted: Any = given.get("range")
    span: Span = wanted if wanted in SPANS else "all"
    return Asked(
        span=span,
        model=_name(given.get("model")),
        key=_name(given.get("key")),
        still="still" in given,
        once=given.get("once"),
        held=given.get("pass"),
    )


def _name(text: str | None) -> str | None:
    return None if text is None else text[:_LONGEST_NAME]
