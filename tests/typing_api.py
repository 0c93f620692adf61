"""What a caller's type checker sees: checked by mypy and pyright, run by nobody."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, assert_type

from asynccache import (
    CallNext,
    Chunk,
    Client,
    Completion,
    CompletionStream,
    Cost,
    Event,
    Request,
    Stream,
    SyncCompletionStream,
    Usage,
    acompletion,
    completion,
    completion_cost,
    default_stages,
    supports_prompt_caching,
)
from asynccache.reply import CacheReport, PromptTokensDetails

MESSAGES = [{"role": "user", "content": "hi"}]


async def whole() -> None:
    reply = await acompletion("openai/gpt-4o", MESSAGES, temperature=0.2)
    assert_type(reply, Completion)
    assert_type(reply.usage, Usage)
    assert_type(reply.usage.prompt_tokens, int | None)
    assert_type(reply.usage.prompt_tokens_details, PromptTokensDetails)
    assert_type(reply.cost, Cost)
    assert_type(reply.cost.total, Decimal | None)
    assert_type(reply.cache_report, CacheReport)
    assert_type(reply.choices[0].message.content, str | None)
    assert_type(completion_cost(completion_response=reply), float)
    assert_type(supports_prompt_caching("openai/gpt-4o"), bool)


async def streamed() -> None:
    stream = await acompletion("openai/gpt-4o", MESSAGES, stream=True)
    assert_type(stream, CompletionStream)
    async with stream:
        async for chunk in stream:
            assert_type(chunk, Chunk)
            assert_type(chunk.usage, Usage | None)
    assert_type(stream.usage, Usage | None)
    assert_type(stream.completion, Completion)


async def either(wanted: bool) -> None:
    assert_type(await acompletion("openai/gpt-4o", MESSAGES, stream=wanted), Completion | CompletionStream)


def synchronous() -> None:
    assert_type(completion("openai/gpt-4o", MESSAGES), Completion)
    stream = completion("openai/gpt-4o", MESSAGES, stream=True)
    assert_type(stream, SyncCompletionStream)
    for chunk in stream:
        assert_type(chunk, Chunk)


async def stage(request: Request, call_next: CallNext) -> Stream[Event]:
    return await call_next(request)


class Quiet:
    """A machine of a caller's."""

    def feed(self, item: Event, emit: Any) -> None:
        emit(item)

    def flush(self, emit: Any) -> None:
        pass


async def piped(request: Request, call_next: CallNext) -> Stream[Event]:
    return (await call_next(request)).pipe(Quiet())


async def client() -> None:
    async with Client(stages=[stage, piped, *default_stages()], on_usage=print, timeout=20) as own:
        assert_type(own, Client)
        assert_type(await own.acompletion("openai/gpt-4o", MESSAGES), Completion)
