"""OpenAI's chat format: for OpenAI, and for every server that speaks it through ``api_base``."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, final

import msgspec

from asynccache.errors import InvalidResponseError, UnsupportedParamsError
from asynccache.providers.access import caller_headers, find_base, find_key, is_on
from asynccache.providers.base import CacheRules, HttpCall, asks_for_nothing, json_body
from asynccache.providers.openai_decode import ChatDecoder
from asynccache.providers.statuses import error_from_body
from asynccache.request import path_text
from asynccache.shapes import is_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from asynccache.errors import APIStatusError
    from asynccache.events import Event
    from asynccache.request import Mark, Path, Request
    from asynccache.stream import Head, Machine

__all__ = ["ChatProfile", "OpenAIChat", "chat_tool", "provider", "write_tool_choice"]

# What POST /chat/completions takes; openai-python 3.54.0, types/chat/completion_create_params.py.
_PARAMS = frozenset(
    [
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "metadata",
        "modalities",
        "moderation",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream_options",
        "temperature",
        "tool_choice",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    ]
)
_CACHE_PARAMS = frozenset({"prompt_cache_key", "prompt_cache_retention", "prompt_cache_options"})
_BREAKPOINT = "prompt_cache_breakpoint"

# facts/wire.md §2.2: explicit breakpoints exist from GPT-5.6 on.
_WITH_BREAKPOINTS = re.compile(r"gpt-(?:5\.(?:[6-9]|\d\d)|[6-9]|\d\d)(?:[.\-:]|$)")
# Reasoning models refuse max_tokens: they want max_completion_tokens.
_REASONING = re.compile(r"(?:o\d|gpt-(?:5|[6-9]|\d\d))(?:[.\-:]|$)")
# facts/wire.md §2.1: GPT-6 and the o series refuse to be told how to sample.
_WITHOUT_SAMPLING = re.compile(r"(?:o\d|gpt-(?:[6-9]|\d\d))(?:[.\-:]|$)")
_SAMPLING = ("temperature", "top_p", "presence_penalty", "frequency_penalty")

_OLD_MODEL = CacheRules(
    style="none",
    reason="OpenAI caches this model's prompts by itself; breakpoints exist from gpt-5.6 on",
    params=_CACHE_PARAMS | {_BREAKPOINT},
)
_CUSTOM_BASE = CacheRules(
    style="none",
    reason="marks are stripped for a custom api_base; keep_cache_control=True sends them as written",
    params=_CACHE_PARAMS | {_BREAKPOINT},
)
_BREAKPOINTS = CacheRules(
    style="parts",
    ttls=frozenset({"30m", "12h"}),
    tools=False,
    automatic="native",  # the implicit breakpoint at the end of the latest message; facts/wire.md §2.2
    ordered_ttls=False,
    params=_CACHE_PARAMS | {_BREAKPOINT},
)

# What an answer, the model's or a tool's, may hold beyond OpenAI's format: only other providers take it back.
_ANSWERS = frozenset({"assistant", "tool"})
_NOT_SENT = frozenset({"reasoning_content", "thinking_blocks", "provider_blocks", "citations", "is_error"})


@final
class ChatProfile(msgspec.Struct, frozen=True, kw_only=True):
    """How one server that speaks OpenAI's chat format differs from the others: a row of a table."""

    name: str
    base: str
    """Its address, to which ``/chat/completions`` is added."""
    base_variables: tuple[str, ...]
    key_variables: tuple[str, ...]
    official: tuple[str, ...] = ()
    """Hosts of its own: there unknown parameters are refused and only ``[DONE]`` ends a stream."""
    dialect: str = "openai"
    """Its row of ``usage/fields.py``."""
    needs_done: bool = False
    """Whether its own servers always end a stream with ``[DONE]``."""
    params: frozenset[str] | None = None
    """The parameters that its own servers take; None is all."""
    cache_rules: Callable[[Request, ChatProfile], CacheRules]
    replays_reasoning: bool = False
    """Whether it takes ``reasoning_content`` back."""
    adapt: Callable[[dict[str, Any], Request], None] | None = None
    """Changes the body in place, last of all."""


