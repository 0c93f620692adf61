"""An async-first client for language models that knows what your prompt cache is doing."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asynccache.answer_cost import completion_cost
    from asynccache.calls import SyncCompletionStream, acompletion, completion
    from asynccache.client import Client, default_stages
    from asynccache.completion_stream import CompletionStream
    from asynccache.errors import (
        APIConnectionError,
        APIStatusError,
        APITimeoutError,
        AsyncCacheError,
        AuthenticationError,
        BadRequestError,
        BillingError,
        ConfigurationError,
        ContentPolicyViolationError,
        ContextWindowExceededError,
        InternalServerError,
        InvalidRequestError,
        InvalidResponseError,
        MissingAPIKeyError,
        MissingCredentialsError,
        NotFoundError,
        OverloadedError,
        PermissionDeniedError,
        RateLimitError,
        RedirectRefusedError,
        RequestTooLargeError,
        ResponseTooLargeError,
        StreamInterruptedError,
        UnknownProviderError,
        UnsupportedParamsError,
        WrongEventLoopError,
    )
    from asynccache.events import Event, Recorder
    from asynccache.inline_urls import InlineURLs
    from asynccache.pipeline import CallNext, Pipeline, Stage
    from asynccache.pricing.book import PriceBook
    from asynccache.pricing.functions import (
        ModelInfo,
        cost_per_token,
        get_model_info,
        register_model,
        supports_prompt_caching,
    )
    from asynccache.reply import CacheReport, Chunk, Completion, Cost, Message, Usage
    from asynccache.request import Mark, Request, Timeout
    from asynccache.stream import Emit, Head, Machine, Source, Stream

__version__ = "0.1.0"

set_verbose = False
"""Whether every request is shown on the log as it goes out, keys hidden."""

__all__ = [
    "APIConnectionError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncCacheError",
    "AuthenticationError",
    "BadRequestError",
    "BillingError",
    "CacheReport",
    "CallNext",
    "Chunk",
    "Client",
    "Completion",
    "CompletionStream",
    "ConfigurationError",
    "ContentPolicyViolationError",
    "ContextWindowExceededError",
    "Cost",
    "Emit",
    "Event",
    "Head",
    "InlineURLs",
    "InternalServerError",
    "InvalidRequestError",
    "InvalidResponseError",
    "Machine",
    "Mark",
    "Message",
    "MissingAPIKeyError",
    "MissingCredentialsError",
    "ModelInfo",
    "NotFoundError",
    "OverloadedError",
    "PermissionDeniedError",
    "Pipeline",
    "PriceBook",
    "RateLimitError",
    "Recorder",
    "RedirectRefusedError",
    "Request",
    "RequestTooLargeError",
    "ResponseTooLargeError",
    "Source",
    "Stage",
    "Stream",
    "StreamInterruptedError",
    "SyncCompletionStream",
    "Timeout",
    "UnknownProviderError",
    "UnsupportedParamsError",
    "Usage",
    "WrongEventLoopError",
    "acompletion",
    "completion",
    "completion_cost",
    "cost_per_token",
    "default_stages",
    "get_model_info",
    "register_model",
    "set_verbose",
    "supports_prompt_caching",
]

# Where each name lives; a name is imported when it is first asked for, so that `import asynccache` is light.
_HOMES = {
    "answer_cost": ("completion_cost",),
    "calls": ("SyncCompletionStream", "acompletion", "completion"),
    "client": ("Client", "default_stages"),
    "completion_stream": ("CompletionStream",),
    "events": ("Event", "Recorder"),
    "inline_urls": ("InlineURLs",),
    "pipeline": ("CallNext", "Pipeline", "Stage"),
    "pricing.book": ("PriceBook",),
    "pricing.functions": (
        "ModelInfo",
        "cost_per_token",
        "get_model_info",
        "register_model",
        "supports_prompt_caching",
    ),
    "reply": ("CacheReport", "Chunk", "Completion", "Cost", "Message", "Usage"),
    "request": ("Mark", "Request", "Timeout"),
    "stream": ("Emit", "Head", "Machine", "Source", "Stream"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name) or ("errors" if name in __all__ else None)
    if home is None:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg, name=name, obj=sys.modules[__name__])  # so that Python proposes the nearest
    value = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
