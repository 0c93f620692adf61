"""One span for every call, seen by the real SDK's exporter, whatever ends the call."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import pytest

from asynccache import Client
from asynccache.client import default_stages
from asynccache.errors import AsyncCacheError, RateLimitError, StreamInterruptedError
from asynccache.events import TextDelta
from asynccache.request import Request
from asynccache.simulator import Simulator
from asynccache.testing import scripted, simulator

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF
from opentelemetry.trace import NoOpTracerProvider, SpanKind, StatusCode, get_current_span

from asynccache.tracing import Trace, trace_calls

pytestmark = pytest.mark.anyio

CANARY = "canary-7d1f"
LONG = f"{CANARY} a clause of a long contract, read again. " * 400
MESSAGES: Any = [
    {"role": "system", "content": [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}]},
    {"role": "user", "content": f"Which clauses are new, {CANARY}?"},
]
_CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
MODELS = {
    "openai": ("gpt-4o", "openai"),
    "anthropic": ("claude-sonnet-4-5", "anthropic"),
    "deepseek": ("deepseek-chat", "deepseek"),
    "bedrock": (_CLAUDE, "aws.bedrock"),
}


class Seen:
    """A tracer provider and the spans that it has exported."""

    def __init__(self, **options: Any) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider(**options)
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())

    def one(self) -> tuple[ReadableSpan, dict[str, Any]]:
        """The only span."""
        [span] = self.spans
        return span, dict(span.attributes or {})


@pytest.fixture
def seen() -> Iterator[Seen]:
    made = Seen()
    yield made
    made.provider.shutdown()


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with simulator(answer_tokens=12, rate=4000) as running:
        yield running


def client(seen: Seen, **options: Any) -> Client:
    return Client(stages=[Trace(seen.provider, **options), *default_stages()], max_retries=1)


async def ask(made: Client, sim: Simulator, provider: str = "openai", **more: Any) -> Any:
    scenario = more.pop("scenario", None)
    return await made.acompletion(
        f"{provider}/{MODELS[provider][0]}",
        more.pop("messages", MESSAGES),
        api_key="k",
        api_base=getattr(sim, f"{provider}_base"),
        aws_region_name="us-east-1" if provider == "bedrock" else None,
        extra_headers={"x-simulator": json.dumps(scenario)} if scenario else None,
        **more,
    )


@pytest.mark.parametrize("provider", MODELS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_span_tells_what_the_reply_tells(
    seen: Seen, sim: Simulator, provider: str, stream: bool
) -> None:
    """The newest names, the reply's own counts and cost, every cached token within the input's."""
    async with client(seen) as made:
        for _ in range(2):
            reply = await ask(made, sim, provider, stream=stream, max_tokens=9, temperature=0.5, stop=["END"])
            if stream:
                async with reply:
                    async for _chunk in reply:
                        pass
    first, second = seen.spans
    told = dict(second.attributes or {})
    model, name = MODELS[provider]
    usage = reply.usage
    assert (second.name, second.kind) == (f"chat {model}", SpanKind.CLIENT)
    assert second.status.status_code is StatusCode.UNSET
    assert told.pop("gen_ai.response.model")
    assert told.pop("gen_ai.response.id") or provider == "bedrock"
    assert 0 < told.pop("asynccache.cost.usd") == usage.cost
    assert told.pop("asynccache.savings.usd") == pytest.approx(float(reply.cost.saved))
    assert told.pop("gen_ai.usage.cache_read.input_tokens") == usage.cached_tokens > 1000
    assert told.pop("gen_ai.usage.input_tokens") == usage.prompt_tokens > usage.cached_tokens
    if stream:
        waited = told.pop("gen_ai.response.time_to_first_chunk")
        assert 0 < waited * 1e9 < (second.end_time or 0) - (second.start_time or 0)
    for optional in ("reasoning.output_tokens", "cache_write.input_tokens"):
        told.pop(f"gen_ai.usage.{optional}", None)
    told.pop("openai.response.service_tier", None)
    told.pop("openai.response.system_fingerprint", None)
    reasons = told.pop("gen_ai.response.finish_reasons", None)
    assert reasons == ("length",)
    assert told == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": name,
        "gen_ai.request.model": model,
        "gen_ai.request.stream": stream,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.stop_sequences": ("END",),
        "gen_ai.usage.output_tokens": usage.completion_tokens,
        "asynccache.usage.source": "provider",
        "asynccache.attempts": 1,
        "asynccache.outcome": "ok",
        "server.address": "127.0.0.1",
        "server.port": sim.port,
    }
    assert CANARY not in first.to_json() + second.to_json()


async def test_older_names_by_a_switch(seen: Seen, sim: Simulator) -> None:
    """Cache writes and the cost also stand where Langfuse, Datadog and Sentry look for them."""
    async with client(seen, older_names=True) as made:
        reply = await ask(made, sim, "anthropic")
    _, told = seen.one()
    assert told["gen_ai.usage.cache_creation.input_tokens"] == reply.usage.cache_creation_input_tokens > 1000
    assert told["gen_ai.usage.cache_write.input_tokens"] == reply.usage.cache_creation_input_tokens
    assert told["gen_ai.usage.cost"] == reply.usage.cost


@pytest.mark.parametrize("chunks", [0, 2])
@pytest.mark.parametrize("way", ["async with", "aclose", "break", "error"])
async def test_leaving_ends_the_span_with_partial_usage(
    seen: Seen, sim: Simulator, way: str, chunks: int
) -> None:
    """A stream left early is no error; what Anthropic had told of its prompt is on the span."""
    async with client(seen) as made:
        stream = await ask(made, sim, "anthropic", stream=True)
        assert seen.spans == []
        if way == "async with":
            async with stream:
                await taken(stream, chunks)
        elif way == "aclose":
            await taken(stream, chunks)
            await stream.aclose()
        elif way == "error":
            with pytest.raises(ZeroDivisionError):
                async with stream:
                    await taken(stream, chunks)
                    raise ZeroDivisionError
        else:
            await taken(stream, chunks)
            with pytest.warns(ResourceWarning):
                del stream
                gc.collect()
        span, told = seen.one()
    assert span.status.status_code is StatusCode.UNSET
    assert told["asynccache.outcome"] == "let_go"
    assert told["asynccache.usage.source"] == "partial"
    assert told["gen_ai.usage.input_tokens"] > 1000
    assert "asynccache.cost.usd" not in told  # the output was not told, so what it cost is not known


async def taken(stream: Any, chunks: int) -> None:
    for _ in range(chunks):
        await anext(stream)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("provider", MODELS)
async def test_cancelling_ends_the_span(seen: Seen, sim: Simulator, provider: str, stream: bool) -> None:
    """Cancelled while it waits for the answer, or for the answer's next piece."""
    async with client(seen) as made:
        with anyio.move_on_after(0.15) as scope:
            scenario = {"stall_after_events": 6} if stream else {"latency": 5}
            reply = await ask(made, sim, provider, stream=stream, scenario=scenario)
            async for _ in reply:
                pass
        assert scope.cancelled_caught
        span, told = seen.one()
    assert told["asynccache.outcome"] == "cancelled"
    assert span.status.status_code is StatusCode.UNSET