@final
class OpenAIChat(msgspec.Struct, frozen=True):
    """A provider that speaks OpenAI's chat format, as its profile has it."""

    profile: ChatProfile

    @property
    def name(self) -> str:
        """The name before the slash."""
        return self.profile.name

    def base(self, request: Request) -> str:
        """The address asked, without a slash at its end."""
        return find_base(request, self.profile.base_variables, self.profile.base)

    def is_official(self, base: str) -> bool:
        """Whether *base* is on a host of the provider's own."""
        return is_on(base, self.profile.official)

    def cache_rules(self, request: Request) -> CacheRules:
        """The rules of the model that *request* names."""
        return self.profile.cache_rules(request, self.profile)

    def check(self, request: Request) -> Request:
        """*request* without the parameters that ``drop_params`` lets go.

        Raises:
            UnsupportedParamsError: a parameter that the provider does not have.
            MissingAPIKeyError: there is no key.
        """
        base = self.base(request)
        find_key(request, self.profile.key_variables, base)
        known = self.profile.params
        if known is None or not self.is_official(base):
            return request
        unknown = [name for name in request.params if name not in known]
        if not unknown:
            return request
        wanted = [name for name in unknown if not asks_for_nothing(name, request.params[name])]
        if wanted and not request.drop_params:
            msg = (
                f"{self.name} has no parameter {', '.join(map(repr, wanted))}; drop_params=True leaves it out, "
                f"extra_body={{...}} sends it all the same"
            )
            raise UnsupportedParamsError(msg, provider=self.name, model=request.model)
        kept = {name: value for name, value in request.params.items() if name in known}
        return msgspec.structs.replace(request, params=kept)

    def encode(self, request: Request) -> HttpCall:
        """*request* as a POST to ``/chat/completions``, without its key."""
        body: dict[str, Any] = {"model": request.model_id, "messages": self._messages(request)}
        if request.tools is not None:
            body["tools"] = [chat_tool(tool) for tool in request.tools]
        body.update(request.params)
        write_tool_choice(body)
        if request.stream:
            body["stream"] = True
            body["stream_options"] = {**(request.params.get("stream_options") or {}), "include_usage": True}
        else:
            body.pop("stream_options", None)
        for mark in request.marks:
            if (
                not mark.path
            ):  # for the whole request: what OpenAI marks by itself; the caller's own word stands
                asked = {"mode": "implicit"} if mark.ttl is None else {"mode": "implicit", "ttl": mark.ttl}
                body["prompt_cache_options"] = {**asked, **(body.get("prompt_cache_options") or {})}
        if self.profile.adapt is not None:
            self.profile.adapt(body, request)
        if request.extra_body:
            body.update(request.extra_body)
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream" if request.stream else "application/json",
            **caller_headers(request),
        }
        return HttpCall(url=self.base(request) + "/chat/completions", headers=headers, body=json_body(body))

    async def authorize(self, call: HttpCall, request: Request) -> HttpCall:
        """*call* with the key as a bearer token."""
        key = find_key(request, self.profile.key_variables, call.url)
        headers = {"authorization": f"Bearer {key.reveal()}", **call.headers}  # the caller's own stands
        if self.name == "openai" and self.is_official(call.url):
            for header, variable in (
                ("openai-organization", "OPENAI_ORG_ID"),
                ("openai-project", "OPENAI_PROJECT_ID"),
            ):
                if value := os.environ.get(variable):
                    headers[header] = value
        return HttpCall(url=call.url, headers=headers, body=call.body)

    def decoder(self, request: Request, head: Head) -> Machine[bytes, Event]:
        """A machine for a stream or a whole body, as the content type says."""
        media = head.content_type
        if media in {"text/html", "application/xhtml+xml"}:
            msg = f"{self.name} answered with a page ({media}), not with a completion; is api_base right?"
            raise InvalidResponseError(msg)
        sse = media == "text/event-stream" or (request.stream and not media.endswith("json"))
        needs_done = sse and self.profile.needs_done and self.is_official(self.base(request))
        return ChatDecoder(
            sse=sse,
            dialect=self.profile.dialect,
            needs_done=needs_done,
            touch=head.touch,
            max_event=head.max_event,
        )

    def error(self, status: int, headers: Mapping[str, str], body: bytes) -> APIStatusError:
        """The error that an answer with *status* stands for."""
        return error_from_body(status, headers, body)

    def _messages(self, request: Request) -> Sequence[Any]:
        messages: list[Any] | None = None
        hidden = _NOT_SENT - {"reasoning_content"} if self.profile.replays_reasoning else _NOT_SENT
        for position, message in enumerate(request.messages):
            if message.get("role") in _ANSWERS and not hidden.isdisjoint(message):
                messages = messages or list(request.messages)
                messages[position] = {name: value for name, value in message.items() if name not in hidden}
        for mark in request.marks:
            if mark.path:
                messages = messages or list(request.messages)
                _write_mark(messages, mark)
        return request.messages if messages is None else messages


