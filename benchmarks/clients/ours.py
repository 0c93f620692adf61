"""asynccache, as its users call it: every stage, usage and cost included."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import asynccache
from benchmarks.clients import KEY, MESSAGES, MODELS, Said, wire_of

_PREFIX = {"openai": "openai", "openai-tools": "openai", "anthropic": "anthropic", "converse": "bedrock"}
_AWS = {
    "aws_access_key_id": "AKIDBENCH",
    "aws_secret_access_key": "secret-of-the-bench",
    "aws_region_name": "us-east-1",
}


class Asynccache:
    def __init__(self) -> None:
        self._client = asynccache.Client(max_connections=10_000)

    def _ask(self, base: str) -> dict[str, Any]:
        wire = wire_of(base)
        access: dict[str, Any] = _AWS if wire == "converse" else {"api_key": KEY}
        model = f"{_PREFIX[wire]}/{MODELS[wire]}"
        return {"model": model, "messages": MESSAGES, "api_base": base, **access}

    async def stream(self, base: str) -> Said:
        first = None
        parts: list[str] = []
        async with await self._client.acompletion(stream=True, **self._ask(base)) as stream:
            async for chunk in stream:
                if chunk.choices:
                    delta = chunk.choices[0].delta
                    if delta.content:
                        if first is None:
                            first = perf_counter()
                        parts.append(delta.content)
        usage = stream.usage
        assert usage is not None
        assert usage.cost is not None
        text = "".join(parts)
        calls = stream.completion.choices[0].message.tool_calls
        if calls:
            text = calls[0].function.arguments
        return Said(text, usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, first)

    async def whole(self, base: str) -> Said:
        reply = await self._client.acompletion(**self._ask(base))
        usage = reply.usage
        text = reply.choices[0].message.content
        return Said(text, usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens)

    async def hold(self, base: str) -> Any:
        stream = await self._client.acompletion(stream=True, **self._ask(base))
        await anext(stream)
        return stream

    async def close(self) -> None:
        await self._client.aclose()
