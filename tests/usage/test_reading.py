"""What providers really said about tokens, read by the table."""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from asynccache.errors import ConfigurationError
from asynccache.reply import CacheCreation, Usage
from asynccache.usage.fields import DIALECTS
from asynccache.usage.reading import merge_told, read_usage
from asynccache.usage.straight import COMPLETION_PARTS, LIFETIMES, PROMPT_PARTS
from tests.shared import requires_shared, shared

# Recorded answers that count more tokens as cached than the prompt had: no reading of them adds up.
_IMPOSSIBLE = {
    "azure-ai__chat__chat-function-calling-azure-grok-4-1-fast-non-reasoning-can__1__b482b1",
    "azure-ai__chat__chat-function-calling-azure-grok-4-1-fast-non-reasoning-can__2__5cd0b6",
    "azure-ai__chat__chat-function-calling-azure-grok-4-1-fast-non-reasoning-can__2__9dacf3",
    "azure-ai__chat__chat-string-tool-results-azure-grok-4-1-fast-non-reasoning-p__0__f004ed",
    "azure-ai__chat__chat-string-tool-results-azure-grok-4-1-fast-non-reasoning-p__1__9c3d49",
    "openrouter__chat__test-openrouter-cache-instructions-gemini-real-api__0__0ff731",
}
_BY_API = {
    "messages": "anthropic",
    "responses": "openai-responses",
    "converse": "bedrock-converse",
    "converse-stream": "bedrock-converse",
    "chat": "openai",
    "generate": "gemini",
    "stream-generate": "gemini",
}
_BY_INVOKE_FIELD = {
    "prompt_tokens": "bedrock-invoke-openai",
    "inputTokens": "bedrock-invoke-nova",
    "inputTokenCount": "bedrock-invoke-metrics",
    "input_tokens": "bedrock-invoke-claude",
}


def _dialect(provider: str, api: str, raw: dict[str, Any]) -> str:
    if api.startswith("invoke"):
        return next(dialect for field, dialect in _BY_INVOKE_FIELD.items() if field in raw)
    return "deepseek" if (provider, api) == ("deepseek", "chat") else _BY_API[api]


def _adds_up(usage: Usage) -> bool:
    details, creation = usage.prompt_tokens_details, usage.cache_creation
    lifetimes = [getattr(creation, name) for name in CacheCreation.__struct_fields__]
    told = (
        usage.prompt_tokens,
        details.uncached_tokens,
        usage.cache_read_input_tokens,
        details.cache_write_tokens,
    )
    if None not in told and told[0] != told[1] + told[2] + told[3]:  # type: ignore[operator]
        return False
    if usage.prompt_tokens is None or usage.completion_tokens is None:
        assert usage.total_tokens is None
    elif usage.total_tokens != usage.prompt_tokens + usage.completion_tokens:
        return False
    written = usage.cache_creation_input_tokens
    if written is None:
        return lifetimes == [None] * 4
    same = details.cache_write_tokens == written and details.cached_tokens == usage.cache_read_input_tokens
    return same and sum(lifetimes) == written and min(lifetimes) >= 0


@requires_shared
def test_every_recorded_usage_of_every_provider() -> None:
    """Each recorded usage object reads as its ground truth says, or is one of six that cannot be true."""
    read = 0
    for path in sorted(shared("recordings").glob("*/*/*.expected.json")):
        expected = json.loads(path.read_bytes())
        raw, want = expected.get("raw_usage"), expected.get("usage")
        if raw is None or want is None:
            continue
        usage = read_usage(raw, _dialect(path.parts[-3], path.parts[-2], raw))
        read += 1
        assert _adds_up(usage), path.name
        assert usage.raw is raw
        if expected["case_id"] in _IMPOSSIBLE:
            assert want["uncached_input_tokens"] < 0
            assert usage.source == "invalid"
            continue
        assert usage.source == "provider", path.name
        got = {
            "input_tokens_total": usage.prompt_tokens,
            "uncached_input_tokens": usage.prompt_tokens_details.uncached_tokens,
            "cache_read_tokens": usage.cache_read_input_tokens,
            "cache_write_tokens": usage.cache_creation_input_tokens,
            "cache_write_1h_tokens": usage.cache_creation.ephemeral_1h_input_tokens,
            "output_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
            "reasoning_tokens": usage.completion_tokens_details.reasoning_tokens or 0,
        }
        assert got == {name: want[name] for name in got}, path.name
        if "cache_write_5m_tokens" in want:
            assert usage.cache_creation.ephemeral_5m_input_tokens == want["cache_write_5m_tokens"], path.name
        runs = want.get("billing_iterations")
        assert len(usage.iterations or ()) == len(runs or ())
        for run, truth in zip(usage.iterations or (), runs or (), strict=True):
            assert (run.type, run.model) == (truth["type"], truth["model"])
            assert run.input_tokens == truth["uncached_input_tokens"]
            assert run.cache_read_input_tokens == truth["cache_read_tokens"]
            assert run.cache_creation_input_tokens == truth["cache_write_tokens"]
            assert run.ephemeral_1h_input_tokens == truth["cache_write_1h_tokens"]
            assert run.output_tokens == truth["output_tokens"]
        if want.get("server_tool_use"):
            assert usage.server_tool_use == want["server_tool_use"]
    assert read >= 590


