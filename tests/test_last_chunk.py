"""The usage chunk is one and last, whatever the caller's own stages do to the stream."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from asynccache import Client, Stream, Usage, default_stages
from asynccache.events import Event, Finished, Started, TextDelta
from asynccache.testing import environment, simulator

pytestmark = pytest.mark.anyio

ASKED = [{"role": "user", "content": "What are the terms?"}]


@pytest.fixture(autouse=True)
async def _simulated(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    async with simulator(answer="as agreed") as sim:
        for name, value in environment(sim).items():
            monkeypatch.setenv(name, value)
        yield


class Piped:
    """A stage that pipes a new machine of *kind* into the stream."""

    def __init__(self, kind: type[Any]) -> None:
        self.kind = kind

    async def __call__(self, request: Any, call_next: Any) -> Any:
        return (await call_next(request)).pipe(self.kind())


class LastWord:
    """Holds the text back to its end, and speaks after all that the stages within said."""

    def __init__(self) -> None:
        self.held = ""

    def feed(self, event: Event, emit: Any) -> None:
        if type(event) is TextDelta:
            self.held += event.text
        else:
            emit(event)

    def flush(self, emit: Any) -> None:
        emit(TextDelta(self.held + ", and goodbye"))


class NoUsage:
    """Lets no usage through."""

    takes = frozenset({Usage})

    def feed(self, event: Event, emit: Any) -> None:
        """Drop it."""

    def flush(self, emit: Any) -> None:
        """Nothing is held back."""


class Memory:
    """A source of an answer that no provider gave."""

    def __init__(self) -> None:
        self.items: list[Event] = [Started(id="m", model="memory"), TextDelta("known"), Finished("stop")]

    async def receive(self) -> Event:
        if not self.items:
            raise anyio.EndOfStream
        return self.items.pop(0)

    async def aclose(self) -> None:
        """Nothing is held."""


async def remember(_request: Any, _call_next: Any) -> Any:
    return Stream(Memory())


@pytest.mark.parametrize(
    ("stage", "text", "source"),
    [
        (Piped(LastWord), "as agreed, and goodbye", "provider"),
        (Piped(NoUsage), "as agreed", "provider"),
        (remember, "known", "missing"),
    ],
    ids=["last word", "no usage", "elsewhere"],
)
@pytest.mark.parametrize("outermost", [True, False])
async def test_one_and_last(stage: Any, text: str, source: str, outermost: bool) -> None:
    """A stage that speaks last, drops the usage or answers from elsewhere still leaves one usage chunk, last."""
    stages = default_stages()
    stages.insert(0 if outermost else 3, stage)  # at 3 within annotate_cost, around normalize_usage
    async with Client(stages=stages) as client:
        async with await client.acompletion("openai/gpt-4o", ASKED, stream=True) as stream:
            chunks = [chunk async for chunk in stream]
            with pytest.raises(StopAsyncIteration):
                await stream.__anext__()
        whole = await client.acompletion("openai/gpt-4o", ASKED)
    told = [number for number, chunk in enumerate(chunks) if chunk.usage is not None]
    assert told == [len(chunks) - 1]
    assert chunks[-1].choices == []
    said = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert said == stream.completion.choices[0].message.content == text
    assert chunks[-1].usage == stream.usage == stream.completion.usage
    if outermost or stage is remember or stage.kind is not NoUsage:  # within the record, it is lost for good
        assert stream.usage.source == source
        assert whole.usage.source == source
    assert whole.choices[0].message.content == text


async def test_without_the_usage_stage() -> None:
    """A pipeline without the stages of usage says at the end that it knows of none."""
    stages = [stage for stage in default_stages() if getattr(stage, "__name__", "") != "normalize_usage"]
    async with Client(stages=stages) as client:
        stream = await client.acompletion("openai/gpt-4o", ASKED, stream=True)
        chunks = [chunk async for chunk in stream]
    assert [chunk.usage.source for chunk in chunks if chunk.usage] == ["missing"]
    assert chunks[-1].choices == []
