"""Whether a value of unknown origin is an object or a list, said in a way that type checkers understand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

__all__ = ["is_list", "is_object"]


def is_object(value: Any) -> TypeGuard[Mapping[str, Any]]:
    """Whether *value* maps names to values."""
    return isinstance(value, Mapping)


def is_list(value: Any) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Whether *value* is a list or a tuple."""
    return isinstance(value, (list, tuple))
