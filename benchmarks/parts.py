"""What is measured without a network, one library a process: ``python -m benchmarks.parts ours|litellm``.

Every figure is the best of several batches of CPU time: the smallest is the one that nothing else disturbed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import wires

if TYPE_CHECKING:
    from collections.abc import Callable

LENGTHS = (1, 10, 100, 1000)
STREAM_LENGTHS = (200, 2_000, 20_000)
ARGUMENT_LENGTHS = (100, 1_000, 10_000, 100_000)
DEPTHS = (0, 1, 2, 5, 10, 20)


def best(action: Callable[[], object], *, seconds: float = 0.15, batches: int = 5) -> float:
    """CPU microseconds of one *action*."""
    action()
    begin = time.process_time()
    action()
    count = max(1, int(seconds / batches / max(time.process_time() - begin, 1e-7)))
    results: list[float] = []
    for _ in range(batches):
        begin = time.process_time()
        for _ in range(count):
            action()
        results.append((time.process_time() - begin) / count * 1e6)
    return min(results)


def conversation(length: int) -> list[dict[str, Any]]:
    """*length* messages after a system prompt, the caching marks of a long chat on the first and the last."""
    mark = {"type": "ephemeral"}
    text = "What the model says depends on what it was told before. " * 4
    system = {"role": "system", "content": [{"type": "text", "text": text, "cache_control": mark}]}
    turns: list[dict[str, Any]] = [
        {"role": ("user", "assistant")[number % 2], "content": f"{number} {text}"} for number in range(length)
    ]
    last = turns[-1]
    turns[-1] = {**last, "content": [{"type": "text", "text": last["content"], "cache_control": mark}]}
    return [system, *turns]


def ours() -> dict[str, Any]:
    """asynccache's figures."""
    from asynccache import completion_cost
    from asynccache.arguments import build_request
    from asynccache.cache_control import apply_cache_rules
    from asynccache.providers.registry import get
    from asynccache.reply import Completion
    from asynccache.request import Request, Timeout
    from asynccache.usage.reading import read_usage

    provider = get("anthropic")
    access = {"api_key": "sk-bench", "api_base": "http://127.0.0.1:1", "max_tokens": 1024}

    def build(messages: list[dict[str, Any]]) -> Request:
        model = "anthropic/claude-sonnet-4-5"
        return build_request(model, messages, stream=True, timeout=Timeout(), max_retries=0, arguments=access)

    def translate(request: Request) -> bytes:
        return provider.encode(apply_cache_rules(request, provider.cache_rules(request))).body

    sent = json.loads(translate(build(conversation(10))))
    assert len(sent["messages"]) == 10
    assert sent["system"][0]["cache_control"]
    assert sent["messages"][-1]["content"][0]["cache_control"]
    asked = Completion(
        model="gpt-4o",
        created=1764075745,
        usage=read_usage(json.loads(wires.WHOLE["openai"])["usage"], "openai"),
    )
    return {
        "translate": {n: best(partial(translate, build(conversation(n)))) for n in LENGTHS},
        "build": {n: best(partial(build, conversation(n))) for n in LENGTHS},
        "cost": best(lambda: completion_cost(asked, model="openai/gpt-4o")),
        "cost_value": completion_cost(asked, model="openai/gpt-4o"),
        "chunks": {n: _pipeline(n, machines=0) for n in STREAM_LENGTHS},
        "depth": {depth: _pipeline(4_000, machines=depth) for depth in DEPTHS},
        "arguments": {n: _pipeline(n, wire="openai-tools") for n in ARGUMENT_LENGTHS},
    }


class _Source:
    """Pieces from memory."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = iter(pieces)

    async def receive(self) -> bytes:
        import anyio

        for piece in self._pieces:
            return piece
        raise anyio.EndOfStream

    async def aclose(self) -> None:
        """Nothing to free."""


class Pass:
    """A stage's machine that lets everything pass."""

    def feed(self, item: Any, emit: Callable[[Any], object]) -> None:
        emit(item)

    def flush(self, emit: Callable[[Any], object]) -> None:
        """Nothing is held back."""


def _pipeline(chunks: int, *, wire: str = "openai", machines: int = 0) -> float:
    """CPU microseconds a chunk through the default stages and *machines* more, from memory, 16 events a read."""
    from asynccache.client import default_stages
    from asynccache.completion_stream import CompletionStream, LastUsage
    from asynccache.pipeline import Pipeline
    from asynccache.request import Access, Request
    from asynccache.stream import Head, Stream

    events = wires.STREAMS[wire](chunks)
    pieces = [b"".join(events[start : start + 16]) for start in range(0, len(events), 16)]
    access = Access(provider="openai", api_base="http://127.0.0.1:1")
    request = Request(
        model="openai/gpt-4o", messages=[{"role": "user", "content": "?"}], stream=True, access=access
    )

    async def transport(_: Request) -> Stream[Any]:
        return Stream(_Source(pieces), Head(headers={"content-type": "text/event-stream"}))

    async def deeper(asked: Request, call_next: Any) -> Stream[Any]:
        stream = await call_next(asked)
        for _ in range(machines):
            stream = stream.pipe(Pass())
        return stream

    pipeline = Pipeline([deeper, *default_stages()], transport)

    async def run() -> None:
        stream = CompletionStream(await pipeline(request), request, LastUsage())
        async with stream:
            async for _ in stream:
                pass
        choice = stream.completion.choices[0].message
        said = choice.tool_calls[0].function.arguments if choice.tool_calls else choice.content
        wanted = '{"text":"' + " word" * chunks + '"}' if wire == "openai-tools" else wires.text_of(chunks)
        assert said == wanted

    loop = asyncio.new_event_loop()
    try:
        return best(lambda: loop.run_until_complete(run()), seconds=0.4) / chunks
    finally:
        loop.close()


def litellm() -> dict[str, Any]:
    """LiteLLM's figures."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm as peer
    from litellm.llms.anthropic.chat.transformation import AnthropicConfig

    config = AnthropicConfig()

    def translate(messages: list[dict[str, Any]]) -> bytes:
        # LiteLLM's transformation changes the list that it is given; the caller's own is not at stake here.
        body = config.transform_request(
            model="claude-sonnet-4-5",
            messages=list(messages),  # type: ignore[arg-type]
            optional_params={"max_tokens": 1024},
            litellm_params={},
            headers={},
        )
        return json.dumps(body).encode()

    asked = peer.ModelResponse(**json.loads(wires.WHOLE["openai"]))
    return {
        "translate": {n: best(partial(translate, conversation(n))) for n in LENGTHS},
        "cost": best(lambda: peer.completion_cost(asked, model="gpt-4o")),
        "cost_value": peer.completion_cost(asked, model="gpt-4o"),
    }


if __name__ == "__main__":
    print(json.dumps({"ours": ours, "litellm": litellm}[sys.argv[1]]()))
