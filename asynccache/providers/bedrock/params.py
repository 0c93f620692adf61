"""OpenAI's parameters → the fields of a Converse request, and those that Converse has no word for.

What OpenAI's interface does not know is the model's own business and goes into `additionalModelRequestFields`,
unless it is a field of Converse itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from asynccache.errors import InvalidRequestError, UnsupportedParamsError
from asynccache.providers.anthropic.params import betas, body_params
from asynccache.providers.anthropic.rules import facts_of
from asynccache.providers.bedrock.converse import conversation, takes_tool_choice, tool_config
from asynccache.shapes import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from asynccache.providers.bedrock.content import Block
    from asynccache.providers.bedrock.models import BedrockModel
    from asynccache.request import Request

__all__ = ["check_params", "converse_body"]

# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
_OWN_FIELDS = frozenset(
    [
        "additionalModelResponseFieldPaths",
        "guardrailConfig",
        "inferenceConfig",
        "outputConfig",
        "performanceConfig",
        "promptVariables",
        "requestMetadata",
        "serviceTier",
    ]
)
_INFERENCE = {
    "max_tokens": "maxTokens",
    "max_completion_tokens": "maxTokens",
    "temperature": "temperature",
    "top_p": "topP",
}
# Read at other places, or of no meaning here: usage always comes, and caching has its own stage.
_ELSEWHERE = frozenset(
    [
        "additionalModelRequestFields",
        "metadata",
        "parallel_tool_calls",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "service_tier",
        "stop",
        "stream",
        "stream_options",
        "tool_choice",
        "user",
    ]
)
# Parameters of OpenAI's that no field of Converse says, with the value that asks for nothing.
_NOT_HERE: dict[str, Any] = {
    "audio": None,
    "frequency_penalty": 0,
    "function_call": None,
    "functions": None,
    "logit_bias": {},
    "logprobs": False,
    "modalities": ["text"],
    "moderation": None,
    "n": 1,
    "prediction": None,
    "presence_penalty": 0,
    "safety_identifier": None,
    "seed": None,
    "store": False,
    "top_logprobs": 0,
    "verbosity": None,
    "web_search_options": None,
}
_KNOWN = _OWN_FIELDS | _ELSEWHERE | _INFERENCE.keys() | _NOT_HERE.keys()
_SAMPLING = frozenset({"temperature", "top_k", "top_p"})
_SERVICE_TIERS = {
    "auto": None,
    "default": "default",
    "flex": "flex",
    "priority": "priority",
    "reserved": "reserved",
}


def check_params(request: Request, model: BedrockModel) -> Request:
    """*request* without what `drop_params` lets go, and without what asks for nothing.

    Raises:
        UnsupportedParamsError: a parameter that Converse cannot say for the model.
    """
    params = request.params
    idle = {name for name, value in params.items() if name in _NOT_HERE and value in (None, _NOT_HERE[name])}
    refused = [name for name in params if name not in idle and _is_refused(name, params[name], model)]
    if refused and not request.drop_params:
        names = ", ".join(map(repr, refused))
        msg = (
            f"Converse cannot say {names} for {model.id}; drop_params=True leaves it out, "
            "additionalModelRequestFields={...} sends a field of the model's own"
        )
        raise UnsupportedParamsError(msg, provider="bedrock", model=request.model)
    gone = idle.union(refused)
    if not gone:
        return request
    kept = {name: value for name, value in params.items() if name not in gone}
    return msgspec.structs.replace(request, params=kept)


def _is_refused(name: str, value: Any, model: BedrockModel) -> bool:
    if name in _NOT_HERE:
        return True
    if name == "tool_choice":
        return not takes_tool_choice(model, value)
    if name in _SAMPLING:
        return model.is_claude and not facts_of(model.name).sampling and bool(value != 1)
    if name == "parallel_tool_calls":
        return not value and not model.is_claude
    if name == "reasoning_effort":
        return bool(value != "none") and _effort_of(model) is None
    if name == "response_format":
        return bool(_format_type(value) == "json_object")
    return name == "service_tier" and (not isinstance(value, str) or value not in _SERVICE_TIERS)


def converse_body(request: Request, model: BedrockModel) -> Block:
    """The body of a Converse request; the fields' order never changes, so that equal requests are equal bytes.

    Raises:
        InvalidRequestError: a message, a tool or a parameter that Converse cannot say.
    """
    system, messages = conversation(request, model)
    params = request.params
    body: Block = {"messages": messages}
    if system:
        body["system"] = system
    if inference := _inference(params):
        body["inferenceConfig"] = inference
    tools = tool_config(request, model, messages)
    if tools is not None:
        body["toolConfig"] = tools
    extra = _model_fields(request, model, has_tools=tools is not None)
    if extra:
        body["additionalModelRequestFields"] = extra
    if output := _output_config(params):
        body["outputConfig"] = output
    tier = _SERVICE_TIERS.get(str(params.get("service_tier")))
    if tier is not None:
        body["serviceTier"] = {"type": tier}
    if metadata := _metadata(params):
        body["requestMetadata"] = metadata
    for name in params:
        if name in _OWN_FIELDS:
            told, given = body.get(name), params[name]
            body[name] = {**told, **given} if is_object(told) and is_object(given) else given
    body.update(request.extra_body)
    return body


def _inference(params: Any) -> Block:
    inference: Block = {
        field: params[name] for name, field in _INFERENCE.items() if params.get(name) is not None
    }
    most = inference.get("maxTokens", 1)
    if type(most) is not int or most < 1:
        raise InvalidRequestError(
            f"max_tokens={most!r} is not a whole number of tokens from 1 up", provider="bedrock"
        )
    stop = params.get("stop")
    if stop:
        inference["stopSequences"] = list(stop) if is_array(stop) else [stop]
    return inference


def _metadata(params: Any) -> dict[str, str]:
    """OpenAI's `metadata` and `user`, as tags that Bedrock's own logs keep."""
    told = params.get("metadata")
    metadata = {str(name): str(value) for name, value in told.items()} if is_object(told) else {}
    if params.get("user") is not None:
        metadata.setdefault("user", str(params["user"]))
    return metadata


def _format_type(value: Any) -> Any:
    return value.get("type") if is_object(value) else None


def _output_config(params: Any) -> Block | None:
    wanted = params.get("response_format")
    if wanted is None or _format_type(wanted) in {"text", "json_object"}:
        return None
    schema = wanted.get("json_schema") if is_object(wanted) else None
    if not is_object(schema) or not is_object(schema.get("schema")):
        msg = (
            f"response_format is {wanted!r:.120}; it is {{'type': 'json_schema', 'json_schema': "
            "{'name': …, 'schema': {…}}}"
        )
        raise InvalidRequestError(msg, provider="bedrock")
    told = {"schema": msgspec.json.encode(schema["schema"]).decode()}  # Converse wants the schema as a string
    told |= {name: schema[name] for name in ("name", "description") if schema.get(name)}
    return {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": told}}}


def _model_fields(request: Request, model: BedrockModel, *, has_tools: bool) -> Block:
    """What goes to the model past Converse."""
    params = request.params
    fields: Block = {}
    say_effort = _effort_of(model)
    if params.get("reasoning_effort") is not None and say_effort is not None:
        fields |= say_effort(request, model)
    choice = params.get("tool_choice")
    alone = params.get("parallel_tool_calls") is False or (
        is_object(choice) and bool(choice.get("disable_parallel_tool_use"))
    )
    if has_tools and model.is_claude and alone:
        fields["tool_choice"] = {
            **_claude_choice(choice),
            "disable_parallel_tool_use": True,
        }
    own = {name: value for name, value in params.items() if name not in _KNOWN}
    hidden = not model.vendor  # behind an ARN: who asks for Anthropic's features knows that it is a Claude
    if (model.is_claude or hidden) and (features := betas(request)):
        own.pop("betas", None)
        own["anthropic_beta"] = features
    if model.vendor == "amazon" and "top_k" in own:
        own["inferenceConfig"] = {"topK": own.pop("top_k")}  # where Nova reads it
    told = params.get("additionalModelRequestFields")
    return fields | own | (dict(told) if is_object(told) else {})


def _claude_choice(choice: Any) -> Block:
    if choice in ("required", "any"):
        return {"type": "any"}
    function = choice.get("function") if is_object(choice) else None
    if is_object(function):
        return {"type": "tool", "name": function.get("name")}
    if is_object(choice) and choice.get("type") in {"any", "tool"}:
        return {name: value for name, value in choice.items() if name in {"type", "name"}}
    return {"type": "auto"}


def _effort_of(model: BedrockModel) -> Callable[[Request, BedrockModel], Block] | None:
    """How the model is told how much to think; None where it does not think, or not on request."""
    if model.is_claude:
        facts = facts_of(model.name)
        return None if facts.thinking == "none" else _claude_effort
    if model.vendor == "openai":
        return _gpt_effort
    if model.vendor == "amazon" and model.name.startswith("nova-2"):
        return _nova_effort
    return None


def _gpt_effort(request: Request, _model: BedrockModel) -> Block:
    return {"reasoning_effort": request.params["reasoning_effort"]}


def _nova_effort(request: Request, _model: BedrockModel) -> Block:
    effort = str(request.params["reasoning_effort"])
    if effort == "none":
        return {"reasoningConfig": {"type": "disabled"}}
    level = {"minimal": "low", "xhigh": "high", "max": "high"}.get(effort, effort)
    return {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": level}}


def _claude_effort(request: Request, model: BedrockModel) -> Block:
    """As Anthropic's own API is told it."""
    names = ("reasoning_effort", "max_tokens", "max_completion_tokens", "thinking", "output_config")
    params = {name: request.params[name] for name in names if name in request.params}
    fields = body_params(msgspec.structs.replace(request, params=params, tools=None), facts_of(model.name))
    return {name: fields[name] for name in ("thinking", "output_config") if name in fields}
