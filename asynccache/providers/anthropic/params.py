"""OpenAI's parameters in Anthropic's words, and those that Anthropic does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from asynccache.errors import InvalidRequestError, UnsupportedParamsError
from asynccache.providers.anthropic.rules import ModelFacts, facts_of
from asynccache.providers.anthropic.tools import tool_choice
from asynccache.providers.base import asks_for_nothing
from asynccache.shapes import is_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asynccache.request import Request

__all__ = ["betas", "body_params", "check_params"]

# Anthropic's own; anthropic-python 2.12.0, types/message_create_params.py and types/beta/.
_OWN = frozenset(
    [
        "billing_policy",
        "compaction",
        "container",
        "context_management",
        "diagnostics",
        "fallback_credit_token",
        "fallbacks",
        "inference_geo",
        "mcp_servers",
        "speed",
        "stop_sequences",
        "temperature",
        "thread",
        "top_k",
        "top_p",
    ]
)
# Those of OpenAI's that have a counterpart, or none that is needed: usage always comes.
_TRANSLATED = frozenset(
    [
        "betas",
        "max_completion_tokens",
        "max_tokens",
        "metadata",
        "output_config",
        "parallel_tool_calls",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "service_tier",
        "stop",
        "stream_options",
        "thinking",
        "tool_choice",
        "user",
    ]
)
_SAMPLING = {"temperature": 1, "top_p": 1, "top_k": None}
_SERVICE_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}
_EFFORTS = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
# Tokens of thinking for models that are told a number; at least 1024, platform.claude.com/docs, extended thinking.
_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16_384, "xhigh": 24_576, "max": 31_999}
_LEAST_BUDGET = 1024
_REMEDIES = {
    "system": "write it as the first of messages, with role 'system'",
    "functions": "use tools=",
    "function_call": "use tool_choice=",
    "web_search_options": "use a tool of type 'web_search_20250305'",
    "response_format": "use {'type': 'json_schema', 'json_schema': {'schema': ...}}",
    "metadata": "its one field is 'user_id'",
}


def check_params(request: Request) -> Request:
    """*request* without the parameters that ask for nothing, and without those that ``drop_params`` lets go.

    Raises:
        UnsupportedParamsError: a parameter that Anthropic does not have, or a value of it.
    """
    facts = facts_of(request.model_id)
    refused: list[str] = []
    kept: dict[str, Any] = {}
    for name, value in request.params.items():
        if not _is_refused(name, value, facts):
            kept[name] = value
        elif not asks_for_nothing(name, value):
            refused.append(name)
    if refused and not request.drop_params:
        remedies = ((name, _remedy(name, request.params[name])) for name in refused)
        hints = [f"; {name}: {remedy}" for name, remedy in remedies if remedy]
        asked = ", ".join(f"{name}={request.params[name]!r:.60}" for name in refused)
        msg = (
            f"{request.provider} cannot take {asked} for {request.model_id!r}{''.join(hints)}; drop_params=True leaves "
            "it out, extra_body={...} sends a field as it is"
        )
        raise UnsupportedParamsError(msg, provider=request.provider, model=request.model)
    if len(kept) == len(request.params):
        return request
    return msgspec.structs.replace(request, params=kept)


def _remedy(name: str, value: Any) -> str | None:
    if name == "reasoning_effort":
        return "the least that the model does is 'low'" if value == "none" else "the model does not reason"
    return _REMEDIES.get(name)


def _is_refused(name: str, value: Any, facts: ModelFacts) -> bool:
    if name in _SAMPLING:
        return not facts.sampling and value != _SAMPLING[name]
    if name == "reasoning_effort":
        if value == "none":
            return facts.no_thinking is None
        return facts.thinking == "none"
    if name == "response_format":
        return is_object(value) and value.get("type") == "json_object"
    if name == "metadata":
        return not (is_object(value) and value.keys() <= {"user_id"})
    if name == "service_tier":
        return not isinstance(value, str) or value not in _SERVICE_TIERS
    return name not in _OWN and name not in _TRANSLATED


def betas(request: Request) -> list[str]:
    """The beta features asked for, by parameter or by header, each once."""
    given = request.params.get("betas") or ()
    header = request.extra_headers.get("anthropic-beta", "")
    if not (given or header):
        return []
    names = [*([given] if isinstance(given, str) else given), *header.split(",")]
    return list(dict.fromkeys(name.strip() for name in names if name.strip()))


def body_params(request: Request, facts: ModelFacts) -> dict[str, Any]:
    """The parameters as fields of the body; those of `check_params`, so that all of them are known.

    Raises:
        InvalidRequestError: a value that has no meaning.
    """
    params = request.params
    fields: dict[str, Any] = {"max_tokens": _max_tokens(params, facts)}
    fields.update({name: value for name, value in params.items() if name in _OWN})
    for write in _WRITERS:
        write(fields, params, facts)
    if request.tools:
        choice = tool_choice(params.get("tool_choice"), parallel=params.get("parallel_tool_calls"))
        if choice is not None:
            fields["tool_choice"] = choice
    return fields


def _max_tokens(params: Mapping[str, Any], facts: ModelFacts) -> int:
    for name in ("max_completion_tokens", "max_tokens"):
        value = params.get(name)
        if type(value) is int and value >= 0:
            return value
        if value is not None:
            msg = f"{name}={value!r} is not a whole number of tokens"
            raise InvalidRequestError(msg)
    return facts.max_tokens


def _write_stop(fields: dict[str, Any], params: Mapping[str, Any], _facts: ModelFacts) -> None:
    stop = params.get("stop")
    if stop:
        fields.setdefault("stop_sequences", [stop] if isinstance(stop, str) else stop)


def _write_user(fields: dict[str, Any], params: Mapping[str, Any], _facts: ModelFacts) -> None:
    user = params.get("user") or params.get("safety_identifier")
    metadata = params.get("metadata")
    if metadata:
        fields["metadata"] = metadata
    elif user:
        fields["metadata"] = {"user_id": user}


def _write_tier(fields: dict[str, Any], params: Mapping[str, Any], _facts: ModelFacts) -> None:
    tier = params.get("service_tier")
    if tier is not None:
        fields["service_tier"] = _SERVICE_TIERS[tier]


def _write_thinking(fields: dict[str, Any], params: Mapping[str, Any], facts: ModelFacts) -> None:
    """A caller's own ``thinking`` and ``output_config`` stand above what ``reasoning_effort`` comes to."""
    config = params.get("output_config")
    if config is not None:
        fields["output_config"] = config
    thinking = params.get("thinking")
    if thinking is not None:
        fields["thinking"] = thinking
    effort = params.get("reasoning_effort")
    if effort is None:
        return
    if effort == "none":
        if facts.no_thinking and thinking is None:
            fields["thinking"] = {"type": facts.no_thinking}
        return
    if effort not in _EFFORTS:
        msg = f"reasoning_effort={effort!r} is none of 'none', {', '.join(map(repr, _EFFORTS))}"
        raise InvalidRequestError(msg)
    if facts.thinking == "adaptive":
        fields["output_config"] = {"effort": _EFFORTS[effort], **(config or {})}
        fields.setdefault("thinking", {"type": "adaptive"})
    elif thinking is None:
        fields["thinking"] = {"type": "enabled", "budget_tokens": _budget(effort, fields["max_tokens"])}


