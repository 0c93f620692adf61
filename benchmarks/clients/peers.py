"""The SDKs and gateways that people use today, each as its own documentation has it; connections are kept."""

from __future__ import annotations

import os
from time import perf_counter
from typing import Any

from benchmarks.clients import KEY, MESSAGES, MODELS, Said, wire_of

_MAX_TOKENS = 1024


def _of_openai(text: str | None, usage: Any, first: float | None = None) -> Said:
    cached = usage.prompt_tokens_details.cached_tokens
    return Said(text, usage.prompt_tokens, usage.completion_tokens, cached, first)


async def _read_openai(stream: Any) -> Said:
    """The chunks of anything shaped like OpenAI's."""
    parts: list[str] = []
    first = usage = None
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            if first is None:
                first = perf_counter()
            parts.append(chunk.choices[0].delta.content)
        if getattr(chunk, "usage", None):
            usage = chunk.usage
    return _of_openai("".join(parts), usage, first)


class OpenAI:
    """openai.AsyncOpenAI."""

    def __init__(self) -> None:
        import httpx
        import openai

        limits = httpx.Limits(max_connections=None, max_keepalive_connections=1000)  # its own end at 1,000
        self._make = openai.AsyncOpenAI
        self._http = openai.DefaultAsyncHttpxClient(limits=limits)
        self._clients: dict[str, Any] = {}

    def _client(self, base: str) -> Any:
        if base not in self._clients:
            self._clients[base] = self._make(api_key=KEY, base_url=base, timeout=600, http_client=self._http)
        return self._clients[base]

    async def _open(self, base: str) -> Any:
        options = {"include_usage": True}
        create = self._client(base).chat.completions.create
        return await create(model=MODELS["openai"], messages=MESSAGES, stream=True, stream_options=options)

    async def stream(self, base: str) -> Said:
        return await _read_openai(await self._open(base))

    async def whole(self, base: str) -> Said:
        reply = await self._client(base).chat.completions.create(model=MODELS["openai"], messages=MESSAGES)
        return _of_openai(reply.choices[0].message.content, reply.usage)

    async def hold(self, base: str) -> Any:
        stream = await self._open(base)
        await anext(aiter(stream))
        return stream

    async def close(self) -> None:
        await self._http.aclose()


class Anthropic:
    """anthropic.AsyncAnthropic, its raw events."""

    def __init__(self) -> None:
        import anthropic

        self._make = anthropic.AsyncAnthropic
        self._clients: dict[str, Any] = {}

    def _create(self, base: str, **more: Any) -> Any:
        if base not in self._clients:
            self._clients[base] = self._make(api_key=KEY, base_url=base, timeout=600)
        client = self._clients[base]
        system, *messages = MESSAGES
        ask = {"model": MODELS["anthropic"], "max_tokens": _MAX_TOKENS, "system": system["content"]}
        return client.messages.create(messages=messages, **ask, **more)

    async def stream(self, base: str) -> Said:
        parts: list[str] = []
        first = started = None
        completion = 0
        async for event in await self._create(base, stream=True):
            if event.type == "content_block_delta":
                if first is None:
                    first = perf_counter()
                parts.append(event.delta.text)
            elif event.type == "message_start":
                started = event.message.usage
            elif event.type == "message_delta":
                completion = event.usage.output_tokens
        assert started is not None
        return _of_anthropic("".join(parts), started, completion, first)

    async def whole(self, base: str) -> Said:
        reply = await self._create(base)
        return _of_anthropic(reply.content[0].text, reply.usage, reply.usage.output_tokens)

    async def hold(self, base: str) -> Any:
        stream = await self._create(base, stream=True)
        await anext(aiter(stream))
        return stream

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()


def _of_anthropic(text: str, usage: Any, completion: int, first: float | None = None) -> Said:
    cached = usage.cache_read_input_tokens
    return Said(
        text, usage.input_tokens + cached + usage.cache_creation_input_tokens, completion, cached, first
    )


