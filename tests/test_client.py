"""The client as its callers use it: whole and streamed, async and sync, its clients shared and its own."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal
from typing import Any

import msgspec
import pytest

import asynccache
from asynccache import (
    Client,
    InvalidRequestError,
    Stream,
    Usage,
    WrongEventLoopError,
    acompletion,
    completion,
    default_stages,
)
from asynccache.events import Event, Finished, Started, TextDelta
from asynccache.simulator import Simulator
from asynccache.testing import environment, simulator

pytestmark = pytest.mark.anyio

LONG = "The contract says what the parties owe each other. " * 400
MODELS = {
    "openai": "openai/gpt-4o",
    "anthropic": "anthropic/claude-sonnet-4-5",
    "deepseek": "deepseek/deepseek-chat",
}
MARKED = [
    {"role": "system", "content": [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}]},
    {"role": "user", "content": "What are the terms?"},
]


@pytest.fixture
async def sim(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Simulator]:
    async with simulator() as sim:
        for name, value in environment(sim).items():
            monkeypatch.setenv(name, value)
        yield sim


@pytest.fixture
async def client(sim: Simulator) -> AsyncIterator[Client]:
    async with Client(max_retries=0) as client:
        yield client


def shape(value: Any) -> Any:
    """The keys of a JSON value, all the way down."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in sorted(value.items())}
    return [shape(item) for item in value[:1]] if isinstance(value, list) else None


@pytest.mark.parametrize("model", MODELS.values())
async def test_streamed_and_whole_agree(client: Client, model: str) -> None:
    """The same request gives the same text, usage and cost either way, and the second reads the cache."""
    first = await client.acompletion(model, MARKED)
    async with await client.acompletion(model, MARKED, stream=True) as stream:
        chunks = [chunk async for chunk in stream]
    again = await client.acompletion(model, MARKED)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == first.choices[0].message.content == stream.completion.choices[0].message.content
    assert stream.usage is not None
    assert chunks[-1].usage is stream.usage
    assert stream.usage.prompt_tokens == first.usage.prompt_tokens
    assert stream.usage.completion_tokens == first.usage.completion_tokens
    assert again.usage.cached_tokens == stream.usage.cached_tokens
    assert again.cost.total == stream.cost.total
    if not model.startswith("deepseek"):  # there a prefix is found common only the third time
        assert stream.usage.cached_tokens
    assert set(shape(stream.usage.to_dict())) == set(shape(first.usage.to_dict()))


async def test_same_keys_for_every_provider(client: Client) -> None:
    """Usage has the same keys for every provider, but for what only one of them tells."""
    keys = []
    for model in MODELS.values():
        usage = (await client.acompletion(model, MARKED)).usage.to_dict()
        keys.append(
            shape(
                {
                    name: value
                    for name, value in usage.items()
                    if name not in {"service_tier", "inference_geo"}
                }
            )
        )
    assert keys[0] == keys[1] == keys[2]


async def test_savings(client: Client) -> None:
    """A first call that writes costs more than none would, a second that reads less; all of it exact."""
    wrote = (await client.acompletion(MODELS["anthropic"], MARKED)).cost
    read = (await client.acompletion(MODELS["anthropic"], MARKED)).cost
    assert wrote.saved is not None
    assert read.saved is not None
    assert read.total is not None
    assert wrote.saved < 0 < read.saved
    assert type(read.total) is Decimal
    parts = [read.uncached_input, read.cache_read, read.cache_write, read.output, read.other]
    assert sum(part for part in parts if part is not None) == read.total
    assert read.without_cache == read.total + read.saved


async def test_cache_report(client: Client) -> None:
    """Every mark is accounted for: sent where there is a cache to mark, dropped with a reason elsewhere."""
    sent = await client.acompletion(MODELS["anthropic"], MARKED)
    assert [note.path for note in sent.cache_report.sent] == ["messages[0].content[0]"]
    dropped = await client.acompletion(MODELS["deepseek"], MARKED)
    assert [note.path for note in dropped.cache_report.dropped] == ["messages[0].content[0]"]
    assert dropped.cache_report.dropped[0].reason
    async with await client.acompletion(MODELS["anthropic"], MARKED, stream=True) as stream:
        assert [note.path for note in stream.cache_report.sent] == ["messages[0].content[0]"]


