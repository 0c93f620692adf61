"""What was asked and said, as the GenAI conventions' JSON; only for those who ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import orjson

from asynccache.events import ReasoningDelta, RefusalDelta, TextDelta, ToolCallFragment
from asynccache.shapes import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynccache.events import Event
    from asynccache.request import Request

__all__ = ["Said", "asked_content"]


def asked_content(request: Request) -> dict[str, str]:
    """The attributes that hold *request*'s prompt."""
    told = {"gen_ai.input.messages": _json([_message(message) for message in request.messages])}
    if request.tools:
        told["gen_ai.tool.definitions"] = _json(list(request.tools))
    return told


@final
class Said:
    """An answer's content, piece by piece."""

    def __init__(self) -> None:
        self._texts: dict[tuple[int, str], list[str]] = {}
        self._calls: dict[tuple[int, int], dict[str, Any]] = {}

    def hear(self, event: Event) -> None:
        """One more piece."""
        if type(event) is TextDelta or type(event) is RefusalDelta:
            self._texts.setdefault((event.index, "text"), []).append(event.text)
        elif type(event) is ReasoningDelta:
            self._texts.setdefault((event.index, "reasoning"), []).append(event.text)
        elif type(event) is ToolCallFragment:
            call = self._calls.setdefault((event.index, event.call), {"type": "tool_call", "arguments": ""})
            if event.id:
                call["id"] = event.id
            if event.name:
                call["name"] = event.name
            call["arguments"] += event.arguments

    def content(self, reasons: Mapping[int, str]) -> dict[str, str]:
        """The attribute that holds what was said so far."""
        answers: dict[int, list[Any]] = {}
        for (index, kind), pieces in self._texts.items():
            answers.setdefault(index, []).append({"type": kind, "content": "".join(pieces)})
        for (index, _), call in self._calls.items():
            answers.setdefault(index, []).append({**call, "arguments": _value(call["arguments"])})
        messages = [
            {"role": "assistant", "parts": parts, "finish_reason": reasons.get(index, "")}
            for index, parts in sorted(answers.items())
        ]
        return {"gen_ai.output.messages": _json(messages)} if messages else {}


def _message(message: Any) -> dict[str, Any]:
    if not is_object(message):
        return {"role": "", "parts": []}
    role, content = str(message.get("role", "")), message.get("content")
    if role == "tool":
        return {
            "role": role,
            "parts": [{"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}],
        }
    parts = [_part(part) for part in content] if is_array(content) else []
    if isinstance(content, str):
        parts.append({"type": "text", "content": content})
    calls: Any = message.get("tool_calls")
    for call in calls if is_array(calls) else ():
        function: Any = call.get("function") if is_object(call) else None
        if is_object(call) and is_object(function):
            parts.append(
                {
                    "type": "tool_call",
                    "id": call.get("id"),
                    "name": function.get("name"),
                    "arguments": _value(function.get("arguments")),
                }
            )
    return {"role": role, "parts": parts}


def _part(part: Any) -> dict[str, Any]:
    """A text as it is; of pictures, sounds and files only that there is one."""
    if not is_object(part):
        return {"type": "text", "content": str(part)}
    kind = str(part.get("type", ""))
    return {"type": "text", "content": part.get("text")} if kind == "text" else {"type": kind}


def _value(arguments: Any) -> Any:
    """Arguments as an object where they are JSON, else as they are."""
    try:
        return orjson.loads(arguments)
    except (TypeError, ValueError):
        return arguments


def _json(value: Any) -> str:
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
