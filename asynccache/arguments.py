"""A caller's arguments, OpenAI's and LiteLLM's names alike, to a Request; bad ones are refused here."""

from __future__ import annotations

import difflib
import math
import time
from typing import TYPE_CHECKING, Any

from asynccache.errors import InvalidRequestError, UnknownProviderError
from asynccache.prompt import read_messages, read_tools
from asynccache.providers.registry import get, names
from asynccache.request import Access, Request, Timeout
from asynccache.secret import Secret
from asynccache.shapes import is_array, is_object, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asynccache.events import Recorder

__all__ = ["build_request", "full_model", "read_count", "read_timeout"]

_SECRET_OPTIONS = frozenset({"aws_access_key_id", "aws_secret_access_key", "aws_session_token"})
_OPTION_PREFIXES = ("aws_",)


def build_request(
    model: str,
    messages: Any,
    *,
    stream: bool,
    timeout: Timeout,
    max_retries: int,
    arguments: Mapping[str, Any],
    recorders: tuple[Recorder, ...] = (),
    call_id: str = "",
) -> Request:
    """The request that *arguments* ask for; an argument that is None counts as not given.

    Raises:
        InvalidRequestError: a value has the wrong shape; the message names its path.
        UnknownProviderError: there is no such provider, or no known model has that bare name.
    """
    params, routing, options = _sort(arguments)
    find = routing.get
    name = full_model(model, find("custom_llm_provider"))
    limits = read_timeout(find("timeout"), timeout)
    tools, retries = find("tools"), find("max_retries", find("num_retries"))
    headers, body = find("extra_headers") or find("headers"), find("extra_body")
    if params:
        _check_params(params)
    return Request(
        model=name,
        messages=read_messages(messages),
        params=params,
        stream=stream,
        tools=None if tools is None else read_tools(tools),
        cache_control=find("cache_control"),
        cache_control_injection_points=_points(find("cache_control_injection_points")),
        keep_cache_control=bool(find("keep_cache_control")),
        drop_params=bool(find("drop_params")),
        access=_access(name.partition("/")[0], routing, options),
        extra_headers={} if headers is None else _headers(headers),
        extra_body={} if body is None else _mapping("extra_body", body),
        timeout=limits,
        deadline=None if limits.total is None else time.monotonic() + limits.total,
        max_retries=max_retries if retries is None else read_count("max_retries", retries),
        recorders=recorders,
        call_id=call_id,
    )


_ROUTING = frozenset({
    "api_key", "api_base", "base_url", "max_retries", "num_retries", "extra_headers", "headers", "extra_body",
    "drop_params", "keep_cache_control", "cache_control", "cache_control_injection_points", "custom_llm_provider",
    "timeout", "tools",
})  # fmt: skip