def _write_mark(messages: list[Any], mark: Mark) -> None:
    path: Path = mark.path
    breakpoint_: dict[str, str] = {"mode": "explicit"}
    if mark.ttl is not None:
        breakpoint_["ttl"] = mark.ttl
    if len(path) < 2 or path[0] != "messages" or not isinstance(path[1], int):
        msg = f"no breakpoint can stand at {path_text(path)}"
        raise ValueError(msg)
    message = messages[path[1]]
    content = message["content"]
    if isinstance(content, str):
        parts: list[Any] = [{"type": "text", "text": content, _BREAKPOINT: breakpoint_}]
    else:
        parts = list(content)
        part = path[3] if len(path) > 3 and isinstance(path[3], int) else len(parts) - 1
        parts[part] = {**parts[part], _BREAKPOINT: breakpoint_}
    messages[path[1]] = {**message, "content": parts}


def chat_tool(tool: Any) -> Any:
    """A tool in Anthropic's spelling as a function; any other as it is."""
    if is_object(tool) and "input_schema" in tool and "function" not in tool:
        function: dict[str, Any] = {"name": tool.get("name"), "parameters": tool["input_schema"]}
        function.update({name: tool[name] for name in ("description", "strict") if name in tool})
        return {"type": "function", "function": function}
    return tool


_CHOICES = {"auto": "auto", "any": "required", "none": "none"}


def write_tool_choice(body: dict[str, Any]) -> None:
    """Change a choice of a tool in Anthropic's spelling to OpenAI's; leave any other as it is."""
    choice = body.get("tool_choice")
    if not is_object(choice):
        return
    kind = choice.get("type")
    if choice.get("disable_parallel_tool_use") and body.get("tools"):
        body.setdefault("parallel_tool_calls", False)
    if kind == "tool":
        body["tool_choice"] = {"type": "function", "function": {"name": choice.get("name")}}
    elif isinstance(kind, str) and kind in _CHOICES:
        body["tool_choice"] = _CHOICES[kind]


def _openai_rules(request: Request, profile: ChatProfile) -> CacheRules:
    custom = request.reach.api_base
    if custom and not is_on(custom, profile.official):
        return _CUSTOM_BASE
    return _BREAKPOINTS if _WITH_BREAKPOINTS.match(request.model_id.removeprefix("ft:")) else _OLD_MODEL


def _adapt(body: dict[str, Any], request: Request) -> None:
    if request.drop_params and _WITHOUT_SAMPLING.match(request.model_id):
        for name in _SAMPLING:
            body.pop(name, None)
    if "max_tokens" in body and "max_completion_tokens" not in body and _REASONING.match(request.model_id):
        body["max_completion_tokens"] = body.pop("max_tokens")


provider = OpenAIChat(
    ChatProfile(
        name="openai",
        base="https://api.openai.com/v1",
        base_variables=("OPENAI_BASE_URL", "OPENAI_API_BASE"),
        key_variables=("OPENAI_API_KEY",),
        official=("openai.com",),
        needs_done=True,
        params=_PARAMS,
        cache_rules=_openai_rules,
        adapt=_adapt,
    )
)