async def test_an_error_before_the_answer(seen: Seen, sim: Simulator) -> None:
    """Its class and status are told, its words are not: they may quote the prompt. Retries are one span."""
    async with client(seen) as made:
        with pytest.raises(RateLimitError) as caught:
            await ask(made, sim, scenario={"status": 429, "retry_after": "0.01"})
        span, told = seen.one()
    assert span.status.status_code is StatusCode.ERROR
    assert not span.status.description
    assert span.events == ()
    assert told["error.type"] == "RateLimitError"
    assert told["http.response.status_code"] == 429
    assert told["asynccache.request_id"] == caught.value.request_id
    assert told["asynccache.attempts"] == 2


async def test_an_error_within_the_answer(seen: Seen, sim: Simulator) -> None:
    """A cut stream is an error, and the tokens told before it are on the span."""
    async with client(seen) as made:
        stream = await ask(made, sim, "anthropic", stream=True, scenario={"cut_after_events": 5})
        with pytest.raises(StreamInterruptedError):
            async for _ in stream:
                pass
        span, told = seen.one()
    assert span.status.status_code is StatusCode.ERROR
    assert told["error.type"] == "StreamInterruptedError"
    assert told["asynccache.usage.source"] == "partial"
    assert told["gen_ai.usage.input_tokens"] > 1000
    assert told["asynccache.outcome"] == "error"


