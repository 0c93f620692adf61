"""OpenAI's chat completions, the request: what is refused, what its cache sees, what the model is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from .chat_prompt import chat_blocks, check_chat, last_user_text
from .loose import obj, objs
from .prompt import Block, Prompt
from .question import Question, Tool
from .rules import OPENAI_TTL, RETENTION, openai_rule, openai_version
from .wire import Asked, Refusal

if TYPE_CHECKING:
    from .wire import Arrival

# [oai] guides/prompt-caching: a change of any of these misses
_SETTINGS = ("service_tier", "parallel_tool_calls", "response_format", "reasoning_effort", "verbosity")
_SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty")


def reasons(model: str) -> bool:
    """Whether the model thinks before it answers."""
    return model.startswith(("o1", "o3", "o4")) or openai_version(model) >= (5, 0)


def read_openai(arrival: Arrival) -> Asked:
    """The request understood, or refused as OpenAI refuses it."""
    body = arrival.body
    check_chat(body)
    model = body["model"]
    check_parameters(body, model, ttls=("30m",))
    return Asked(
        model=model,
        prompt=openai_prompt(body, arrival.owner),
        rule=openai_rule(model),
        question=question(body, thinks=_thinks(body, model)),
        stream=body.get("stream") is True,
    )


def openai_prompt(body: dict[str, Any], owner: str) -> Prompt:
    """What OpenAI's cache sees of this body."""
    model = body["model"]
    if openai_version(model) < (5, 6):
        blocks = chat_blocks(body, settings=("response_format",))
        lifetime = RETENTION.get(str(body.get("prompt_cache_retention")))
        if lifetime is not None:
            blocks[0] = msgspec.structs.replace(blocks[0], lifetime=lifetime)
        return Prompt(model=model, scope=owner, blocks=tuple(blocks))

    # [oai] a changed prompt_cache_key is counted as a miss, so it parts the entries
    scope = f"{owner}/{body.get('prompt_cache_key') or ''}"
    return Prompt(model=model, scope=scope, blocks=tuple(_breakpoints(body)))


def _breakpoints(body: dict[str, Any]) -> list[Block]:
    """Explicit breakpoints on parts, and the implicit one at the end of the latest eligible message."""
    options = obj(body.get("prompt_cache_options"))
    standard = OPENAI_TTL[options.get("ttl") or "30m"]

    def lifetime(part: dict[str, Any]) -> int | None:
        mark = part.get("prompt_cache_breakpoint")
        return OPENAI_TTL[mark["ttl"]] if mark and mark.get("ttl") else standard if mark else None

    blocks = chat_blocks(body, settings=_SETTINGS, lifetime=lifetime)
    if options.get("mode") == "explicit":
        return [msgspec.structs.replace(block, ends_message=False) for block in blocks]
    for index in range(len(blocks) - 1, -1, -1):
        if blocks[index].ends_message:
            if blocks[index].lifetime is None:
                blocks[index] = msgspec.structs.replace(blocks[index], lifetime=standard)
            break
    return blocks


def question(body: dict[str, Any], *, thinks: bool) -> Question:
    """What an OpenAI-shaped body asks the model."""
    choice = body.get("tool_choice")
    forced: str | None = obj(obj(choice).get("function")).get("name")
    stop: Any = body.get("stop")
    return Question(
        text=last_user_text(body["messages"]),
        tools=tuple(
            Tool(function["name"], function.get("parameters") or {})
            for function in (obj(tool.get("function")) for tool in objs(body.get("tools")))
            if function.get("name")
        ),
        must_call=forced or ("*" if choice == "required" else None),
        may_call=choice != "none",
        parallel=body.get("parallel_tool_calls") is not False,
        answers_tools=body["messages"][-1]["role"] in ("tool", "function"),
        max_tokens=body.get("max_completion_tokens") or body.get("max_tokens"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
        thinks=thinks,
        schema=_schema(body.get("response_format")),
    )


def _schema(wanted: dict[str, Any] | None) -> dict[str, Any] | None:
    kind = obj(wanted).get("type")
    if kind in (None, "text"):
        return None
    found = obj(obj(obj(wanted).get("json_schema")).get("schema"))
    return found or {"type": "object", "properties": {"answer": {"type": "string"}}}


def _thinks(body: dict[str, Any], model: str) -> bool:
    return reasons(model) and body.get("reasoning_effort") not in ("none", "minimal")


def check_parameters(body: dict[str, Any], model: str, *, ttls: tuple[str, ...]) -> None:
    """Refuses what this model does not take; *ttls* are the lifetimes that a request may ask for as a whole."""
    if reasons(model) and body.get("max_tokens") is not None:
        raise Refusal(
            400,
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            param="max_tokens",
            code="unsupported_parameter",
        )
    if body.get("stream_options") is not None and body.get("stream") is not True:
        raise Refusal(
            400,
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            param="stream_options",
        )
    if openai_version(model) >= (6, 0):
        for name in _SAMPLING:
            if body.get(name) is not None:
                raise Refusal(
                    400,
                    f"Unsupported parameter: '{name}' is not supported with this model.",
                    param=name,
                    code="unsupported_parameter",
                )
        if body.get("reasoning_effort") == "none":
            raise Refusal(
                400,
                "Unsupported value: 'reasoning_effort' does not support 'none' with this model.",
                param="reasoning_effort",
                code="unsupported_value",
            )
    _check_cache(body, model, ttls)


def _check_cache(body: dict[str, Any], model: str, ttls: tuple[str, ...]) -> None:
    options = body.get("prompt_cache_options")
    if options is not None and openai_version(model) < (5, 6):
        raise Refusal(
            400,
            "Unsupported parameter: 'prompt_cache_options' is not supported with this model.",
            param="prompt_cache_options",
            code="unsupported_parameter",
        )
    for name, known in (("mode", ("implicit", "explicit")), ("ttl", ttls)):
        value = obj(options).get(name)
        if value is not None and value not in known:
            where = f"prompt_cache_options.{name}"
            raise Refusal(
                400,
                f"Invalid value: {value!r}. Supported values are: {known}.",
                param=where,
                code="invalid_value",
            )
    if len(str(body.get("prompt_cache_key") or "")) > 64:
        raise Refusal(
            400,
            "Invalid 'prompt_cache_key': string too long. Expected a string with maximum length 64.",
            param="prompt_cache_key",
            code="string_above_max_length",
        )
    for index, message in enumerate(body["messages"]):
        for part in objs(message.get("content")):
            mark = part.get("prompt_cache_breakpoint")
            if mark is not None and (
                mark.get("mode") != "explicit" or mark.get("ttl", "30m") not in OPENAI_TTL
            ):
                where = f"messages[{index}].content.prompt_cache_breakpoint"
                raise Refusal(400, f"Invalid value: {mark!r}.", param=where, code="invalid_value")
