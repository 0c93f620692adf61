"""OpenAI's Responses, the request: its items as the chat messages that they mean, so that one cache rule fits both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .chat_prompt import ROLES, check_kinds
from .loose import obj, objs
from .openai_request import check_parameters, openai_prompt, question, reasons
from .rules import OPENAI_TTL, openai_rule, openai_version
from .wire import Asked, Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from .wire import Arrival

    Recall = Callable[[str], list[dict[str, Any]] | None]

_LEAST_OUTPUT = 16  # [oai] max_output_tokens: "Expected a value >= 16"
# what is spelled alike in both APIs
_ALIKE = (
    "model",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "service_tier",
    "stream",
    "stream_options",
    "temperature",
    "top_p",
)
# part of a message -> part of a chat message; what has no counterpart there stays as it is
_PARTS = {"input_text": "text", "output_text": "text"}
# what would need a memory or workers that the simulator does not have
_REFUSED = ("background", "conversation", "prompt")
_TTLS = tuple(OPENAI_TTL)


def read_responses(arrival: Arrival, recall: Recall) -> Asked:
    """The request understood, or refused as OpenAI refuses it; *recall* knows the turns of an earlier response."""
    body = arrival.body
    _check(body)
    messages = turns(body, recall)
    if not messages:
        raise _wrong("Missing required parameter: 'input'.", "input", "missing_required_parameter")
    instructions = body.get("instructions")
    opening = [{"role": "developer", "content": instructions}] if instructions else []
    chat = _chat(body, [*opening, *messages])
    model = body["model"]
    check_parameters(chat, model, ttls=_TTLS)
    thinks = reasons(model) and chat.get("reasoning_effort") not in ("none", "minimal")
    return Asked(
        model=model,
        prompt=openai_prompt(chat, arrival.owner),
        rule=openai_rule(model),
        question=question(chat, thinks=thinks),
        stream=body.get("stream") is True,
    )


def turns(body: dict[str, Any], recall: Recall) -> list[dict[str, Any]]:
    """The conversation as chat messages: what an earlier response holds, then the input; without the instructions."""
    earlier = body.get("previous_response_id")
    before = recall(str(earlier)) if earlier is not None else []
    if before is None:
        raise _wrong(
            f"Previous response with id '{earlier}' not found.",
            "previous_response_id",
            "previous_response_not_found",
        )
    return _messages(body.get("input"), before)


def _check(body: dict[str, Any]) -> None:
    check_kinds(body)
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise _wrong("Missing required parameter: 'model'.", "model", "missing_required_parameter")
    given = body.get("input")
    if given is not None and not isinstance(given, str | list):
        raise _wrong("Invalid type for 'input': expected a string or a list.", "input", "invalid_type")
    for name in _REFUSED:
        if body.get(name):
            raise _wrong(f"The simulator does not know '{name}'.", name, "unsupported_parameter")
    if obj(body.get("prompt_cache_options")).get("prewarm"):
        where = "prompt_cache_options.prewarm"
        raise _wrong("The simulator does not know 'prewarm'.", where, "unsupported_parameter")
    most = body.get("max_output_tokens")
    if isinstance(most, int) and most < _LEAST_OUTPUT:
        raise _wrong(
            f"Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {_LEAST_OUTPUT}, got {most} instead.",
            "max_output_tokens",
            "integer_below_min_value",
        )
    if openai_version(body["model"]) >= (6, 0) and obj(body.get("reasoning")).get("effort") == "none":
        raise _wrong(
            "Unsupported value: 'none' is not supported with this model.",
            "reasoning.effort",
            "unsupported_value",
        )


def _chat(body: dict[str, Any], messages: list[dict[str, Any]]) -> dict[str, Any]:
    """The chat request that asks the same."""
    text = obj(body.get("text"))
    made: dict[str, Any] = {name: body[name] for name in _ALIKE if body.get(name) is not None}
    made["messages"] = messages
    made["max_completion_tokens"] = body.get("max_output_tokens")
    made["reasoning_effort"] = obj(body.get("reasoning")).get("effort")
    made["verbosity"] = text.get("verbosity")
    wanted = obj(text.get("format"))
    if wanted.get("type") not in (None, "text"):
        made["response_format"] = {"type": wanted["type"], "json_schema": wanted}
    if body.get("tools"):
        made["tools"] = [_tool(tool) for tool in objs(body["tools"])]
    choice = body.get("tool_choice")
    made["tool_choice"] = (
        {"type": "function", "function": {"name": obj(choice).get("name")}} if obj(choice) else choice
    )
    return made


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    if tool.get("type") != "function":
        return tool
    return {
        "type": "function",
        "function": {name: value for name, value in tool.items() if name != "type"},
    }


def _messages(given: Any, before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(given, str):
        return [*before, {"role": "user", "content": given}]
    made = [dict(message) for message in before]
    called = {str(call.get("id")) for message in made for call in objs(message.get("tool_calls"))}
    for index, item in enumerate(objs(given)):
        kind = item.get("type", "message")
        if kind == "function_call":
            called.add(str(item.get("call_id")))
            _add_call(made, item)
        elif kind == "function_call_output":
            made.append(_result(item, called))
        elif kind == "message":
            made.append(_message(item, index))
        elif kind != "reasoning":  # thoughts of earlier turns are not part of the prompt
            raise _wrong(f"Invalid value: {kind!r}.", f"input[{index}]", "invalid_value")
    return made


def _add_call(made: list[dict[str, Any]], item: dict[str, Any]) -> None:
    """One turn of the model's is one message, whatever items it was said in."""
    function = {"name": item.get("name"), "arguments": item.get("arguments")}
    call = {"id": item.get("call_id"), "type": "function", "function": function}
    last = made[-1] if made else {}
    if last.get("role") == "assistant":
        made[-1] = {**last, "tool_calls": [*objs(last.get("tool_calls")), call]}
    else:
        made.append({"role": "assistant", "content": None, "tool_calls": [call]})


def _result(item: dict[str, Any], called: set[str]) -> dict[str, Any]:
    name = str(item.get("call_id"))
    if name not in called:
        raise _wrong(f"No tool call found for function call output with call_id {name}.", "input", None)
    output: Any = item.get("output")
    content = output if isinstance(output, str) else [_part(part) for part in objs(output)]
    return {"role": "tool", "tool_call_id": name, "content": content}


def _message(item: dict[str, Any], index: int) -> dict[str, Any]:
    role = item.get("role")
    if role not in ROLES[:4]:
        where = f"input[{index}].role"
        raise _wrong(f"Invalid value: {role!r}.", where, "invalid_value")
    content: Any = item.get("content")
    if not isinstance(content, str):
        content = [_part(part) for part in objs(content)]
    return {"role": role, "content": content}


def _part(part: dict[str, Any]) -> dict[str, Any]:
    kind = _PARTS.get(str(part.get("type")))
    if kind is None:
        return part
    bare = {name: value for name, value in part.items() if name in ("text", "prompt_cache_breakpoint")}
    return {"type": kind, **bare}


def _wrong(message: str, param: str, code: str | None) -> Refusal:
    return Refusal(400, message, param=param, code=code)