async def test_bytes_of_an_unchanged_prefix(client: Client, sim: Simulator) -> None:
    """Two turns of one conversation send the same bytes as far as they are the same, and the caller's objects stay."""
    before = json.dumps(MARKED)
    await client.acompletion(MODELS["anthropic"], MARKED)
    longer = [*MARKED, {"role": "assistant", "content": "These."}, {"role": "user", "content": "And?"}]
    await client.acompletion(MODELS["anthropic"], longer)
    first, second = (json.dumps(record.body["messages"] + [record.body["system"]])[:20] for record in sim.log)
    assert first == second
    assert sim.log[0].body["messages"] == sim.log[1].body["messages"][:1]
    assert json.dumps(MARKED) == before


async def test_unknown_model_has_no_price(client: Client) -> None:
    """A model that the book does not know is asked all the same; its cost is None, with the reason."""
    reply = await client.acompletion("openai/some-finetune", [{"role": "user", "content": "hi"}])
    assert reply.usage.prompt_tokens
    assert reply.usage.cost is None
    assert reply.cost.total is None
    assert "some-finetune" in (reply.cost.reason or "")


async def test_stages_of_the_caller(client: Client) -> None:
    """A caller's stage can refuse, change the request, answer from elsewhere, and change, add and drop events."""

    class Shout:
        def feed(self, event: Event, emit: Any) -> None:
            if type(event) is TextDelta:
                emit(msgspec.structs.replace(event, text=event.text.upper()))
            elif type(event) is Usage:
                emit(TextDelta(" (end)"))
                emit(event)
            else:
                emit(event)

        def flush(self, emit: Any) -> None:
            pass

    async def shout(request: Any, call_next: Any) -> Any:
        return (await call_next(request)).pipe(Shout())

    async def brief(request: Any, call_next: Any) -> Any:
        return await call_next(msgspec.structs.replace(request, params={**request.params, "max_tokens": 3}))

    async def refuse(request: Any, call_next: Any) -> Any:
        raise PermissionError("budget")

    class Memory:
        def __init__(self) -> None:
            self.items: list[Event] = [Started(id="m", model="memory"), TextDelta("known"), Finished("stop")]

        async def receive(self) -> Event:
            import anyio

            if not self.items:
                raise anyio.EndOfStream
            return self.items.pop(0)

        async def aclose(self) -> None:
            pass

    async def remember(request: Any, call_next: Any) -> Any:
        return Stream(Memory())

    async with Client(stages=[shout, brief, *default_stages()]) as own:
        reply = await own.acompletion(MODELS["openai"], MARKED)
        text = reply.choices[0].message.content or ""
        assert text.endswith("(end)")
        assert text[:-5].isupper()
        assert reply.usage.completion_tokens == 3
        assert reply.choices[0].finish_reason == "length"
    async with Client(stages=[refuse, *default_stages()]) as own:
        with pytest.raises(PermissionError, match="budget"):
            await own.acompletion(MODELS["openai"], MARKED)
    async with Client(stages=[remember, *default_stages()]) as own:
        reply = await own.acompletion(MODELS["openai"], MARKED)
        assert reply.choices[0].message.content == "known"
        assert reply.model == "memory"


def test_picture() -> None:
    """The client draws what a request flows through, the caller's own stages in their place."""

    async def mine(request: Any, call_next: Any) -> Any:
        return await call_next(request)

    picture = repr(Client(stages=[mine, *default_stages()]).pipeline)
    order = [
        "caller",
        "mine",
        "retry",
        "annotate_cost",
        "normalize_usage",
        "aggregate",
        "translate_cache_control",
    ]
    places = [picture.index(name) for name in [*order, "transport", "provider"]]
    assert places == sorted(places)


