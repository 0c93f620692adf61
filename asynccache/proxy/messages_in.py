"""A request in Anthropic's format as arguments in the library's own terms, for providers that speak another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from asynccache.errors import InvalidRequestError
from asynccache.shapes import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["arguments_of"]

# Fields that mean the same by the same name.
_ALIKE = ("cache_control", "max_tokens", "service_tier", "temperature", "top_k", "top_p")
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
# What thinking for so many tokens is called by providers that are told in words.
_EFFORTS = ((4096, "low"), (12_288, "medium"))
_MARK = "cache_control"


def arguments_of(fields: Mapping[str, Any], *, claude: bool, plain_results: bool = False) -> dict[str, Any]:
    """*fields* as `acompletion` takes them.

    Args:
        fields: the body, checked.
        claude: whether a Claude answers, which takes its own words for thinking.
        plain_results: whether tools' results can be text alone, as in OpenAI's chat format; pictures and files
            then stand in the user's message behind them.

    Raises:
        InvalidRequestError: it is not of Anthropic's format.
    """
    arguments: dict[str, Any] = {name: fields[name] for name in _ALIKE if fields.get(name) is not None}
    messages = list(_system(fields.get("system")))
    told: Any = fields.get("messages")
    if not is_array(told) or not told:
        msg = "messages is missing; it is a list of at least one message"
        raise InvalidRequestError(msg)
    for place, message in enumerate(told):
        messages += _message(message, place, plain_results)
    arguments["messages"] = messages
    if fields.get("tools"):
        arguments["tools"] = _tools(fields["tools"])
        arguments |= _choice(fields.get("tool_choice"))
    if fields.get("stop_sequences"):
        arguments["stop"] = fields["stop_sequences"]
    user = fields["metadata"].get("user_id") if is_object(fields.get("metadata")) else None
    if isinstance(user, str):
        arguments["user"] = user
    arguments |= _thinking(fields, claude=claude)
    arguments["drop_params"] = (
        True  # a parameter of Anthropic's that the other provider lacks is no mistake here
    )
    return arguments


def _system(system: Any) -> list[dict[str, Any]]:
    if system is None or system in ("", []):
        return []
    if isinstance(system, str):
        return [{"role": "system", "content": system}]
    if not is_array(system) or not all(is_object(part) for part in system):
        msg = "system is neither a text nor a list of blocks"
        raise InvalidRequestError(msg)
    return [{"role": "system", "content": [dict(part) for part in system]}]


def _message(message: Any, place: int, plain_results: bool) -> list[dict[str, Any]]:
    role = message.get("role") if is_object(message) else None
    if not isinstance(role, str) or role not in {"user", "assistant", "system"}:
        msg = f"messages[{place}].role={role!r:.40} is none of 'user', 'assistant' and 'system'"
        raise InvalidRequestError(msg)
    content = message.get("content")
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    if not is_array(content) or not all(is_object(block) for block in content):
        msg = f"messages[{place}].content is neither a text nor a list of blocks"
        raise InvalidRequestError(msg)
    return [_assistant(content)] if role == "assistant" else _user(content, role, plain_results)


def _user(blocks: Any, role: str, plain_results: bool) -> list[dict[str, Any]]:
    """Results stand for themselves, everything else is one message behind them."""
    made: list[dict[str, Any]] = []
    parts: list[Any] = []
    attached: list[Any] = []
    for block in blocks:
        if block.get("type") == "tool_result":
            result = _result(block)
            made.append(result)
            if plain_results:
                attached += _detached(result)
        else:
            parts.append(_part(block))
    if attached or parts:
        made.append({"role": role, "content": attached + parts})
    return made


def _detached(result: dict[str, Any]) -> list[Any]:
    """What *result* holds beyond text, behind a line that says whose it is; the text alone is left to it."""
    content: Any = result["content"]
    if not is_array(content):
        return []
    others = [part for part in content if part.get("type") != "text"]
    if not others:
        return []
    name = f"the result of {result['tool_call_id']}"
    texts = [part for part in content if part.get("type") == "text"]
    result["content"] = texts or "It is attached to the next message."
    return [{"type": "text", "text": f"This belongs to {name}:"}, *others]


def _result(block: Mapping[str, Any]) -> dict[str, Any]:
    content = block.get("content")
    if is_array(content):
        if not all(is_object(part) for part in content):
            msg = "the content of a tool_result is neither a text nor a list of blocks"
            raise InvalidRequestError(msg)
        content = [_part(part) for part in content]
    message: dict[str, Any] = {
        "role": "tool",
        "tool_call_id": block.get("tool_use_id"),
        "content": "" if content is None else content,
    }
    if block.get("is_error"):
        message["is_error"] = True
    if block.get(_MARK) is not None:
        message[_MARK] = block[_MARK]
    return message


def _part(block: Mapping[str, Any]) -> Mapping[str, Any]:
    kind, source = block.get("type"), block.get("source")
    if kind == "image" and is_object(source):
        part: dict[str, Any] = {"type": "image_url", "image_url": {"url": _url(source)}}
    elif kind == "document" and is_object(source) and source.get("type") == "base64":
        file = {"file_data": _url(source), "filename": block.get("title") or "document"}
        part = {"type": "file", "file": file}
    elif kind == "document" and is_object(source) and source.get("type") == "text":
        part = {"type": "text", "text": source.get("data")}
    else:
        return block
    if block.get(_MARK) is not None:
        part[_MARK] = block[_MARK]
    return part


def _url(source: Mapping[str, Any]) -> Any:
    if source.get("type") == "base64":
        return f"data:{source.get('media_type')};base64,{source.get('data')}"
    return source.get("url")


def _assistant(blocks: Any) -> dict[str, Any]:
    """Thinking with a signature goes back as it is; without one it is another provider's, and plain text."""
    message: dict[str, Any] = {"role": "assistant", "content": None}
    parts: list[Any] = []
    thinking: list[Any] = []
    reasoning: list[str] = []
    calls: list[Any] = []
    for block in blocks:
        kind = block.get("type")
        if kind == "tool_use":
            calls.append(_call(block))
        elif kind == "redacted_thinking" or (kind == "thinking" and block.get("signature")):
            thinking.append(block)
        elif kind == "thinking":
            reasoning.append(str(block.get("thinking") or ""))
        else:
            parts.append(_part(block))
    if parts:
        plain = len(parts) == 1 and parts[0].keys() == {"type", "text"}
        message["content"] = parts[0]["text"] if plain else parts
    if thinking:
        message["thinking_blocks"] = thinking
    if reasoning:
        message["reasoning_content"] = "".join(reasoning)
    if calls:
        message["tool_calls"] = calls
    return message


