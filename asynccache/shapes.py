"""JSON values of unknown shape, told apart in a way that type checkers follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

__all__ = ["is_array", "is_object", "shown"]


def is_object(value: Any) -> TypeGuard[Mapping[str, Any]]:
    """Whether *value* maps names to values: a dict, or another mapping."""
    return type(value) is dict or (value is not None and isinstance(value, Mapping))  # None is asked most


def is_array(value: Any) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Whether *value* is a list or a tuple."""
    return isinstance(value, (list, tuple))


def shown(value: Any) -> str:
    """*value* in an error's one line: its beginning, for it may be a whole prompt."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:80]}…"