@requires_shared
def test_the_same_tokens_as_litellm() -> None:
    """Every parity case gives LiteLLM's tokens; where its total forgets the cache, ours does not."""
    dialects = {
        "gpt56": "openai",
        "converse": "bedrock-converse",
        "nova": "bedrock-converse",
        "invoke": "anthropic",
    }
    for case in json.loads(shared("facts", "parity.json").read_bytes()):
        provider = case["provider"]
        usage = read_usage(case["provider_usage"]["usage"], dialects.get(provider, provider))
        theirs = case["usage"]
        assert usage.prompt_tokens == theirs["prompt_tokens"], case["case"]
        assert usage.completion_tokens == theirs["completion_tokens"], case["case"]
        total = 2306 if case["case"] == "converse_total_without_cache" else theirs["total_tokens"]
        assert usage.total_tokens == total, case["case"]
        details = theirs["prompt_tokens_details"] or {}
        assert usage.cached_tokens == details.get("cached_tokens", 0), case["case"]
        assert usage.cache_creation_input_tokens == (details.get("cache_write_tokens") or 0), case["case"]


def _anthropic(**more: Any) -> dict[str, Any]:
    return {"input_tokens": 10, "output_tokens": 5, **more}


@pytest.mark.parametrize(
    ("creation", "written", "split"),
    [
        (None, 300, (300, 0)),
        ({"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0}, 300, (300, 0)),
        ({"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200}, 300, (100, 200)),
        ({"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200}, 450, (250, 200)),
        ({"ephemeral_1h_input_tokens": 200}, None, (0, 200)),
        ({"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200}, 0, (100, 200)),
    ],
)
def test_written_tokens_outside_the_split_are_5m(creation: Any, written: Any, split: tuple[int, int]) -> None:
    """Anthropic's split may be absent, zero, or short of the total: the rest was written for five minutes."""
    usage = read_usage(
        _anthropic(cache_creation=creation, cache_creation_input_tokens=written, cache_read_input_tokens=7),
        "anthropic",
    )
    kept = usage.cache_creation
    assert (kept.ephemeral_5m_input_tokens, kept.ephemeral_1h_input_tokens) == split
    assert usage.cache_creation_input_tokens == sum(split)
    assert usage.prompt_tokens == 10 + 7 + sum(split)


def test_anthropic_particulars_are_kept() -> None:
    """Tier, speed, region, server tools and thinking come through."""
    usage = read_usage(
        _anthropic(
            service_tier="priority",
            speed="fast",
            inference_geo="us",
            server_tool_use={"web_search_requests": 3, "web_fetch_requests": None},
            output_tokens_details={"thinking_tokens": 4},
        ),
        "anthropic",
    )
    assert (usage.service_tier, usage.speed, usage.inference_geo) == ("priority", "fast", "us")
    assert usage.server_tool_use == {"web_search_requests": 3}
    assert usage.completion_tokens_details.reasoning_tokens == 4


def test_tiers_are_found_where_each_provider_names_them() -> None:
    """Converse has an object, Gemini two names, and what is no word is no tier."""
    converse = {"inputTokens": 1, "outputTokens": 1, "serviceTier": {"type": "flex"}}
    assert read_usage(converse, "bedrock-converse").service_tier == "flex"
    assert (
        read_usage({"promptTokenCount": 1, "trafficType": "ON_DEMAND"}, "gemini").service_tier == "ON_DEMAND"
    )
    assert read_usage({"prompt_tokens": 1, "service_tier": 7, "speed": 23.5}, "openai").service_tier is None


def test_converse_lists_lifetimes_and_the_rest_is_5m() -> None:
    """cacheDetails may say less than was written; a lifetime that nobody knows counts as the rest."""
    told = {"inputTokens": 86, "outputTokens": 300, "totalTokens": 2306, "cacheWriteInputTokens": 1920}
    details = [
        {"ttl": "1h", "inputTokens": 1000},
        {"ttl": "1h", "inputTokens": 20},
        {"ttl": "9d", "inputTokens": 5},
    ]
    creation = read_usage({**told, "cacheDetails": details}, "bedrock-converse").cache_creation
    assert (creation.ephemeral_1h_input_tokens, creation.ephemeral_5m_input_tokens) == (1020, 900)


@pytest.mark.parametrize(
    ("read", "total", "prompt"),
    [
        (1920, 2306, 2006),  # total counts the cache: input does not
        (1920, 386, 2006),  # total forgets the cache, and input cannot hold it
        (50, 386, 86),  # total is input and output, and input can hold the cache: it does
        (50, 436, 136),
        (50, None, 136),
    ],
)
def test_converse_input_that_holds_the_cache_is_seen_by_the_total(
    read: int, total: int | None, prompt: int
) -> None:
    """inputTokens leaves the cache out, unless only the other reading agrees with totalTokens."""
    usage = read_usage(
        {"inputTokens": 86, "outputTokens": 300, "totalTokens": total, "cacheReadInputTokens": read},
        "bedrock-converse",
    )
    assert usage.prompt_tokens == prompt
    assert usage.total_tokens == prompt + 300


def test_converse_of_openai_models_counts_the_cache_twice_in_its_total() -> None:
    """The row for models whose stream counts the cache in never adds it again."""
    told = {"inputTokens": 4995, "outputTokens": 19, "totalTokens": 10007, "cacheWriteInputTokens": 4993}
    usage = read_usage(told, "bedrock-converse-inclusive")
    assert (usage.prompt_tokens, usage.total_tokens) == (4995, 5014)
    assert usage.cache_creation.ephemeral_30m_input_tokens == 4993


def test_reasoning_that_only_the_total_counts_is_output() -> None:
    """xAI leaves reasoning out of the completion count; others leave it in."""
    details = {"completion_tokens_details": {"reasoning_tokens": 582}}
    apart = {"prompt_tokens": 468, "completion_tokens": 77, "total_tokens": 1127, **details}
    within = {"prompt_tokens": 468, "completion_tokens": 659, "total_tokens": 1127, **details}
    assert (
        read_usage(apart, "openai").completion_tokens == read_usage(within, "openai").completion_tokens == 659
    )


def test_a_gateway_that_leaves_the_cache_out_of_the_prompt_is_seen_by_the_total() -> None:
    """prompt 86 with 1920 cached and a total of 2306 means a prompt of 2006, in OpenAI's spelling too."""
    told = {
        "prompt_tokens": 86,
        "completion_tokens": 300,
        "total_tokens": 2306,
        "cache_read_input_tokens": 1920,
    }
    assert read_usage(told, "openai").prompt_tokens == 2006


@pytest.mark.parametrize(
    ("more", "read", "written"),
    [
        ({"prompt_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 9}}, 40, 9),
        ({"cached_tokens": 40}, 40, 0),
        ({"prompt_cache_hit_tokens": 40, "prompt_cache_miss_tokens": 60}, 40, 0),
        ({"cache_read_input_tokens": 40, "cache_creation_input_tokens": 9}, 40, 9),
        ({"prompt_tokens_details": {"cached_tokens": 40, "cache_creation_input_tokens": 9}}, 40, 9),
        ({"prompt_tokens_details": None, "completion_tokens_details": None}, 0, 0),
        ({}, 0, 0),
    ],
)
def test_the_spellings_of_those_who_speak_openai(more: dict[str, Any], read: int, written: int) -> None:
    """Moonshot, Together, DeepSeek's models, Databricks, Qwen and OpenAI itself say the same thing."""
    usage = read_usage({"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110, **more}, "openai")
    assert (usage.cached_tokens, usage.cache_creation_input_tokens) == (read, written)
    assert usage.prompt_tokens_details.uncached_tokens == 100 - read - written


def test_openai_writes_last_as_long_as_was_asked() -> None:
    """Chat never splits its writes: 30m, or the one lifetime that the request asked for."""
    told = {"prompt_tokens": 100, "completion_tokens": 1, "prompt_tokens_details": {"cache_write_tokens": 90}}
    assert read_usage(told, "openai").cache_creation.ephemeral_30m_input_tokens == 90
    assert read_usage(told, "openai", lifetime="12h").cache_creation.ephemeral_12h_input_tokens == 90
    split = {
        "cache_write_tokens": 90,
        "cache_write_tokens_details": {"ttl_30m_tokens": 20, "ttl_12h_tokens": 70},
    }
    responses = read_usage(
        {"input_tokens": 100, "output_tokens": 1, "input_tokens_details": split},
        "openai-responses",
        lifetime="12h",
    ).cache_creation
    assert (responses.ephemeral_30m_input_tokens, responses.ephemeral_12h_input_tokens) == (20, 70)


_BAD = [-1, 1.5, "12", True, float("nan"), float("inf"), 10**10, 1e30, [], {}]


@pytest.mark.parametrize("bad", _BAD, ids=repr)
@pytest.mark.parametrize(
    ("dialect", "place"),
    [
        ("openai", "prompt_tokens"),
        ("openai", "completion_tokens"),
        ("openai", "total_tokens"),
        ("openai", "prompt_tokens_details.cached_tokens"),
        ("openai", "prompt_tokens_details.audio_tokens"),
        ("openai", "completion_tokens_details.reasoning_tokens"),
        ("anthropic", "input_tokens"),
        ("anthropic", "cache_read_input_tokens"),
        ("anthropic", "cache_creation.ephemeral_1h_input_tokens"),
        ("anthropic", "server_tool_use.web_search_requests"),
        ("deepseek", "prompt_cache_hit_tokens"),
        ("bedrock-converse", "inputTokens"),
    ],
)
def test_what_is_no_count_makes_the_usage_invalid(dialect: str, place: str, bad: Any) -> None:
    """A negative, fractional, absurd or non-numeric count: no count is told, the raw object is kept."""
    raw: dict[str, Any] = {
        "openai": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        "deepseek": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        "anthropic": {"input_tokens": 10, "output_tokens": 5, "service_tier": "standard"},
        "bedrock-converse": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15},
    }[dialect]
    assert read_usage(raw, dialect).source == "provider"
    *above, last = place.split(".")
    holder = raw
    for step in above:
        holder = holder.setdefault(step, {})
    holder[last] = bad
    usage = read_usage(raw, dialect)
    assert usage == Usage(source="invalid", raw=raw, service_tier=usage.service_tier)


def test_more_cached_than_prompted_is_invalid() -> None:
    """Parts that exceed the whole are not clamped."""
    told = {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105}
    for details in ({"cached_tokens": 101}, {"cached_tokens": 60, "cache_write_tokens": 41}):
        assert read_usage({**told, "prompt_tokens_details": details}, "openai").source == "invalid"


@pytest.mark.parametrize(
    "details", ["1h", {"ttl": "1h", "inputTokens": 1}, [3], [{"ttl": "1h", "inputTokens": -1}]]
)
def test_a_list_of_lifetimes_that_is_none_is_invalid(details: Any) -> None:
    """An empty one says nothing."""
    told = {"inputTokens": 10, "outputTokens": 5, "cacheWriteInputTokens": 1}
    assert read_usage({**told, "cacheDetails": details}, "bedrock-converse").source == "invalid"
    assert read_usage({**told, "cacheDetails": []}, "bedrock-converse").source == "provider"


@pytest.mark.parametrize("raw", ["12", 12, [1], True, {"prompt_tokens_details": "none", "prompt_tokens": 3}])
def test_what_is_no_usage_object_is_invalid(raw: Any) -> None:
    """Text, a number, a list: invalid, and kept."""
    assert read_usage(raw, "openai") == Usage(source="invalid", raw=raw)


def test_whole_floats_are_counts() -> None:
    """12.0 is twelve."""
    assert read_usage({"prompt_tokens": 12.0, "completion_tokens": 3.0}, "openai").total_tokens == 15


def test_what_is_not_told_is_none() -> None:
    """None is not 0: a prompt without a completion is partial, nothing at all is missing."""
    prompt_only = read_usage({"prompt_tokens": 10}, "openai")
    assert (prompt_only.source, prompt_only.prompt_tokens, prompt_only.cached_tokens) == ("partial", 10, 0)
    assert (prompt_only.completion_tokens, prompt_only.total_tokens) == (None, None)
    output_only = read_usage({"completion_tokens": 10}, "openai")
    assert (output_only.source, output_only.completion_tokens) == ("partial", 10)
    assert output_only.cached_tokens is output_only.prompt_tokens_details.uncached_tokens is None
    assert read_usage({}, "openai") == Usage(source="missing", raw={})


def test_an_unknown_dialect_names_the_known_ones() -> None:
    """A provider without a row is told so."""
    with pytest.raises(ConfigurationError, match=r"no row 'opnai'.*anthropic"):
        read_usage({}, "opnai")


_counts = st.one_of(st.none(), st.integers(0, 10**6))
_anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.sampled_from(["", "12", "x"]),
    st.just({}),
    st.lists(st.integers()),
)


@st.composite
def _objects(draw: st.DrawFn, counts: st.SearchStrategy[Any]) -> tuple[str, dict[str, Any]]:
    dialect = draw(st.sampled_from(sorted(DIALECTS)))
    spelling = DIALECTS[dialect]
    places = [*spelling.prompt, *spelling.completion, *spelling.total, *spelling.read, *spelling.written]
    places += [*spelling.reasoning, *(place for _, lifetime in spelling.lifetimes for place in lifetime)]
    raw: dict[str, Any] = {}
    for place in draw(st.lists(st.sampled_from(places), unique=True)):
        holder = raw
        for step in place[:-1]:
            holder = holder.setdefault(step, {})
        holder[place[-1]] = draw(counts)
    return dialect, raw


@given(_objects(_counts))
def test_every_reading_adds_up(told: tuple[str, dict[str, Any]]) -> None:
    """prompt = uncached + read + written, total = prompt + completion, written = the sum of its lifetimes."""
    usage = read_usage(told[1], told[0])
    assert _adds_up(usage)
    if usage.source in ("invalid", "missing"):
        assert usage == Usage(source=usage.source, raw=told[1])
    if usage.source == "provider":
        assert usage.total_tokens is not None
        assert usage.prompt_tokens_details.uncached_tokens is not None
        assert usage.prompt_tokens_details.uncached_tokens >= 0


@given(_objects(_anything))
def test_no_usage_object_breaks_the_reading(told: tuple[str, dict[str, Any]]) -> None:
    """Whatever stands in a place, the reading ends, and adds up where it is valid."""
    assert _adds_up(read_usage(told[1], told[0]))


@given(_objects(st.one_of(_counts, _anything)))
def test_a_remembered_shape_reads_as_the_whole_row(told: tuple[str, dict[str, Any]]) -> None:
    """Places that an object does not have are left out of its row, and change no reading of it."""
    dialect, raw = told
    whole = read_usage(MappingProxyType(raw), dialect)  # of no shape that is remembered
    assert replace(whole, raw=raw) == read_usage(raw, dialect)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_place_of_a_row_is_read(dialect: str) -> None:
    """A lifetime or a part that a row of the table names is one that a `Usage` has room for."""
    spelling = DIALECTS[dialect]
    assert {ttl for ttl, _ in spelling.lifetimes} <= set(LIFETIMES)
    assert {name for name, _ in spelling.prompt_parts} <= set(PROMPT_PARTS)
    assert {name for name, _ in spelling.completion_parts} <= set(COMPLETION_PARTS)


_json = st.recursive(
    _counts, lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=6
)
_told = st.dictionaries(st.sampled_from("abc"), _json, max_size=3)


@given(_told, _told)
def test_merging_keeps_the_last_told_of_each_field(earlier: dict[str, Any], later: dict[str, Any]) -> None:
    """A field is what was told of it last; null and silence change nothing; the objects stay as they are."""
    before = json.dumps([earlier, later])
    merged = merge_told(earlier, later)
    assert json.dumps([earlier, later]) == before
    assert merge_told(merged, later) == merged  # told twice is told once
    assert merge_told(earlier, None) == earlier
    for name in earlier.keys() | later.keys():
        new, old = later.get(name), earlier.get(name)
        if type(new) is not dict or type(old) is not dict:
            assert merged[name] == (old if new is None else new)
