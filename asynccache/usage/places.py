"""A row of the table, without the places that a usage object cannot hold: most of them are other vendors'."""

from __future__ import annotations

from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from asynccache.errors import ConfigurationError
from asynccache.usage.fields import DIALECTS
from asynccache.usage.straight import Straight, fields_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asynccache.usage.fields import Places, Spelling

__all__ = ["row_for"]

_Shape: TypeAlias = tuple[tuple[str, tuple[str, ...] | None], ...]
"""The names in a usage object, each with the names within it where it is an object too."""


def _names_looked_for() -> dict[str, Callable[[object], bool]]:
    """For every name that begins a place of the table, whether another name follows it in one."""
    within: dict[str, set[str]] = {}
    for spelling in DIALECTS.values():
        rows = (*spelling.lifetimes, *spelling.prompt_parts, *spelling.completion_parts)
        single = (getattr(spelling, field) for field in _SINGLE)
        for place in chain(*single, *(places for _, places in rows)):
            within.setdefault(place[0], set()).update(place[1:2])
    return {name: frozenset(names).__contains__ for name, names in within.items()}


_SINGLE = (
    "prompt", "prompt_also", "completion", "total", "read", "written", "lifetime_list", "reasoning",
    "server_tools",
)  # fmt: skip
_LOOKED_FOR = _names_looked_for()


def row_for(dialect: str, raw: Any) -> tuple[Spelling, Straight | None]:
    """Row *dialect* without the places that *raw* does not have, and how the rest are taken straight, if they can be.

    A model's usage objects all have the same few shapes, and most places of a row are other vendors'.

    Raises:
        ConfigurationError: the table has no such row.
    """
    return _narrowed(dialect, _shape(raw))


def _shape(raw: Any) -> _Shape | None:
    """The shape of *raw*, as far as any dialect looks; None for what is not plain JSON."""
    if raw.__class__ is not dict:
        return None
    names: list[tuple[str, tuple[str, ...] | None]] = [
        (name, tuple(filter(_LOOKED_FOR[name], value)) if value.__class__ is dict else None)
        for name, value in raw.items()
        if value is not None and name in _LOOKED_FOR  # null tells nothing
    ]
    return tuple(names)


@lru_cache(maxsize=256)
def _narrowed(dialect: str, shape: _Shape | None) -> tuple[Spelling, Straight | None]:
    spelling = DIALECTS.get(dialect)
    if spelling is None:
        msg = f"no row {dialect!r} in usage/fields.py; known: {', '.join(sorted(DIALECTS))}"
        raise ConfigurationError(msg)
    if shape is None:
        return spelling, None
    names = dict(shape)

    def there(places: Places) -> Places:
        return tuple(place for place in places if _may_hold(names, place))

    def named(rows: tuple[tuple[str, Places], ...]) -> tuple[tuple[str, Places], ...]:
        return tuple((name, found) for name, places in rows if (found := there(places)))

    narrow = msgspec.structs.replace(
        spelling,
        **{field: there(getattr(spelling, field)) for field in _SINGLE},
        lifetimes=named(spelling.lifetimes),
        prompt_parts=named(spelling.prompt_parts),
        completion_parts=named(spelling.completion_parts),
    )
    return narrow, Straight(narrow) if _is_straight(narrow, names) else None


def _is_straight(spelling: Spelling, names: Mapping[str, tuple[str, ...] | None]) -> bool:
    """Whether every count of the shape stands at a place that is sure to be there, and none in a list."""
    firsts = [places[0] for places in fields_of(spelling) if places]
    within = [names[place[0]] for place in firsts if len(place) > 1]
    return not spelling.lifetime_list and None not in within and all(len(place) <= 2 for place in firsts)


def _may_hold(names: Mapping[str, tuple[str, ...] | None], place: tuple[str, ...]) -> bool:
    """Whether *place* may hold something: also what is not an object where one belongs, for that is a mistake."""
    if place[0] not in names:
        return False
    within = names[place[0]]
    return len(place) == 1 or within is None or place[1] in within