async def test_content_only_for_those_who_ask(seen: Seen, sim: Simulator) -> None:
    """With `content=True` prompt, tools and answer are JSON of the convention's shape; pictures are only named."""
    tool = {
        "type": "function",
        "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
    }
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{CANARY}"}}
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "What is the weather in Paris?"}, picture]}
    ]
    async with client(seen, content=True) as made:
        stream = await ask(made, sim, messages=messages, tools=[tool], stream=True)
        async for _ in stream:
            pass
        [call] = stream.completion.choices[0].message.tool_calls
        answered = [
            {"role": "assistant", "content": None, "tool_calls": [call.to_dict()]},
            {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
        ]
        reply = await ask(made, sim, messages=[*messages, *answered], tools=[tool])
    first, second = (dict(span.attributes or {}) for span in seen.spans)
    assert json.loads(first["gen_ai.input.messages"]) == [
        {
            "role": "user",
            "parts": [{"type": "text", "content": "What is the weather in Paris?"}, {"type": "image_url"}],
        }
    ]
    assert json.loads(first["gen_ai.tool.definitions"]) == [tool]
    [said] = json.loads(first["gen_ai.output.messages"])
    [part] = said["parts"]
    arguments = json.loads(call.function.arguments)
    assert part == {"type": "tool_call", "id": call.id, "name": "get_weather", "arguments": arguments}
    assert said["finish_reason"] == "tool_calls"
    history = json.loads(second["gen_ai.input.messages"])
    assert history[1] == {"role": "assistant", "parts": [part]}
    assert history[2]["parts"] == [{"type": "tool_call_response", "id": call.id, "response": "sunny"}]
    [said] = json.loads(second["gen_ai.output.messages"])
    assert said["parts"] == [{"type": "text", "content": reply.choices[0].message.content}]


async def test_the_span_is_the_parent_of_what_happens_within(seen: Seen) -> None:
    """A span that a stage within makes, or an instrumented HTTP client, hangs below the call's."""
    parents: list[Any] = []

    async def within(request: Any, call_next: Any) -> Any:
        parents.append(get_current_span().get_span_context().span_id)
        return await call_next(request)

    request = Request(model="openai/gpt-4o", messages=[], stream=True)
    inner = scripted(TextDelta("hi"))

    async def call(asked: Any) -> Any:
        return await within(asked, inner)

    outside = get_current_span().get_span_context().span_id
    stream = await Trace(seen.provider)(request, call)
    assert get_current_span().get_span_context().span_id == outside
    assert [event async for event in stream] == [TextDelta("hi")]
    span, told = seen.one()
    assert parents == [span.get_span_context().span_id]
    assert told["gen_ai.response.time_to_first_chunk"] > 0
    assert "asynccache.attempts" not in told  # nobody within records


@pytest.mark.parametrize("end", ["aclose", "error", "cancel", "dropped"])
async def test_without_a_recorder_within(seen: Seen, end: str) -> None:
    """A pipeline of one's own, without `record_usage`: the span still ends at once on every way out."""
    failing = (AsyncCacheError("broken"),) if end == "error" else (TextDelta("more"),)
    request = Request(model="openai/gpt-4o", messages=[], stream=True)
    stream = await Trace(seen.provider)(request, scripted(TextDelta("hi"), *failing))
    await stream.receive()
    if end == "error":
        with pytest.raises(AsyncCacheError):
            await stream.receive()
    elif end == "cancel":
        task = asyncio.ensure_future(stream.receive())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await stream.aclose()
    elif end == "dropped":
        with pytest.warns(ResourceWarning):
            del stream
            gc.collect()
    else:
        await stream.aclose()
    _, told = seen.one()
    wanted = {"aclose": "let_go", "error": "error", "cancel": "cancelled", "dropped": "let_go"}
    assert told["asynccache.outcome"] == wanted[end]


async def test_not_sampled_costs_nothing(sim: Simulator) -> None:
    """A span that does not record gets no recorder and no machine."""
    off = Seen(sampler=ALWAYS_OFF)
    inner = scripted(TextDelta("hi"))
    request = Request(model="openai/gpt-4o", messages=[])
    await (await Trace(off.provider)(request, inner)).aclose()
    await (await Trace(NoOpTracerProvider())(request, inner)).aclose()  # as without an SDK
    assert all(one is request for one in inner.requests)
    assert repr(trace_calls) == "trace_calls"
    off.provider.shutdown()


def test_the_extra_is_named_where_it_is_missing() -> None:
    """Without opentelemetry-api the import says what to install."""
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from asynccache.errors import ConfigurationError\n"
        "try:\n    import asynccache.tracing\n"
        "except ConfigurationError as error:\n    print(error)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "asynccache[otel]" in run.stdout