def _sort(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """The arguments that are given: the model's parameters, what is for this library, and the provider's routing."""
    params: dict[str, Any] = {}
    routing: dict[str, Any] = {}
    options: dict[str, Any] = {}
    for name, value in arguments.items():
        if value is None:
            continue
        if name in _ROUTING:
            routing[name] = value
        elif name.startswith(_OPTION_PREFIXES):
            options[name] = value
        else:
            params[name] = value
    return params, routing, options


def full_model(given: Any, provider: str | None = None) -> str:
    """*given* as ``provider/model``.

    Raises:
        InvalidRequestError: it is no name.
        UnknownProviderError: no provider and no known model has that name; the message names the nearest.
    """
    model = given.strip() if isinstance(given, str) else ""
    if not model:
        msg = f"model={shown(given)} is no name; write 'provider/model', such as 'openai/gpt-5.6-sol'"
        raise InvalidRequestError(msg)
    if provider is not None:
        get(provider)
        return model if model.startswith(f"{provider}/") else f"{provider}/{model}"
    prefix, slash, rest = model.partition("/")
    if prefix in names() and slash:
        if rest:
            return model
        msg = f"model={model!r} names no model behind its provider; write '{prefix}/model'"
        raise InvalidRequestError(msg, provider=prefix)
    from asynccache.pricing.book import provider_of

    found = provider_of(model)
    if found is not None and found in names():
        return f"{found}/{model}"
    raise _unknown_provider(model, prefix, rest) if slash else _unknown_model(model)


def _unknown_provider(model: str, prefix: str, rest: str) -> UnknownProviderError:
    near = difflib.get_close_matches(prefix.lower(), names(), n=1, cutoff=0.7)
    hint = (
        f"did you mean '{near[0]}/{rest}'?"
        if near
        else f"a server that speaks OpenAI's format is asked as 'openai/{rest}' with api_base=."
    )
    msg = f"no provider named {prefix!r} (model={model!r}); {hint} Known: {', '.join(names())}"
    return UnknownProviderError(msg, provider=prefix, model=model)


def _unknown_model(model: str) -> UnknownProviderError:
    from asynccache.pricing.book import nearest

    owner, colon, rest = model.partition(":")
    if colon and owner in names():  # as other libraries write it
        return UnknownProviderError(f"no known model is named {model!r}; write '{owner}/{rest}'", model=model)
    close = [name for name in nearest(model, 9) if name.partition("/")[0] in names()][:3]
    told = f"; nearest: {', '.join(map(repr, close))}" if close else ""
    likely = close[0].partition("/")[0] if close else "openai"
    msg = f"no known model is named {model!r}{told}. Name the provider to send it all the same: '{likely}/{model}'"
    return UnknownProviderError(msg, model=model)


def _access(provider: str, routing: Mapping[str, Any], options: Mapping[str, Any]) -> Access:
    base = routing.get("api_base") or routing.get("base_url")
    if base is not None and not isinstance(base, str):
        base = str(base)
    return Access(
        provider=provider,
        api_key=_secret("api_key", routing.get("api_key")),
        api_base=base or None,
        options={
            name: (_secret(name, value) or Secret("")) if name in _SECRET_OPTIONS else _string(name, value)
            for name, value in options.items()
        }
        if options
        else {},
    )


def _secret(name: str, value: Any) -> Secret | None:
    if value is None or type(value) is Secret:
        return value
    if isinstance(value, str):
        return Secret(value.strip())
    msg = f"{name} is a {type(value).__name__}; a key is a string"
    raise InvalidRequestError(msg)


def _string(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    msg = f"{name}={shown(value)} is not a string"
    raise InvalidRequestError(msg)


def read_count(name: str, value: Any) -> int:
    """*value* itself.

    Raises:
        InvalidRequestError: it is no whole number from 0 up.
    """
    if type(value) is int and value >= 0:
        return value
    msg = f"{name}={shown(value)} is not a whole number from 0 up"
    raise InvalidRequestError(msg)


def _points(points: Any) -> Sequence[Any] | None:
    if points is None or is_array(points):
        return points
    msg = f"cache_control_injection_points is a {type(points).__name__}; it is a list of dicts with a 'location'"
    raise InvalidRequestError(msg)


def _mapping(name: str, value: Any) -> Mapping[str, Any]:
    if is_object(value):
        return value
    if isinstance(value, type) and hasattr(value, "model_json_schema"):
        schema = f"'schema': {value.__name__}.model_json_schema()"
        msg = f"{name} is a class; write {{'type': 'json_schema', 'json_schema': {{'name': {value.__name__!r}, {schema}}}}}"
        raise InvalidRequestError(msg)
    msg = f"{name}={shown(value)} is not a dict"
    raise InvalidRequestError(msg)


def _headers(headers: Any) -> Mapping[str, str]:
    for name, value in _mapping("extra_headers", headers).items():
        if not isinstance(value, str) or any(char in f"{name}{value}" for char in "\r\n\0"):
            msg = f"extra_headers[{name!r}] is not a string that a header can carry"
            raise InvalidRequestError(msg)
    return {str(name).lower(): value for name, value in headers.items()}


def read_timeout(given: Any, default: Timeout) -> Timeout:
    """Seconds for the whole call, or a `Timeout`; *default* where None is given.

    Raises:
        InvalidRequestError: it is neither, or one of its waits is no number above 0.
    """
    if given is None:
        return default
    if type(given) is not Timeout:
        if _is_wait(given):
            return Timeout(total=float(given))
        msg = f"timeout={shown(given)} is neither seconds above 0 nor a Timeout(connect=, first_event=, idle=, total=)"
        raise InvalidRequestError(msg)
    for name in given.__struct_fields__:
        wait = getattr(given, name)
        if wait is not None and not _is_wait(wait):
            msg = f"timeout: Timeout({name}={wait!r}) is not a number of seconds above 0; None is no limit"
            raise InvalidRequestError(msg)
    return given


def _is_wait(value: Any) -> bool:
    return type(value) in (int, float) and value > 0 and math.isfinite(value)


_OBJECTS = ("logit_bias", "metadata", "response_format", "stream_options")


# What LiteLLM reads and no provider does: left out in silence, it would change who answers, or how long that takes.
_LITELLM = {
    "caching": "answers are not kept; what a provider caches of a prompt needs no such argument",
    "context_window_fallback_dict": "a stage asks another model: examples/fallback.py",
    "input_cost_per_token": "prices of your own stand in Client(prices=...) or register_model()",
    "logger_fn": "asynccache.set_verbose = True shows requests, on_usage= is told what they used",
    "mock_response": "asynccache.testing has answers without a provider: simulator(), scripted()",
    "output_cost_per_token": "prices of your own stand in Client(prices=...) or register_model()",
    "request_timeout": "write timeout=",
    "retry_policy": "write max_retries=, or a stage in the place of `retry`",
    "stream_timeout": "write timeout=Timeout(first_event=..., idle=...)",
}


def _check_params(params: Mapping[str, Any]) -> None:
    """Refuse what no provider can read; what only some can is left to them."""
    for name, value in params.items():
        if name in _LITELLM:
            msg = f"{name}= is LiteLLM's; here {_LITELLM[name]}. extra_body={{...}} sends it all the same"
            raise InvalidRequestError(msg)
        if type(value) is float and not math.isfinite(value):
            msg = f"{name}={value} is not a number that JSON can say"
            raise InvalidRequestError(msg)
    for name in _OBJECTS:
        if name in params:
            _mapping(name, params[name])
    stop = params.get("stop")
    if stop is not None and not (
        isinstance(stop, str) or (is_array(stop) and all(isinstance(word, str) for word in stop))
    ):
        msg = f"stop={shown(stop)} is neither a string nor a list of strings"
        raise InvalidRequestError(msg)
