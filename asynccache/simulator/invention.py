"""A value that a JSON schema accepts, taken from the user's words where it can be."""

from __future__ import annotations

import re
from typing import Any

_NAMES = re.compile(r"\b[A-Z][a-z]{2,}(?: [A-Z][a-z]{2,})*")
_DEPTH = 6  # a schema that refers to itself ends here


def invent(schema: dict[str, Any], text: str, number: int = 0, depth: int = 0) -> Any:
    """The `number`-th value for this schema; `{}` where the schema says nothing."""
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    choices = schema.get("enum")
    if choices:
        return choices[number % len(choices)]
    for key in ("anyOf", "oneOf", "allOf"):
        options = schema.get(key)
        if options and depth < _DEPTH:
            return invent(options[0], text, number, depth + 1)

    kind: Any = schema.get("type", "object")
    if type(kind) is not str:
        kind = next((each for each in kind if each != "null"), "null")
    if kind == "object":
        return _object(schema, text, number, depth)
    if kind == "array":
        items = schema.get("items") or {"type": "string"}
        return [] if depth >= _DEPTH else [invent(items, text, number, depth + 1)]
    return _plain(kind, schema, text, number)


def _object(schema: dict[str, Any], text: str, number: int, depth: int) -> dict[str, Any]:
    properties: dict[str, dict[str, Any]] = schema.get("properties") or {}
    wanted = schema.get("required", list(properties))
    if depth >= _DEPTH:
        return {}
    return {name: invent(properties.get(name) or {}, text, number, depth + 1) for name in wanted}


def _plain(kind: str, schema: dict[str, Any], text: str, number: int) -> Any:
    if kind == "integer":
        return int(schema.get("minimum", 1)) + number
    if kind == "number":
        return float(schema.get("minimum", 1.5)) + number
    if kind == "boolean":
        return number % 2 == 0
    if kind == "null":
        return None
    names = _NAMES.findall(text)[1:] or ["example"]
    return str(names[number % len(names)])
