"""JSON values of unknown shape, told apart in a way that type checkers follow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

__all__ = ["is_array", "is_object"]


def is_object(value: Any) -> TypeGuard[Mapping[str, Any]]:
    """Whether *value* is a JSON object: a dict, or what else is a mapping."""
    return type(value) is dict or isinstance(value, Mapping)


def is_array(value: Any) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Whether *value* is a JSON array."""
    return isinstance(value, (list, tuple))