async def test_retries(client: Client, sim: Simulator) -> None:
    """A passing failure is tried again before the first content, as often as asked and no more; each attempt is told."""
    usages: list[Usage] = []
    fails_twice = {"x-simulator": json.dumps({"id": "r", "status": 503, "times": 2, "retry_after": "0.01"})}
    reply = await client.acompletion(
        MODELS["openai"], MARKED, num_retries=2, extra_headers=fails_twice, on_usage=usages.append
    )
    assert reply.choices[0].message.content
    assert [record.status for record in sim.log] == [503, 503, 200]
    assert [usage.source for usage in usages] == ["missing", "missing", "provider"]


async def test_on_usage_must_be_callable(client: Client) -> None:
    """What cannot be called is refused before anything is sent."""
    with pytest.raises(asynccache.InvalidRequestError, match="on_usage"):
        await client.acompletion(MODELS["openai"], MARKED, on_usage="log")


async def test_verbose_shows_the_request(
    client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: Any
) -> None:
    """`set_verbose` shows the raw request, its key hidden."""
    monkeypatch.setattr(asynccache, "set_verbose", True)
    monkeypatch.setattr(logging.getLogger("asynccache"), "level", logging.NOTSET)
    await client.acompletion(
        MODELS["anthropic"], [{"role": "user", "content": "shown"}], api_key="sk-canary-1234567"
    )
    assert "shown" in caplog.text
    assert "/v1/messages" in caplog.text
    assert "canary" not in caplog.text


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A simulator in a thread of its own, reached by the environment."""
    ready, stop = threading.Event(), threading.Event()
    found: dict[str, str] = {}

    async def serve() -> None:
        async with simulator() as sim:
            found.update(environment(sim))
            ready.set()
            while not stop.is_set():
                await asyncio.sleep(0.01)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(60)
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    yield
    stop.set()
    thread.join()


def test_synchronous(environ: None) -> None:
    """`completion` and its stream need no event loop, run on the same pipeline, and may be left early."""
    reply = completion(model=MODELS["openai"], messages=MARKED)
    with completion(model=MODELS["openai"], messages=MARKED, stream=True) as stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == reply.choices[0].message.content
    assert stream.usage is not None
    assert stream.usage.cached_tokens
    assert stream.cost.total == Decimal(str(stream.usage.cost))
    with completion(model=MODELS["openai"], messages=MARKED, stream=True) as left:
        next(left)
    with pytest.raises(asynccache.UnknownProviderError):
        completion(model="nobody/x", messages=MARKED)


def test_synchronous_in_threads_beside_a_loop(environ: None) -> None:
    """Calls from several threads while a loop runs elsewhere are answered each for itself."""

    async def both() -> None:
        calls = [asyncio.to_thread(completion, MODELS["deepseek"], MARKED) for _ in range(4)]
        replies = await asyncio.gather(acompletion(MODELS["openai"], MARKED), *calls)
        assert all(reply.choices[0].message.content for reply in replies)

    asyncio.run(both())


@pytest.mark.parametrize("retries", ["2", -1, 1.5, True, None])
def test_a_client_takes_no_bad_setting(retries: Any) -> None:
    """What cannot be counted is refused where it stands, and not by the first call that fails."""
    with pytest.raises(InvalidRequestError, match=r"max_retries=.* is not a whole number"):
        Client(max_retries=retries)


def test_a_name_that_is_not_there() -> None:
    """Python is told enough to propose the nearest."""
    with pytest.raises(AttributeError, match="no attribute 'acompletions'") as caught:
        asynccache.acompletions  # noqa: B018 - what is tested
    assert (caught.value.name, caught.value.obj) == ("acompletions", asynccache)
    assert "acompletion" in dir(asynccache)


def test_without_a_loop_of_asyncios() -> None:
    """Another library's loop, or none, is told in the tree of errors, with what synchronous code calls."""
    call = acompletion("openai/gpt-4o", [{"role": "user", "content": "x"}])
    with pytest.raises(WrongEventLoopError, match=r"trio's will not do; .* calls completion\(\)"):
        call.send(None)