class AnyLLM:
    """any-llm with its client kept between calls."""

    def __init__(self) -> None:
        from any_llm import AnyLLM as Kept

        self._make = Kept.create
        self._clients: dict[str, Any] = {}

    def _client(self, base: str) -> Any:
        if base not in self._clients:
            self._clients[base] = self._make(wire_of(base), api_key=KEY, api_base=base)
        return self._clients[base]

    async def _open(self, base: str) -> Any:
        wire = wire_of(base)
        options = (
            {"stream_options": {"include_usage": True}} if wire == "openai" else {"max_tokens": _MAX_TOKENS}
        )
        return await self._client(base).acompletion(
            model=MODELS[wire], messages=MESSAGES, stream=True, **options
        )

    async def stream(self, base: str) -> Said:
        return await _read_openai(await self._open(base))

    async def whole(self, base: str) -> Said:
        wire = wire_of(base)
        more = {"max_tokens": _MAX_TOKENS} if wire == "anthropic" else {}
        reply = await self._client(base).acompletion(model=MODELS[wire], messages=MESSAGES, **more)
        return _of_openai(reply.choices[0].message.content, reply.usage)

    async def hold(self, base: str) -> Any:
        stream = await self._open(base)
        await anext(aiter(stream))
        return stream

    async def close(self) -> None:
        """Its clients close with the process."""


class LiteLLM:
    """litellm.acompletion."""

    def __init__(self) -> None:
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        import litellm

        litellm.suppress_debug_info = True
        self._ask = litellm.acompletion

    def _arguments(self, base: str) -> dict[str, Any]:
        wire = wire_of(base)
        common = {"messages": MESSAGES, "timeout": 600, "num_retries": 0}
        if wire == "converse":
            aws = {"aws_access_key_id": "AKIDBENCH", "aws_secret_access_key": "secret-of-the-bench"}
            model = f"bedrock/converse/{MODELS[wire]}"
            return {
                **common,
                **aws,
                "model": model,
                "aws_region_name": "us-east-1",
                "aws_bedrock_runtime_endpoint": base,
            }
        return {**common, "model": f"{wire}/{MODELS[wire]}", "api_key": KEY, "api_base": base}

    async def stream(self, base: str) -> Said:
        options = {"include_usage": True}
        return await _read_openai(
            await self._ask(stream=True, stream_options=options, **self._arguments(base))
        )

    async def whole(self, base: str) -> Said:
        reply = await self._ask(**self._arguments(base))
        return _of_openai(reply.choices[0].message.content, reply.usage)

    async def hold(self, base: str) -> Any:
        stream = await self._ask(stream=True, **self._arguments(base))
        await anext(aiter(stream))
        return stream

    async def close(self) -> None:
        """Its clients close with the process."""


class Aiobotocore:
    """aiobotocore's bedrock-runtime client."""

    def __init__(self) -> None:
        from aiobotocore.config import AioConfig
        from aiobotocore.session import get_session

        self._config = AioConfig(max_pool_connections=10_000, retries={"max_attempts": 0})
        self._session = get_session()
        self._clients: dict[str, Any] = {}

    async def _client(self, base: str) -> Any:
        if base not in self._clients:
            context = self._session.create_client(
                "bedrock-runtime",
                region_name="us-east-1",
                endpoint_url=base,
                aws_access_key_id="AKIDBENCH",
                aws_secret_access_key="secret-of-the-bench",
                config=self._config,
            )
            self._clients[base] = await context.__aenter__()
        return self._clients[base]

    def _ask(self) -> dict[str, Any]:
        messages = [{"role": "user", "content": [{"text": MESSAGES[1]["content"]}]}]
        return {
            "modelId": MODELS["converse"],
            "messages": messages,
            "system": [{"text": MESSAGES[0]["content"]}],
        }

    async def stream(self, base: str) -> Said:
        reply = await (await self._client(base)).converse_stream(**self._ask())
        parts: list[str] = []
        first = None
        usage: dict[str, int] = {}
        async for event in reply["stream"]:
            if "contentBlockDelta" in event:
                if first is None:
                    first = perf_counter()
                parts.append(event["contentBlockDelta"]["delta"]["text"])
            elif "metadata" in event:
                usage = event["metadata"]["usage"]
        return self._said("".join(parts), usage, first)

    async def whole(self, base: str) -> Said:
        reply = await (await self._client(base)).converse(**self._ask())
        return self._said(reply["output"]["message"]["content"][0]["text"], reply["usage"])

    async def hold(self, base: str) -> Any:
        reply = await (await self._client(base)).converse_stream(**self._ask())
        events = aiter(reply["stream"])
        await anext(events)
        return reply, events

    def _said(self, text: str, usage: dict[str, int], first: float | None = None) -> Said:
        cached = usage["cacheReadInputTokens"]
        return Said(text, usage["inputTokens"] + cached, usage["outputTokens"], cached, first)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.__aexit__(None, None, None)
