"""A request in OpenAI's terms → the body of InvokeModel, which is the model's own: a function for each family.

Claude's body is Anthropic's, with the version inside and neither model nor stream; Nova's is Converse's with
the checkpoint inside the block that it follows; the rest speak OpenAI's format or take one text as a prompt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from asynccache.errors import UnsupportedParamsError
from asynccache.providers.anthropic.encode import encode_body
from asynccache.providers.anthropic.params import betas
from asynccache.providers.anthropic.params import check_params as claude_params
from asynccache.providers.bedrock.params import check_params, converse_body
from asynccache.providers.bedrock.prompts import PROMPTS, cohere_chat, turn_of
from asynccache.providers.openai import chat_tool, write_tool_choice
from asynccache.shapes import is_array, is_object

if TYPE_CHECKING:
    from asynccache.providers.bedrock.content import Block
    from asynccache.providers.bedrock.families import Family
    from asynccache.providers.bedrock.models import BedrockModel
    from asynccache.request import Request

__all__ = ["check_invoke", "invoke_body", "invoke_headers"]

_CLAUDE_VERSION = "bedrock-2023-05-31"  # newer ones are refused by models before 4.7

# What InvokeModel takes as headers, for every family: the parameter, the field in it, the header.
# https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html
_HEADERS: tuple[tuple[str, str | None, str], ...] = (
    ("guardrailConfig", "guardrailIdentifier", "x-amzn-bedrock-guardrailidentifier"),
    ("guardrailConfig", "guardrailVersion", "x-amzn-bedrock-guardrailversion"),
    ("guardrailConfig", "trace", "x-amzn-bedrock-trace"),
    ("performanceConfig", "latency", "x-amzn-bedrock-performanceconfig-latency"),
    ("requestMetadata", None, "x-amzn-bedrock-request-metadata"),
    ("service_tier", None, "x-amzn-bedrock-service-tier"),
)
_HEADER_PARAMS = frozenset(name for name, _, _ in _HEADERS)
_TRACES = {"enabled": "ENABLED", "disabled": "DISABLED", "enabled_full": "ENABLED_FULL"}

# What the families that take a prompt call OpenAI's parameters; dots lead into an inner object.
_COHERE_PARAMS = {
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "p",
    "top_k": "k",
    "stop": "stop_sequences",
}
_PROMPT_PARAMS: dict[str, dict[str, str]] = {
    "cohere": {**_COHERE_PARAMS, "seed": "seed"},
    "command": _COHERE_PARAMS,
    "deepseek": {
        "max_tokens": "max_tokens",
        "max_completion_tokens": "max_tokens",
        "temperature": "temperature",
        "top_p": "top_p",
        "stop": "stop",
    },
    "jurassic": {
        "max_tokens": "maxTokens",
        "max_completion_tokens": "maxTokens",
        "temperature": "temperature",
        "top_p": "topP",
        "stop": "stopSequences",
    },
    "llama": {
        "max_tokens": "max_gen_len",
        "max_completion_tokens": "max_gen_len",
        "temperature": "temperature",
        "top_p": "top_p",
    },
    "mistral": {
        "max_tokens": "max_tokens",
        "max_completion_tokens": "max_tokens",
        "temperature": "temperature",
        "top_p": "top_p",
        "top_k": "top_k",
        "stop": "stop",
    },
    "titan": {
        "max_tokens": "textGenerationConfig.maxTokenCount",
        "max_completion_tokens": "textGenerationConfig.maxTokenCount",
        "temperature": "textGenerationConfig.temperature",
        "top_p": "textGenerationConfig.topP",
        "stop": "textGenerationConfig.stopSequences",
    },
}
_IDLE = frozenset({"stream", "stream_options", "user", "metadata"})

# What a message may hold beyond OpenAI's format: facts of a reply of ours that only other providers take back.
_NOT_SENT = frozenset(
    {"reasoning_content", "thinking_blocks", "provider_blocks", "citations", "cache_control"}
)


def check_invoke(request: Request, model: BedrockModel, family: Family) -> Request:
    """*request* without the parameters that `drop_params` lets go.

    Raises:
        UnsupportedParamsError: a parameter that the family has no word for.
    """
    if family == "nova":
        return check_params(request, model)
    if family == "claude":
        return _check_claude(request)
    known = _PROMPT_PARAMS.get(_prompt_family(family))
    if known is None:
        return request
    unknown = [name for name in request.params if name not in known.keys() | _IDLE | _HEADER_PARAMS]
    if request.tools:
        unknown.append("tools")
    if not unknown:
        return request
    if not request.drop_params:
        names = ", ".join(map(repr, unknown))
        msg = f"{model.id} takes no {names} over InvokeModel; ask it as bedrock/converse/…, or pass drop_params=True"
        raise UnsupportedParamsError(msg, provider="bedrock", model=request.model)
    params = {
        name: value for name, value in request.params.items() if name in known or name in _HEADER_PARAMS
    }
    return msgspec.structs.replace(request, params=params, tools=None)


def _check_claude(request: Request) -> Request:
    """Anthropic's own check, without what goes into headers here."""
    headed = {name: value for name, value in request.params.items() if name in _HEADER_PARAMS}
    if not headed:
        return claude_params(request)
    rest = {name: value for name, value in request.params.items() if name not in _HEADER_PARAMS}
    checked = claude_params(msgspec.structs.replace(request, params=rest))
    return msgspec.structs.replace(checked, params={**checked.params, **headed})