def test_nothing_is_left_at_the_end(environ: None) -> None:
    """A program that ends with `asyncio.run` prints no warning and leaves no client behind; so does a second loop."""
    program = textwrap.dedent(
        """
        import asyncio, asynccache
        from asynccache import calls
        async def main():
            reply = await asynccache.acompletion("openai/gpt-4o", [{"role": "user", "content": "hi"}])
            stream = await asynccache.acompletion("openai/gpt-4o", [{"role": "user", "content": "hi"}], stream=True)
            async with stream:
                async for chunk in stream: pass
            return len(calls._shared)
        print(asyncio.run(main()), asyncio.run(main()), len(calls._shared))
        reply = asynccache.completion("openai/gpt-4o", [{"role": "user", "content": "hi"}])
        print("done")
        """
    )
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert run.stderr == ""
    assert run.stdout.split() == ["1", "1", "0", "done"]


@pytest.mark.parametrize("model", MODELS.values())
async def test_json_is_openais(client: Client, model: str) -> None:
    """Chunks and completions are OpenAI's JSON: OpenAI's own models take them, and give them back the same."""
    from openai.types.chat import ChatCompletion, ChatCompletionChunk

    tools = [
        {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
    ]
    for arguments in ({}, {"tools": tools, "tool_choice": "required"}):
        reply = await client.acompletion(model, MARKED, **arguments)
        plain = json.loads(reply.to_json())
        taken = ChatCompletion.model_validate(plain, strict=False)
        assert taken.choices[0].message.content == reply.choices[0].message.content
        assert taken.usage is not None
        assert taken.usage.prompt_tokens == reply.usage.prompt_tokens
        assert plain.keys() <= {
            "id", "object", "created", "model", "choices", "usage", "service_tier", "system_fingerprint",
        }  # fmt: skip
        assert reply.to_dict() == plain
        async with await client.acompletion(model, MARKED, stream=True, **arguments) as stream:
            chunks = [ChatCompletionChunk.model_validate_json(chunk.to_json()) async for chunk in stream]
        assert chunks[0].choices[0].delta.role == "assistant"
        assert {chunk.id for chunk in chunks} == {chunks[0].id}
        assert chunks[-1].usage is not None
        assert chunks[-2].choices[0].finish_reason in {"stop", "tool_calls"}
        if arguments:
            names = [
                call.function.name
                for chunk in chunks
                for choice in chunk.choices
                for call in choice.delta.tool_calls or []
                if call.function and call.function.name
            ]
            assert names
            assert set(names) == {"look"}


async def test_a_pipeline_needs_its_stages(sim: Simulator) -> None:
    """Without the stage that makes events of bytes the error says what is missing."""
    async with Client(stages=[]) as bare:
        with pytest.raises(TypeError, match="default_stages"):
            await bare.acompletion(MODELS["openai"], MARKED)


async def test_nothing_sent_is_no_attempt(client: Client, sim: Simulator) -> None:
    """A call that is refused before anything is sent used nothing, and tells nothing."""
    usages: list[Usage] = []
    with pytest.raises(asynccache.UnsupportedParamsError):
        await client.acompletion(MODELS["anthropic"], MARKED, logprobs=True, on_usage=usages.append)
    assert usages == []
    assert len(sim.log) == 0


@pytest.mark.parametrize("model", MODELS.values())
@pytest.mark.parametrize("rate", [None, 2000.0])
async def test_outer_stages_see_every_event(model: str, rate: float | None) -> None:
    """A caller's machine sees all of an answer on every wire, also what comes after the first read."""

    class Count:
        def __init__(self) -> None:
            self.texts: list[str] = []

        def feed(self, event: Event, emit: Any) -> None:
            if type(event) is TextDelta:
                self.texts.append(event.text)
            emit(event)

        def flush(self, emit: Any) -> None:
            pass

    counts: list[Count] = []

    async def count(request: Any, call_next: Any) -> Any:
        counts.append(Count())
        return (await call_next(request)).pipe(counts[-1])

    provider = model.partition("/")[0]
    async with simulator(rate=rate) as sim, Client(stages=[count, *default_stages()]) as client:
        where = {"api_key": "k", "api_base": getattr(sim, f"{provider}_base")}
        async with await client.acompletion(model, MARKED, stream=True, **where) as stream:
            text = "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])
    assert "".join(counts[0].texts) == text
    assert len(counts[0].texts) > 5
