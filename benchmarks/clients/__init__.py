"""The clients compared: each reads the same answers, and each is imported only where it is measured."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple, Protocol


class Said(NamedTuple):
    """What a client got out of one answer; None where it does not look."""

    text: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    cached_tokens: int | None
    first: float | None = None
    """When the first text was there, by ``time.perf_counter``."""
    reads: int | None = None
    """How many pieces the body came in, where the client can tell."""


class Client(Protocol):
    """One way of asking. *base* is an address with the wire and its settings in it."""

    async def stream(self, base: str) -> Said: ...
    async def whole(self, base: str) -> Said: ...
    async def hold(self, base: str) -> Any:
        """A stream whose first piece is received; kept open as long as the result lives."""

    async def close(self) -> None: ...


MESSAGES = [
    {"role": "system", "content": "You answer in one paragraph. " * 20},
    {"role": "user", "content": "What does the model have to say?"},
]
KEY = "sk-bench-0000000000"
MODELS = {
    "openai": "gpt-4o",
    "openai-tools": "gpt-4o",
    "anthropic": "claude-sonnet-4-5",
    "converse": "anthropic.claude-sonnet-4-5-20250929-v1:0",
}

# name: (module, class, what must be installed, wires)
_ALL = ("openai", "openai-tools", "anthropic", "converse")
KNOWN = {
    "floor": ("raw", "Floor", (), _ALL),
    "aiohttp": ("raw", "AiohttpBytes", ("aiohttp",), _ALL),
    "aiohttp+msgspec": ("raw", "AiohttpMsgspec", ("aiohttp", "msgspec"), _ALL),
    "asynccache": ("ours", "Asynccache", ("asynccache",), _ALL),
    "httpx": ("raw", "HttpxOrjson", ("httpx", "orjson"), ("openai",)),
    "openai": ("peers", "OpenAI", ("openai",), ("openai",)),
    "anthropic": ("peers", "Anthropic", ("anthropic",), ("anthropic",)),
    "any-llm": ("peers", "AnyLLM", ("any-llm-sdk",), ("openai", "anthropic")),
    "litellm": ("peers", "LiteLLM", ("litellm",), ("openai", "anthropic", "converse")),
    "aiobotocore": ("peers", "Aiobotocore", ("aiobotocore",), ("converse",)),
}
LIGHT = ("floor", "aiohttp", "aiohttp+msgspec", "asynccache")
"""Measured in one process, stream by stream in turn: their ratios are the tight ones."""
REFERENCE = "aiohttp+msgspec"


def make(name: str) -> Client:
    """The client called *name*.

    Raises:
        ImportError: it is not installed.
    """
    module, kind, _, _ = KNOWN[name]
    client: Client = getattr(importlib.import_module(f"benchmarks.clients.{module}"), kind)()
    return client


def wire_of(base: str) -> str:
    """The wire that an address asks for."""
    return base.split("/")[3]