def invoke_headers(request: Request) -> dict[str, str]:
    """What InvokeModel takes beside the body."""
    headers: dict[str, str] = {}
    for name, field, header in _HEADERS:
        told = request.params.get(name)
        value = told.get(field) if field is not None and is_object(told) else told
        if value is None or value == "auto":
            continue
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        headers[header] = _TRACES.get(text, text) if field == "trace" else text
    return headers


def invoke_body(request: Request, model: BedrockModel, family: Family) -> Block:
    """The body of an InvokeModel request.

    Raises:
        InvalidRequestError: a message that the family cannot say.
    """
    request = msgspec.structs.replace(
        request, params={name: value for name, value in request.params.items() if name not in _HEADER_PARAMS}
    )
    if family == "claude":
        return _claude(request)
    if family == "nova":
        return _nova(request, model)
    if family == "openai":
        return _chat(request, model)
    turns = [turn_of(message, index) for index, message in enumerate(request.messages)]
    body: Block
    if family == "cohere":
        body = cohere_chat(turns)
    else:
        body = {"inputText" if family == "titan" else "prompt": PROMPTS[family](turns)}
    if family == "command" and request.stream:
        body["stream"] = True
    for name, place in _PROMPT_PARAMS[_prompt_family(family)].items():
        value = request.params.get(name)
        if value is not None:
            outer, dot, inner = place.rpartition(".")
            holder: Block = body.setdefault(outer, {}) if dot else body
            holder[inner] = [value] if name == "stop" and not is_array(value) else value
    body.update(request.extra_body)
    return body


def _claude(request: Request) -> Block:
    body: Block = {"anthropic_version": _CLAUDE_VERSION, **encode_body(request)}
    if features := betas(request):
        body["anthropic_beta"] = features
    body.update(request.extra_body)
    return body


def _nova(request: Request, model: BedrockModel) -> Block:
    told = converse_body(request, model)
    body: Block = {"schemaVersion": "messages-v1"}
    for name in ("system", "messages", "toolConfig", "inferenceConfig"):
        if name in told:
            body[name] = told.pop(name)
    if "system" in body:
        body["system"] = _checkpoints_inside(body["system"])
    body["messages"] = [
        {**message, "content": _checkpoints_inside(message["content"])} for message in body["messages"]
    ]
    extra = told.pop("additionalModelRequestFields", {})
    inference = {**body.get("inferenceConfig", {}), **extra.pop("inferenceConfig", {}), **extra}
    if inference:
        body["inferenceConfig"] = inference
    return body | {
        name: value for name, value in told.items() if name not in {"requestMetadata", "serviceTier"}
    }


def _checkpoints_inside(blocks: list[Block]) -> list[Block]:
    """Nova's own API has the checkpoint as a field of the block before it."""
    made: list[Block] = []
    for block in blocks:
        if "cachePoint" in block and len(block) == 1 and made:
            made[-1] = {**made[-1], **block}
        else:
            made.append(block)
    return made


def _chat(request: Request, model: BedrockModel) -> Block:
    messages = [
        {name: value for name, value in message.items() if name not in _NOT_SENT}
        for message in request.messages
    ]
    body: Block = {"model": model.id, "messages": messages}
    if request.tools:
        body["tools"] = [chat_tool(tool) for tool in request.tools]
    body.update({name: value for name, value in request.params.items() if name != "stream_options"})
    write_tool_choice(body)
    body.update(request.extra_body)
    return body


def _prompt_family(family: str) -> str:
    return family.rstrip("0123456789")