def _budget(effort: str, max_tokens: int) -> int:
    """Tokens of thinking: they count toward ``max_tokens`` and must stay below it."""
    if max_tokens <= _LEAST_BUDGET:
        msg = (
            f"max_tokens={max_tokens} leaves no room for reasoning_effort={effort!r}: thinking takes "
            f"{_LEAST_BUDGET} tokens or more of it; give more, or leave reasoning_effort out"
        )
        raise InvalidRequestError(msg)
    return min(_BUDGETS[effort], max(_LEAST_BUDGET, max_tokens // 2))


def _write_format(fields: dict[str, Any], params: Mapping[str, Any], _facts: ModelFacts) -> None:
    wanted = params.get("response_format")
    if wanted is None:
        return
    kind = wanted.get("type") if is_object(wanted) else None
    if kind == "text":
        return
    holder = wanted.get("json_schema", wanted) if is_object(wanted) else None
    schema = holder.get("schema") if is_object(holder) else None
    if kind != "json_schema" or not is_object(schema):
        msg = (
            f"response_format={wanted!r:.80} is neither {{'type': 'text'}} nor "
            "{'type': 'json_schema', 'json_schema': {'name': ..., 'schema': {...}}}"
        )
        raise InvalidRequestError(msg)
    fields["output_config"] = {
        "format": {"type": "json_schema", "schema": schema},
        **(fields.get("output_config") or {}),
    }


_WRITERS: tuple[Callable[[dict[str, Any], Mapping[str, Any], ModelFacts], None], ...] = (
    _write_stop,
    _write_user,
    _write_tier,
    _write_thinking,
    _write_format,
)
