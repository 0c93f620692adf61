"""Traces of the proxy: on by configuration, a span for every attempt, below the caller's own."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from asynccache.simulator import Simulator
from tests.proxy.serving import KEY, ai, serving, url

pytestmark = [pytest.mark.anyio, pytest.mark.xdist_group("tracer provider")]

CANARY = "canary-20c4"
MESSAGES: Any = [{"role": "user", "content": f"{CANARY} " * 1500}]
TRACE_ID, PARENT_ID = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def ours(exporter: InMemorySpanExporter) -> list[ReadableSpan]:
    """The SDKs of others make spans of their own."""
    spans = exporter.get_finished_spans()
    return [
        span
        for span in spans
        if span.instrumentation_scope and span.instrumentation_scope.name == "asynccache"
    ]


async def test_every_attempt_is_a_span_below_the_callers(
    sim: Simulator, exporter: InMemorySpanExporter
) -> None:
    """Both formats, streamed and whole, passed and translated: tokens and cost as told, no prompt, no answer."""
    headers = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"}
    async with serving(sim, settings="{traces: on}") as proxy:
        told: list[tuple[int, int]] = []
        async with ai(proxy) as client:
            for name in ("gpt", "claude", "bedrock"):
                reply: Any = await client.chat.completions.create(
                    model=name, messages=MESSAGES, max_tokens=9, extra_headers=headers
                )
                told.append((reply.usage.prompt_tokens, reply.usage.completion_tokens))
                stream: Any = await client.chat.completions.create(
                    model=name, messages=MESSAGES, max_tokens=9, stream=True, extra_headers=headers,
                    stream_options={"include_usage": True},
                )  # fmt: skip
                last = [chunk async for chunk in stream][-1]
                told.append((last.usage.prompt_tokens, last.usage.completion_tokens))
        body = {"model": "claude", "max_tokens": 9, "messages": MESSAGES}
        async with aiohttp.ClientSession(headers={"x-api-key": KEY, **headers}) as session:
            answer = await session.post(url(proxy, "/v1/messages"), json=body)
            usage = (await answer.json())["usage"]
            told.append((usage["input_tokens"], usage["output_tokens"]))
    spans = ours(exporter)
    found = [dict(span.attributes or {}) for span in spans]
    assert [(one["gen_ai.usage.input_tokens"], one["gen_ai.usage.output_tokens"]) for one in found] == told
    assert {one["gen_ai.provider.name"] for one in found} == {"openai", "anthropic", "aws.bedrock"}
    assert all(one["asynccache.cost.usd"] > 0 and one["asynccache.outcome"] == "ok" for one in found)
    assert all("gen_ai.usage.cache_creation.input_tokens" not in one for one in found)
    for span in spans:
        assert span.parent is not None
        assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE_ID, PARENT_ID)
        assert CANARY not in span.to_json()


async def test_parents_do_not_stay(sim: Simulator, exporter: InMemorySpanExporter) -> None:
    """The next call on the same connection is nobody's child; a header that is none is passed over."""
    async with (
        serving(sim, settings="{traces: true, traces_older_names: true}") as proxy,
        ai(proxy) as client,
    ):
        for parent in (f"00-{TRACE_ID}-{PARENT_ID}-01", None, "nonsense"):
            headers = {} if parent is None else {"traceparent": parent}
            await client.chat.completions.create(model="claude", messages=MESSAGES, extra_headers=headers)
    parents = [span.parent is not None for span in ours(exporter)]
    assert parents == [True, False, False]
    assert dict(ours(exporter)[0].attributes or {})["gen_ai.usage.cost"]


async def test_off_unless_asked(sim: Simulator, exporter: InMemorySpanExporter) -> None:
    """A proxy whose configuration says nothing of traces makes none."""
    async with serving(sim) as proxy, ai(proxy) as client:
        await client.chat.completions.create(model="gpt", messages=MESSAGES)
    assert ours(exporter) == []
