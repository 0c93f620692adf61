"""Usage that no provider should tell, and some do: counts overridden by raw JSON text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from .loose import obj

if TYPE_CHECKING:
    from .scenario import Scenario


def odd(usage: dict[str, Any], scenario: Scenario) -> dict[str, Any]:
    """*usage* with the counts that the scenario overrides: `{"completion_tokens": "NaN"}`.

    A name may be dotted; the text stands on the wire as it is given, so that `5,"prompt_tokens":6` tells a
    key twice.
    """
    for name, raw in scenario.usage_fields.items():
        *path, last = name.split(".")
        place = usage
        for step in path:
            place[step] = place = dict(obj(place.get(step)))
        place[last] = orjson.Fragment(raw.encode())
    return usage
