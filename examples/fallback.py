"""A stage that asks another provider when the first one fails; the cache marks are translated anew for it."""

from __future__ import annotations

import asyncio
import os

from msgspec.structs import replace

from asynccache import CallNext, Client, Event, Request, Stream, default_stages, errors
from asynccache.testing import environment, simulator


class Fallback:
    """Tries *models* after the one that was asked for, in this order.

    It stands outside `translate_cache_control`, so the marks are still the caller's when it changes the
    model; keys and addresses of the other provider come from the environment.
    """

    name = "fallback"

    def __init__(self, *models: str) -> None:
        self.models = models

    async def __call__(self, request: Request, call_next: CallNext, /) -> Stream[Event]:
        """The answer of the first model that gives one."""
        for model in self.models:
            try:
                return await call_next(request)
            except (errors.APIConnectionError, errors.InternalServerError, errors.RateLimitError) as error:
                print(f"{request.model}: {error.status_code} {type(error).__name__}; now {model}")
                request = replace(request, model=model)
        return await call_next(request)


async def main() -> None:
    """Ask a provider that is overloaded."""
    rules = {"type": "text", "text": "Answer in one line. " * 500, "cache_control": {"type": "ephemeral"}}
    messages = [{"role": "system", "content": [rules]}, {"role": "user", "content": "Why is the sky blue?"}]
    overloaded = {"x-simulator": '{"id": "busy", "status": 529, "times": 1}'}  # the first attempt only
    stages = [Fallback("openai/gpt-6.2-sol"), *default_stages()]
    async with simulator() as sim, Client(stages=stages, max_retries=0) as client:
        os.environ.update(environment(sim))
        reply = await client.acompletion("anthropic/claude-sonnet-5-5", messages, extra_headers=overloaded)
        print(
            f"{reply.model} answered; {reply.usage.cache_creation_input_tokens} tokens written to its cache"
        )
        for note in reply.cache_report.notes:
            print(f"{note.path}: {note.action} to {note.sent_to}")
        print("on the wire:", sim.log[-1].body["messages"][0]["content"][0]["prompt_cache_breakpoint"])


asyncio.run(main())
