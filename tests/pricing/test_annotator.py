"""The stage that prices an answer, in a real stream."""

from __future__ import annotations

import copy
from decimal import Decimal

import pytest

from asynccache.events import Event, Finished, Started, TextDelta, Usage
from asynccache.pipeline import Pipeline, stage_name
from asynccache.pricing.annotator import AnnotateCost, annotate_cost
from asynccache.pricing.registry import price_book
from asynccache.request import Mark, Request
from tests.pricing.usages import used
from tests.usage.answers import Transport

pytestmark = pytest.mark.anyio

STARTED = Started(id="1", model="gpt-4o-2024-08-06")
TEXT = TextDelta("Hi")
FINISHED = Finished("stop")


async def answer(request: Request, *events: Event, stage: AnnotateCost = annotate_cost) -> list[Event]:
    """What comes out of the stage when *events* go in."""
    stream = await stage(request, Transport(events))
    return [event async for event in stream]


async def test_the_usage_leaves_with_its_cost() -> None:
    """Everything passes unchanged but the usage, which gains the amount and the breakdown; the given one stays."""
    usage = used(86, 1920, 300)
    before = copy.copy(usage)
    out = await answer(Request(model="openai/gpt-4o", messages=[]), STARTED, TEXT, FINISHED, usage)
    assert out[:3] == [STARTED, TEXT, FINISHED]
    priced = out[3]
    assert type(priced) is Usage
    assert priced.cost == 0.005615
    assert priced.cost_details is not None
    assert priced.cost_details.total == Decimal("0.005615")
    assert priced.cost_details.saved == Decimal("0.0024")
    assert priced.prompt_tokens == 2006
    assert usage == before


async def test_the_answers_model_is_preferred() -> None:
    """DeepSeek answers an old alias with a newer model: its price holds."""
    started = Started(model="deepseek-v4-pro")
    out = await answer(Request(model="deepseek/deepseek-chat", messages=[]), started, used(0, 0, 1_000_000))
    priced = out[-1]
    assert type(priced) is Usage
    assert priced.cost_details is not None
    assert priced.cost_details.price is not None
    assert priced.cost_details.price.model == "deepseek/deepseek-v4-pro"


async def test_a_model_that_only_the_request_names() -> None:
    """Without a word of the answer's the request's model is priced; an answer's unknown name falls back to it."""
    request = Request(model="openai/gpt-4o", messages=[])
    for started in ([], [Started(model="my-deployment")]):
        priced = (await answer(request, *started, used(1_000_000)))[-1]
        assert type(priced) is Usage
        assert priced.cost == 2.5


async def test_a_tier_told_beside_the_usage_counts() -> None:
    """The tier of the answer's head holds where the usage names none."""
    request = Request(model="openai/gpt-4o", messages=[])
    started = Started(model="gpt-4o", service_tier="priority")
    priced = (await answer(request, started, used(86, 1920, 300)))[-1]
    assert type(priced) is Usage
    assert priced.cost == 0.0095455
    assert priced.service_tier == "priority"


async def test_an_unknown_price_is_none_with_a_reason() -> None:
    """Any model of any provider passes; its cost is open and says so."""
    priced = (await answer(Request(model="openai/secret-model", messages=[]), used(1, 0, 1)))[-1]
    assert type(priced) is Usage
    assert priced.cost is None
    assert priced.cost_details is not None
    assert priced.cost_details.reason == "no price is known for the model 'secret-model' of openai"


async def test_the_lifetime_asked_for() -> None:
    """Where the provider tells no split, the marks' own lifetime is priced; several lifetimes decide nothing."""
    unsplit = Usage(
        prompt_tokens=100, completion_tokens=0, cache_creation_input_tokens=100, source="provider"
    )
    for ttls, lifetime in ((("12h",), "12h"), (("30m", "12h"), "30m"), ((), "30m")):
        marks = tuple(Mark(("messages", number), ttl) for number, ttl in enumerate(ttls))
        priced = (await answer(Request(model="openai/gpt-5.6", messages=[], marks=marks), unsplit))[-1]
        assert type(priced) is Usage
        assert priced.cost_details is not None
        assert list(priced.cost_details.cache_write_by_lifetime) == [lifetime]


async def test_a_book_of_its_own() -> None:
    """A stage with a book prices by it."""
    stage = AnnotateCost(price_book({"openai/gpt-4o": {"input": 1, "output": 1}}))
    priced = (await answer(Request(model="openai/gpt-4o", messages=[]), used(1_000_000), stage=stage))[-1]
    assert type(priced) is Usage
    assert priced.cost == 1


async def test_the_picture_names_the_stage() -> None:
    """In the pipeline's picture it goes by `annotate_cost`."""
    assert repr(annotate_cost) == stage_name(annotate_cost) == "annotate_cost"
    assert "annotate_cost" in repr(Pipeline([annotate_cost], Transport()))
