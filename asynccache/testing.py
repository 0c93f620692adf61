"""What a test of your own code needs: a simulated provider, answers from memory, and a word about cache hits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import anyio
import anyio.lowlevel

from asynccache.reply import Chunk, Completion, Usage
from asynccache.stream import Stream

if TYPE_CHECKING:
    from asynccache.calls import SyncCompletionStream
    from asynccache.completion_stream import CompletionStream
    from asynccache.events import Event
    from asynccache.pipeline import CallNext
    from asynccache.request import Request
    from asynccache.simulator import Simulator, VirtualClock

__all__ = ["Scripted", "assert_cache_hit", "environment", "scripted", "simulator"]

FAKE_KEY = "sk-simulated"


def simulator(
    *,
    answer: str | None = None,
    answer_tokens: int = 48,
    rate: float | None = None,
    latency: float = 0.0,
    clock: VirtualClock | None = None,
) -> Simulator:
    """Local providers with real wire formats and real prefix-cache rules, to be used under ``async with``.

    Code that calls `asynccache.completion`, and so keeps its thread waiting, takes a plain ``with``.
    Give a call ``api_base=sim.openai_base`` (``anthropic_base``, ``deepseek_base``, ``bedrock_base``), or the
    process `environment`. ``sim.clock.advance("6m")`` moves its time; ``sim.log`` holds what it truly
    received and sent.

    Args:
        answer: the text of every answer; filler when None.
        answer_tokens: how long filler is.
        rate: tokens a second; None is as fast as the loop allows.
        latency: seconds before an answer begins.
        clock: its time; real time when None.
    """
    from asynccache.simulator import Simulator, SimulatorSettings

    settings = SimulatorSettings(answer=answer, answer_tokens=answer_tokens, rate=rate, latency=latency)
    return Simulator(settings, clock=clock)


def environment(sim: Simulator) -> dict[str, str]:
    """The variables that lead a program's calls to *sim*: addresses, and keys that open nothing."""
    return {
        "OPENAI_BASE_URL": sim.openai_base,
        "OPENAI_API_KEY": FAKE_KEY,
        "ANTHROPIC_BASE_URL": sim.anthropic_base,
        "ANTHROPIC_API_KEY": FAKE_KEY,
        "DEEPSEEK_API_BASE": sim.deepseek_base,
        "DEEPSEEK_API_KEY": FAKE_KEY,
        "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": sim.bedrock_base,
        "AWS_BEARER_TOKEN_BEDROCK": FAKE_KEY,
        "AWS_REGION": "us-east-1",
    }


def scripted(*items: Event | Exception) -> Scripted:
    """An answer from memory: these events, in this order; an exception among them is raised in its place.

    Use it as the innermost stage, in the place of `aggregate` and what is within
    (``Client(stages=[mine, scripted(TextDelta("hi"), ...)])``), or as the *call_next* of a stage that is called
    by hand.
    """
    return Scripted(items)


@final
class Scripted:
    """A stage that never calls the next one; every request gets the same events.

    Attributes:
        requests: the requests that reached it, oldest first.
    """

    name = "scripted"

    def __init__(self, items: tuple[Event | Exception, ...]) -> None:
        self._items = items
        self.requests: list[Request] = []

    async def __call__(self, request: Request, call_next: CallNext | None = None, /) -> Stream[Event]:
        """The events, as one stream."""
        del call_next
        self.requests.append(request)
        return Stream(_Script(self._items))


@final
class _Script:
    """A source that hands out items from memory."""

    def __init__(self, items: tuple[Any, ...]) -> None:
        self._left = list(reversed(items))

    async def receive(self) -> Any:
        await anyio.lowlevel.checkpoint()
        if not self._left:
            raise anyio.EndOfStream
        item = self._left.pop()
        if isinstance(item, Exception):
            raise item
        return item

    async def aclose(self) -> None:
        self._left.clear()


def assert_cache_hit(
    reply: Completion | CompletionStream | SyncCompletionStream | Chunk | Usage, *, at_least: int = 1
) -> None:
    """Assert that *reply*'s prompt was read from the cache, by at least so many tokens.

    Raises:
        AssertionError: it was not; the message tells where the prompt's tokens went.
    """
    usage = reply if isinstance(reply, Usage) else reply.usage
    if usage is None:
        msg = "no usage: a stream tells it when it has been read to its end"
        raise AssertionError(msg)
    read = usage.cached_tokens
    if read is None or read < at_least:
        details = usage.prompt_tokens_details
        msg = (
            f"expected a cache hit of at least {at_least} tokens, got {read}: "
            f"prompt {usage.prompt_tokens} = read {read} + written {details.cache_write_tokens} "
            f"+ uncached {details.uncached_tokens} (source {usage.source!r})"
        )
        raise AssertionError(msg)
