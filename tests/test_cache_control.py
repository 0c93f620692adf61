"""The stage: what the provider gets, what the caller hears of it, what it costs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from asynccache.cache_control import apply_cache_rules, translate_cache_control
from asynccache.errors import UnknownProviderError
from asynccache.events import TextDelta
from asynccache.pipeline import Pipeline
from asynccache.reply import CacheReport
from asynccache.request import Mark, Request
from tests.cache_control.targets import NEW_CLAUDE
from tests.usage.answers import Transport

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio

_MARKED = [
    {"role": "system", "content": "s", "cache_control": {"type": "ephemeral"}},
    {"role": "user", "content": "q"},
]


async def _ask(request: Request) -> tuple[Request, CacheReport]:
    """The request as the transport got it, and the report on the answer."""
    transport = Transport([TextDelta("a")])
    async with await Pipeline([translate_cache_control], transport)(request) as stream:
        report = stream.head.cache_report
    return transport.requests[0], report


async def test_the_answer_carries_the_report() -> None:
    """The marks go to the provider, the notes to the caller; nothing else of the answer's head changes."""
    sent, report = await _ask(Request(model="anthropic/claude-opus-5", messages=_MARKED))
    assert sent.marks == (Mark(("messages", 0)),)
    assert [note.path for note in report.sent] == ["messages[0]"]
    assert (report.moved, report.changed, report.dropped) == ((), (), ())


async def test_marks_are_translated_for_the_provider_that_is_asked() -> None:
    """The same request for another provider: nothing of the former translation remains."""
    sent, report = await _ask(Request(model="deepseek/deepseek-flash", messages=_MARKED))
    assert sent.marks == ()
    assert sent.messages == [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
    (note,) = report.dropped
    assert "DeepSeek caches by itself" in str(note.reason)


async def test_a_request_without_marks_is_the_same_object() -> None:
    """No translation, no report, no copy."""
    request = Request(model="anthropic/claude-opus-5", messages=[{"role": "user", "content": "q"}])
    sent, report = await _ask(request)
    assert sent is request
    assert report == CacheReport()


async def test_an_unknown_provider_is_refused() -> None:
    """Before anything is sent."""
    with pytest.raises(UnknownProviderError, match="no provider named 'anthropc'"):
        await _ask(Request(model="anthropc/claude-opus-5", messages=_MARKED))


@pytest.mark.parametrize(("parts", "loops"), [(False, 10), (True, 25)])
def test_a_thousand_unmarked_messages_cost_next_to_nothing(parts: bool, loops: int) -> None:
    """A small multiple of merely looking up each message's role, measured beside it (4 and 10 on a quiet machine)."""
    content: Any = [{"type": "text", "text": "hello"}] if parts else "hello"
    talk = [{"role": "assistant" if turn % 2 else "user", "content": content} for turn in range(1000)]
    request = Request(model="anthropic/claude-opus-5", messages=talk)

    def look() -> None:
        for message in talk:
            message.get("role")

    def plan() -> None:
        assert apply_cache_rules(request, NEW_CLAUDE) is request

    def fastest(run: Callable[[], None]) -> float:
        times = []
        for _ in range(50):
            started = time.perf_counter()
            run()
            times.append(time.perf_counter() - started)
        return min(times)

    assert fastest(plan) < loops * fastest(look)