def _call(block: Mapping[str, Any]) -> dict[str, Any]:
    arguments = orjson.dumps(block.get("input") or {}).decode()
    call: dict[str, Any] = {
        "id": block.get("id"),
        "type": "function",
        "function": {"name": block.get("name"), "arguments": arguments},
    }
    if block.get(_MARK) is not None:
        call[_MARK] = block[_MARK]
    return call


def _tools(tools: Any) -> list[Any]:
    if not is_array(tools) or not all(is_object(tool) for tool in tools):
        msg = "tools is not a list of tools"
        raise InvalidRequestError(msg)
    made: list[Any] = []
    for tool in tools:
        if "input_schema" not in tool:
            made.append(tool)
            continue
        function: dict[str, Any] = {"name": tool.get("name"), "parameters": tool["input_schema"]}
        if tool.get("description"):
            function["description"] = tool["description"]
        if tool.get("strict") is not None:
            function["strict"] = tool["strict"]
        marked = {} if tool.get(_MARK) is None else {_MARK: tool[_MARK]}
        made.append({"type": "function", "function": function, **marked})
    return made


def _choice(choice: Any) -> dict[str, Any]:
    if not is_object(choice):
        return {}
    made: dict[str, Any] = {}
    kind = choice.get("type")
    if isinstance(kind, str) and kind in _CHOICES:
        made["tool_choice"] = _CHOICES[kind]
    elif kind == "tool":
        made["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    if choice.get("disable_parallel_tool_use"):
        made["parallel_tool_calls"] = False
    return made


def _thinking(fields: Mapping[str, Any], *, claude: bool) -> dict[str, Any]:
    thinking, output = fields.get("thinking"), fields.get("output_config")
    if claude:
        given = {"thinking": thinking, "output_config": output}
        return {name: value for name, value in given.items() if value is not None}
    made: dict[str, Any] = {}
    if is_object(output):
        if isinstance(output.get("effort"), str):
            made["reasoning_effort"] = output["effort"]
        wanted = output.get("format")
        if is_object(wanted) and wanted.get("type") == "json_schema":
            schema = {"name": "answer", "schema": wanted.get("schema")}
            made["response_format"] = {"type": "json_schema", "json_schema": schema}
    if is_object(thinking) and thinking.get("type") == "enabled" and "reasoning_effort" not in made:
        budget = thinking.get("budget_tokens")
        tokens = budget if isinstance(budget, int) else 0
        made["reasoning_effort"] = next((word for most, word in _EFFORTS if tokens <= most), "high")
    return made
