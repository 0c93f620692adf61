"""What is asked, messages and tools, as plain dicts of a shape that every provider's encoder may rely on."""

from __future__ import annotations

from difflib import SequenceMatcher
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from asynccache.errors import InvalidRequestError
from asynccache.mapped import Mapped
from asynccache.request import path_text
from asynccache.shapes import is_array, is_object, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["read_messages", "read_tools"]

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_SPEAKERS = _ROLES - {"tool", "function"}
_MARK = "cache_control"
_MEANT = ("cachecontrol", "cachepoint")
_LONGEST_SLIP = 20  # letters of a name that may be a mark misspelled


def read_messages(messages: Any) -> Sequence[Any]:
    """The caller's own sequence where all of it is plain; else one with the other objects made plain.

    Raises:
        InvalidRequestError: something in it has the wrong shape; the message names its path.
    """
    if not is_array(messages):
        msg = f"messages is a {type(messages).__name__}; it is a list like [{{'role': 'user', 'content': '...'}}]"
        raise InvalidRequestError(msg)
    if not messages:
        msg = "messages is empty; it needs at least one, like [{'role': 'user', 'content': '...'}]"
        raise InvalidRequestError(msg)
    plain: list[Any] | None = None
    for position, given in enumerate(messages):
        message: dict[str, Any] = given
        if type(message) is dict and len(message) == 2:  # nearly every message is a role and a text
            role = message.get("role")
            if type(message.get("content")) is str and type(role) is str and role in _SPEAKERS:
                continue
        if type(given) is not dict:
            plain = plain or list(messages)
            plain[position] = message = _plain_message(given, position)
        if (simple := _with_plain_items(message)) is not message:
            plain = plain or list(messages)
            plain[position] = message = simple
        _check_message(message, position)
    return messages if plain is None else plain


def _plain_message(message: Any, position: int) -> dict[str, Any]:
    plain = _plain(message)
    if is_object(plain):
        return dict(plain)
    msg = f"messages[{position}] is a {type(message).__name__}; a message is a dict with 'role' and 'content'"
    raise InvalidRequestError(msg)


def _with_plain_items(message: dict[str, Any]) -> dict[str, Any]:
    """*message* itself, or one whose parts and calls that were objects, ours or the openai SDK's, are dicts."""
    if type(message.get("content")) is str and "tool_calls" not in message:
        return message
    items = {name: message[name] for name in ("content", "tool_calls") if type(message.get(name)) is list}
    changed = {
        name: [_plain(item) for item in held]
        for name, held in items.items()
        if any(type(item) is not dict for item in held)
    }
    return {**message, **changed} if changed else message


def _plain(value: Any) -> Any:
    """*value* as a dict where it is an object that stands for one."""
    if isinstance(value, Mapped):
        return value.to_dict()
    dump = getattr(value, "model_dump", None)  # the openai SDK's objects
    return value if dump is None else dump(exclude_none=True)


def _check_message(message: dict[str, Any], position: int) -> None:
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        msg = f"messages[{position}].role={shown(role)} is not one of {', '.join(sorted(_ROLES))}"
        raise InvalidRequestError(msg)
    _refuse_misspelled(message, "messages", position)
    content = message.get("content")
    if type(content) is str:
        pass
    elif is_array(content):
        _check_parts(content, position)
    elif content is not None:
        msg = f"messages[{position}].content is a {type(content).__name__}; it is a string or a list of parts"
        raise InvalidRequestError(msg)
    elif role not in {"assistant", "function"}:
        msg = f"messages[{position}].content is missing; a {role} message needs one"
        raise InvalidRequestError(msg)
    if role == "assistant" and "tool_calls" in message:
        _check_calls(message["tool_calls"], position)
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        given = shown(message.get("tool_call_id"))
        msg = f"messages[{position}].tool_call_id={given} is not the id of a tool call"
        raise InvalidRequestError(msg)


def _check_parts(parts: Sequence[Any], position: int) -> None:
    for number, part in enumerate(parts):
        if not is_object(part):
            msg = f"messages[{position}].content[{number}] is a {type(part).__name__}; a part is a dict with a 'type'"
            raise InvalidRequestError(msg)
        kind = part.get("type")
        if not isinstance(kind, str):
            mark = "; a cache point is written as cache_control={'type': 'ephemeral'} on the part before it"
            more = mark if "cachePoint" in part else ""
            msg = f"messages[{position}].content[{number}].type={shown(kind)} is not a string such as 'text'{more}"
            raise InvalidRequestError(msg)
        if kind == "text" and not isinstance(part.get("text"), str):
            msg = f"messages[{position}].content[{number}].text={shown(part.get('text'))} is not a string"
            raise InvalidRequestError(msg)
        if len(part) > 2:
            _refuse_misspelled(part, "messages", position, "content", number)


def _check_calls(calls: Any, position: int) -> None:
    if calls is None:
        return
    if not is_array(calls):
        msg = f"messages[{position}].tool_calls is a {type(calls).__name__}; it is a list"
        raise InvalidRequestError(msg)
    for number, call in enumerate(calls):
        where = f"messages[{position}].tool_calls[{number}]"
        function = call.get("function") if is_object(call) else None
        if is_object(call) and call.get("type") == "custom":
            continue
        if not is_object(function) or not isinstance(function.get("name"), str):
            msg = f"{where}.function has no 'name'; a call is {{'id', 'type': 'function', 'function': {{'name', 'arguments'}}}}"
            raise InvalidRequestError(msg)
        if not isinstance(function.get("arguments", ""), str):
            msg = (
                f"{where}.function.arguments is a {type(function['arguments']).__name__}; it is the JSON text"
            )
            raise InvalidRequestError(msg)
        _refuse_misspelled(call, "messages", position, "tool_calls", number)


def read_tools(tools: Any) -> Sequence[Any]:
    """The caller's own sequence.

    Raises:
        InvalidRequestError: something in it has the wrong shape; the message names its path.
    """
    if not is_array(tools):
        msg = f"tools is a {type(tools).__name__}; it is a list"
        raise InvalidRequestError(msg)
    for number, tool in enumerate(tools):
        if not is_object(tool):
            msg = f"tools[{number}] is a {type(tool).__name__}; a tool is a dict"
            raise InvalidRequestError(msg)
        _refuse_misspelled(tool, "tools", number)
        if tool.get("type") == "function" and "input_schema" not in tool:
            function = tool.get("function")
            if not is_object(function) or not isinstance(function.get("name"), str):
                msg = f"tools[{number}].function.name is missing; a tool is {{'type': 'function', 'function': {{'name', ...}}}}"
                raise InvalidRequestError(msg)
    return tools


def _refuse_misspelled(holder: Mapping[str, Any], *path: str | int) -> None:
    """A mark under another name would be left out in silence, and its reader pay for it."""
    for name in holder:
        if len(name) <= _LONGEST_SLIP and _is_misspelled(name):
            msg = f"{path_text(path)} has {name!r}, which is no cache mark; write {_MARK!r}: {{'type': 'ephemeral'}}"
            raise InvalidRequestError(msg)


@lru_cache(maxsize=512)
def _is_misspelled(name: str) -> bool:
    letters = "".join(filter(str.isalpha, name.lower()))
    return name != _MARK and any(SequenceMatcher(None, letters, meant).ratio() > 0.85 for meant in _MEANT)
