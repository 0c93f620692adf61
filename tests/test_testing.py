"""What `asynccache.testing` gives to other people's tests."""

from __future__ import annotations

import pytest

from asynccache import (
    Client,
    Completion,
    Emit,
    Event,
    OverloadedError,
    Pipeline,
    Request,
    Stream,
    StreamInterruptedError,
    Usage,
    acompletion,
    completion,
    default_stages,
)
from asynccache.events import Finished, Started, TextDelta
from asynccache.pipeline import CallNext
from asynccache.reply import Chunk, PromptTokensDetails
from asynccache.testing import assert_cache_hit, environment, scripted, simulator

pytestmark = pytest.mark.anyio

LONG = [{"role": "user", "content": "The same words again and again. " * 400}]


class Shout:
    def feed(self, item: Event, emit: Emit[Event], /) -> None:
        emit(TextDelta(item.text.upper()) if type(item) is TextDelta else item)

    def flush(self, emit: Emit[Event], /) -> None:
        emit(TextDelta("!"))


async def shout(request: Request, call_next: CallNext) -> Stream[Event]:
    return (await call_next(request)).pipe(Shout())


async def test_simulator_by_address() -> None:
    """A call with the simulator's address is answered by it, and a second one hits its cache."""
    async with simulator(answer="Yes.") as sim, Client() as client:
        first = await client.acompletion("openai/gpt-4o", LONG, api_base=sim.openai_base, api_key="")
        second = await client.acompletion("openai/gpt-4o", LONG, api_base=sim.openai_base, api_key="")
    assert first.choices[0].message.content == "Yes."
    with pytest.raises(AssertionError, match="expected a cache hit of at least 1 tokens, got 0: prompt 3"):
        assert_cache_hit(first)
    assert_cache_hit(second, at_least=2048)


def test_simulator_for_synchronous_code() -> None:
    """Under a plain `with` it answers calls that block this thread; its clock and its log are at hand, and it ends."""
    with simulator(answer="Yes.") as sim:
        for _ in range(2):
            reply = completion("openai/gpt-4o", LONG, api_base=sim.openai_base, api_key="")
        assert_cache_hit(reply)
        sim.clock.advance("1h")
        late = completion("openai/gpt-4o", LONG, api_base=sim.openai_base, api_key="")
        assert late.usage.cached_tokens == 0
        assert len(sim.log) == 3
    with pytest.raises(RuntimeError, match="not running"):
        _ = sim.openai_base
    with sim:
        assert completion("openai/gpt-4o", LONG, api_base=sim.openai_base, api_key="").usage.prompt_tokens


@pytest.mark.parametrize(
    "model",
    [
        "openai/gpt-4o",
        "anthropic/claude-sonnet-4-5",
        "deepseek/deepseek-flash",
        "bedrock/global.anthropic.claude-sonnet-5",
    ],
)
async def test_simulator_by_environment(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`environment` leads calls without an address or a key to the simulator."""
    async with simulator(answer_tokens=2) as sim:
        for name, value in environment(sim).items():
            monkeypatch.setenv(name, value)
        reply = await acompletion(model, LONG)
    assert reply.usage.source == "provider"
    assert len(sim.log) == 1


async def test_the_clock_can_be_moved() -> None:
    """After the cache's lifetime the same prompt is read no more."""
    marked = [{**LONG[0], "cache_control": {"type": "ephemeral"}}]
    async with simulator() as sim, Client() as client:

        async def ask() -> Completion:
            return await client.acompletion(
                "anthropic/claude-sonnet-4-5", marked, api_base=sim.anthropic_base, api_key=""
            )

        await ask()
        assert_cache_hit(await ask())
        sim.clock.advance("6m")
        with pytest.raises(AssertionError, match="expected a cache hit"):
            assert_cache_hit(await ask())


async def test_a_stream_is_asked_after_its_end() -> None:
    """A stream tells its hit once it has been read; before that there is nothing to assert."""
    async with simulator() as sim, Client() as client:
        for _ in range(2):
            stream = await client.acompletion(
                "openai/gpt-4o", LONG, stream=True, api_base=sim.openai_base, api_key=""
            )
            with pytest.raises(AssertionError, match="no usage"):
                assert_cache_hit(stream)
            chunks = [chunk async for chunk in stream]
    assert_cache_hit(stream)
    assert_cache_hit(chunks[-1])


def test_assert_cache_hit_reads_a_bare_usage() -> None:
    """A usage will do; what is not known is no hit."""
    assert_cache_hit(Usage(prompt_tokens_details=PromptTokensDetails(cached_tokens=7)), at_least=7)
    with pytest.raises(AssertionError, match="at least 8 tokens, got 7"):
        assert_cache_hit(Usage(prompt_tokens_details=PromptTokensDetails(cached_tokens=7)), at_least=8)
    with pytest.raises(AssertionError, match="got None"):
        assert_cache_hit(Usage())
    with pytest.raises(AssertionError, match="no usage"):
        assert_cache_hit(Chunk(id="", choices=[], created=0, model=""))


async def test_scripted_as_the_innermost_stage() -> None:
    """A client around a script gives the script's events, and nothing leaves the process."""
    script = scripted(Started(id="1", model="m"), TextDelta("a"), TextDelta("b"), Finished("stop"), Usage())
    async with Client(stages=[shout, script]) as client:
        for _ in range(2):
            reply = await client.acompletion("openai/gpt-4o", LONG, temperature=0)
            assert reply.choices[0].message.content == "AB!"
        assert client.connections == 0
    assert [request.model for request in script.requests] == ["openai/gpt-4o"] * 2
    assert script.requests[0].params == {"temperature": 0}
    assert "scripted" in repr(client.pipeline)


async def test_scripted_as_call_next() -> None:
    """A stage can be called by hand, with a script behind it."""
    stream = await shout(Request(model="openai/x", messages=LONG), scripted(TextDelta("a")))
    assert [event async for event in stream] == [TextDelta("A"), TextDelta("!")]
    whole = Pipeline([shout], scripted(TextDelta("b")))
    assert [event async for event in await whole(Request(model="openai/x", messages=LONG))] == [
        TextDelta("B"),
        TextDelta("!"),
    ]


async def test_scripted_errors() -> None:
    """An exception in a script is raised in its place: before the first event it can be retried."""
    cut = scripted(TextDelta("half"), StreamInterruptedError("cut"))
    async with Client(stages=[cut]) as client:
        stream = await client.acompletion("openai/gpt-4o", LONG, stream=True)
        async with stream:
            assert (await anext(stream)).choices[0].delta.content == "half"
            with pytest.raises(StreamInterruptedError, match="cut"):
                await anext(stream)

    busy = scripted(OverloadedError("busy", status_code=529, retry_after=0.001))
    async with Client(stages=[default_stages()[0], busy]) as client:
        with pytest.raises(OverloadedError):
            await client.acompletion("openai/gpt-4o", LONG, max_retries=2)
    assert len(busy.requests) == 3
