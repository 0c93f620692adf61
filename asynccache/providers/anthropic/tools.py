"""Tools, the choice among them, and the calls of them, in Anthropic's words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from asynccache.errors import InvalidRequestError
from asynccache.request import Path, path_text
from asynccache.shapes import is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynccache.providers.anthropic.content import Block

__all__ = ["call_block", "call_id", "tool_choice", "tool_definition"]

# What a tool may hold beyond its name and schema; anthropic-python 2.12.0, types/tool_param.py.
_MORE = ("defer_loading", "allowed_callers", "input_examples", "eager_input_streaming", "cache_control")
_CHOICES = {"auto": "auto", "required": "any", "any": "any", "none": "none"}
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
_EMPTY = orjson.Fragment(b"{}")

_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode  # that it is one object; nothing of it is read


def tool_definition(tool: Mapping[str, Any]) -> Block:
    """*tool* as Anthropic defines it; one in its own spelling as it is.

    Raises:
        InvalidRequestError: a custom tool of OpenAI's, which answers in free text.
    """
    function = tool.get("function")
    if not is_object(function):
        if is_object(custom := tool.get("custom")):
            msg = (
                f"the tool {custom.get('name')!r} is of type 'custom', which only OpenAI has; "
                "make it a function with one string parameter"
            )
            raise InvalidRequestError(msg)
        return tool
    schema = function.get("parameters")
    if not (is_object(schema) and schema.get("type") == "object"):
        nothing: dict[str, Any] = {"type": "object", "properties": {}}
        schema = {**nothing, **schema} if is_object(schema) else nothing
    definition: dict[str, Any] = {"name": function["name"]}
    if function.get("description"):
        definition["description"] = function["description"]
    definition["input_schema"] = schema
    if function.get("strict"):
        definition["strict"] = True
    for name in _MORE:
        value = tool.get(name, function.get(name))
        if value is not None:
            definition[name] = value
    return definition


def tool_choice(choice: Any, *, parallel: bool | None) -> Block | None:
    """OpenAI's ``tool_choice`` and ``parallel_tool_calls`` as one object; None where they say nothing.

    Raises:
        InvalidRequestError: no such choice.
    """
    made: dict[str, Any] | None = None
    if isinstance(choice, str) and choice in _CHOICES:
        made = {"type": _CHOICES[choice]}
    elif is_object(choice):
        function = choice.get("function")
        name = function.get("name") if is_object(function) else choice.get("name")
        if choice.get("type") in {"function", "tool"} and isinstance(name, str):
            made = {"type": "tool", "name": name}
        elif choice.get("type") in {"auto", "any", "none"}:
            made = {"type": choice["type"]}
        if made is not None and choice.get("disable_parallel_tool_use"):
            parallel = False
    if made is None and choice is not None:
        msg = (
            f"tool_choice={choice!r} is none of 'auto', 'required', 'none' and "
            "{'type': 'function', 'function': {'name': ...}}"
        )
        raise InvalidRequestError(msg)
    if parallel is False:
        made = made or {"type": "auto"}
        if made["type"] != "none":
            made["disable_parallel_tool_use"] = True
    return made


def call_id(value: Any, path: Path) -> str:
    """A call's id in the letters that Anthropic allows: other providers use more.

    Raises:
        InvalidRequestError: there is none.
    """
    if not isinstance(value, str) or not value:
        msg = (
            f"{path_text(path)}={value!r} is not the id of a call; give the call and its result the same one"
        )
        raise InvalidRequestError(msg)
    return _NOT_IN_IDS.sub("_", value)


def call_block(call: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """A call of a tool. Its arguments go out byte for byte: the model's own text is what is cached.

    Raises:
        InvalidRequestError: it is no call of a function, or its arguments are no JSON object.
    """
    function = call.get("function")
    if not is_object(function):
        msg = f"{path_text((*path, 'type'))}={call.get('type')!r} is no call of a function; Anthropic has no other"
        raise InvalidRequestError(msg)
    return {
        "type": "tool_use",
        "id": call_id(call.get("id"), (*path, "id")),
        "name": function["name"],
        "input": _arguments(function.get("arguments"), path),
    }


def _arguments(text: str | None, path: Path) -> orjson.Fragment:
    if not text or text.isspace():
        return _EMPTY
    try:
        _object(text)
    except (ValueError, RecursionError) as exc:
        msg = f"{path_text((*path, 'function', 'arguments'))}={text[:80]!r} is no JSON object ({exc})"
        raise InvalidRequestError(msg) from exc
    return orjson.Fragment(text)
