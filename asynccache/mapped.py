"""A Struct that also reads like the dict it becomes: what every part of a reply is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from asynccache.shapes import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Mapped"]


class Mapped(msgspec.Struct, frozen=True):
    """A Struct that also reads like the dict it becomes: ``x["name"]``, ``"name" in x``, ``x.get("name")``."""

    def __getitem__(self, name: str) -> Any:
        if name in self.__struct_fields__:
            return getattr(self, name)
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return name in self.__struct_fields__ and getattr(self, str(name)) is not None

    def get(self, name: str, default: Any = None) -> Any:
        """The value of field *name*, or *default* when there is no such field or it is None."""
        value = getattr(self, name) if name in self.__struct_fields__ else None
        return default if value is None else value

    def __iter__(self) -> Iterator[str]:
        return iter(self.__struct_fields__)

    def keys(self) -> tuple[str, ...]:
        """The names of all fields."""
        return self.__struct_fields__

    def items(self) -> list[tuple[str, Any]]:
        """The names of all fields, each with its value."""
        return [(name, getattr(self, name)) for name in self.__struct_fields__]

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings, None where a field is not known."""
        plain: dict[str, Any] = {
            name: _plain(getattr(self, name)) for name in self.__struct_fields__ if name not in _INTERNAL
        }
        return plain

    def to_json(self) -> str:
        """The JSON text of `to_dict`."""
        return orjson.dumps(self.to_dict()).decode()

    def model_dump(self, *, exclude_none: bool = False) -> dict[str, Any]:
        """`to_dict`, by the name that the SDKs and LiteLLM give it."""
        plain = self.to_dict()
        return _without_none(plain) if exclude_none else plain

    def model_dump_json(self, *, indent: int | None = None, exclude_none: bool = False) -> str:
        """`to_json`, by the name that the SDKs and LiteLLM give it."""
        plain = self.model_dump(exclude_none=exclude_none)
        return orjson.dumps(plain).decode() if indent is None else json.dumps(plain, indent=indent)


_INTERNAL = frozenset({"raw", "cost_details", "cache_report"})


def _plain(value: Any) -> Any:
    if isinstance(value, Mapped):
        return value.to_dict()
    if is_array(value):
        return [_plain(item) for item in value]
    return value


def _without_none(value: Any) -> Any:
    if is_object(value):
        return {name: _without_none(inner) for name, inner in value.items() if inner is not None}
    return [_without_none(item) for item in value] if is_array(value) else value
