"""A JSON value as the object or the list that it should be; anything else counts as absent."""

from __future__ import annotations

from typing import Any, TypeGuard


def obj(value: Any) -> dict[str, Any]:
    """The object, or an empty one."""
    return value if _is_object(value) else {}


def objs(value: Any) -> list[dict[str, Any]]:
    """The objects in a list, or none."""
    return [item for item in value if _is_object(item)] if _is_list(value) else []


def _is_object(value: Any) -> TypeGuard[dict[str, Any]]:
    return type(value) is dict


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return type(value) is list
