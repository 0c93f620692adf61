"""A provider's own usage object, read by its row of the table, becomes one `Usage` that adds up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from asynccache.reply import CacheCreation, CompletionTokensDetails, Iteration, PromptTokensDetails, Usage
from asynccache.shapes import is_array, is_object
from asynccache.usage.fields import DIALECTS
from asynccache.usage.places import spelling_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynccache.reply import UsageSource
    from asynccache.usage.fields import Places, Spelling

__all__ = ["merge_told", "read_usage"]

_LIMIT = 10**9  # no request has ever come near; a larger count is a mistake and must not be priced
_DEPTH = 4  # usage objects nest two deep; what lies deeper is replaced as a whole
_LIFETIMES = {
    "5m": "ephemeral_5m_input_tokens",
    "30m": "ephemeral_30m_input_tokens",
    "1h": "ephemeral_1h_input_tokens",
    "12h": "ephemeral_12h_input_tokens",
}


_NUMBERS = frozenset({int, float})


class _NotACountError(ValueError):
    """A place that must hold a token count holds something else."""


def read_usage(
    raw: Any, dialect: str, *, lifetime: str | None = None, completion_known: bool = True
) -> Usage:
    """The usage that *raw* tells, by row *dialect* of the table.

    The source is ``provider``; ``partial`` where the prompt or the completion is not told, ``missing``
    where neither a prompt nor a completion nor anything of a cache is, and ``invalid``, with every count
    None, where a count is not a whole number from 0 to 10**9 or where the parts exceed the whole.

    Args:
        raw: the provider's own usage object.
        dialect: the name of its row.
        lifetime: what the request asked for, for written tokens that the provider never splits.
        completion_known: False where the completion count told so far is a placeholder.

    Raises:
        ConfigurationError: the table has no such row.
    """
    spelling = spelling_for(dialect, raw)
    try:
        counts = _read_counts(raw, spelling, completion_known=completion_known)
        creation = _by_lifetime(raw, spelling, counts.written, lifetime)
        parts = {name: _count(raw, places) for name, places in spelling.prompt_parts}
        spoken = {name: _count(raw, places) for name, places in spelling.completion_parts}
        tools = _server_tools(raw, spelling)
        iterations = _iterations(raw)
    except _NotACountError:
        return Usage(source="invalid", raw=raw, **_facts(raw, spelling))
    return Usage(
        prompt_tokens=counts.prompt,
        completion_tokens=counts.completion,
        total_tokens=_sum(counts.prompt, counts.completion),
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=counts.read,
            cache_write_tokens=counts.written,
            uncached_tokens=counts.uncached,
            **parts,
        ),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=counts.reasoning, **spoken),
        cache_read_input_tokens=counts.read,
        cache_creation_input_tokens=counts.written,
        cache_creation=creation,
        source=_source(counts),
        server_tool_use=tools,
        iterations=iterations,
        raw=raw,
        **_facts(raw, spelling),
    )


def merge_told(earlier: Any, later: Any, depth: int = _DEPTH) -> Any:
    """Both objects in one, each field as last told; null tells nothing. Neither is changed."""
    if later is None:
        return earlier
    if depth == 0 or not is_object(earlier) or not is_object(later):
        return later
    merged = dict(earlier)
    for name, value in later.items():
        merged[name] = merge_told(merged.get(name), value, depth - 1)
    return merged


class _Counts(NamedTuple):
    prompt: int | None
    uncached: int | None
    read: int | None
    written: int | None
    completion: int | None
    reasoning: int | None


def _read_counts(raw: Any, spelling: Spelling, *, completion_known: bool) -> _Counts:
    told = _count(raw, spelling.prompt)
    also = _count(raw, spelling.prompt_also) or 0
    completion = _count(raw, spelling.completion) if completion_known else None
    total = _count(raw, spelling.total)
    reasoning = _count(raw, spelling.reasoning)
    read = _count(raw, spelling.read)
    written = _written(raw, spelling)

    if reasoning and _reasoning_is_apart(spelling, told, completion, reasoning, total):
        completion = (completion or 0) + reasoning
    if told is None:
        return _Counts(None, None, read, written, completion, reasoning)

    read, written = read or 0, written or 0  # who tells the prompt and nothing of caching has cached nothing
    cached = read + written
    prompt = told + also
    if not _prompt_holds_cache(spelling, prompt, completion, cached, total):
        return _Counts(prompt + cached, prompt, read, written, completion, reasoning)
    if cached > prompt:
        raise _NotACountError
    return _Counts(prompt, prompt - cached, read, written, completion, reasoning)


def _written(raw: Any, spelling: Spelling) -> int | None:
    """All that was written: what is told, or what its split adds up to where that is more."""
    written = _count(raw, spelling.written)
    if not spelling.lifetimes and not spelling.lifetime_list:
        return written
    split = sum(_split(raw, spelling).values())
    return written if not split else max(written or 0, split)


def _reasoning_is_apart(
    spelling: Spelling, prompt: int | None, completion: int | None, reasoning: int, total: int | None
) -> bool:
    if spelling.reasoning_apart is not None:
        return spelling.reasoning_apart
    return prompt is not None and completion is not None and total == prompt + completion + reasoning


def _prompt_holds_cache(
    spelling: Spelling, prompt: int, completion: int | None, cached: int, total: int | None
) -> bool:
    if not cached or total is None or completion is None or not spelling.total_decides:
        return spelling.inclusive
    if spelling.inclusive:
        return total != prompt + cached + completion
    return total == prompt + completion and cached <= prompt


def _split(raw: Any, spelling: Spelling) -> dict[str, int]:
    """What was written by lifetime, as far as the provider says."""
    split = {ttl: count for ttl, places in spelling.lifetimes if (count := _count(raw, places))}
    listed = _find(raw, spelling.lifetime_list) if spelling.lifetime_list else None
    if listed is None:
        return split
    if not is_array(listed):
        raise _NotACountError
    for entry in listed:
        ttl = _find(entry, (("ttl",),))
        count = _count(entry, (("inputTokens",),))
        if count and type(ttl) is str and ttl in _LIFETIMES:
            split[ttl] = split.get(ttl, 0) + count
    return split


def _by_lifetime(raw: Any, spelling: Spelling, written: int | None, asked: str | None) -> CacheCreation:
    if not written:
        return CacheCreation() if written is None else _NOTHING_WRITTEN
    counts = dict.fromkeys(_LIFETIMES, 0)
    split = _split(raw, spelling)
    counts.update(split)
    rest = asked if spelling.asked_lifetime and asked in _LIFETIMES else spelling.other_lifetime
    counts[rest] += written - sum(split.values())
    return CacheCreation(**{_LIFETIMES[ttl]: count for ttl, count in counts.items()})


_NOTHING_WRITTEN = CacheCreation(**dict.fromkeys(_LIFETIMES.values(), 0))


def _server_tools(raw: Any, spelling: Spelling) -> dict[str, int] | None:
    told = _find(raw, spelling.server_tools) if spelling.server_tools else None
    if told is None or not is_object(told):
        return None
    calls = {
        name: _whole(count)
        for name, count in told.items()
        if count is not None and (type(count) in _NUMBERS or name.endswith("_requests"))
    }  # what is neither a number nor named as a count is no mistake, but a field of a later version
    return calls or None


def _iterations(raw: Any) -> tuple[Iteration, ...] | None:
    told = _find(raw, _ITERATIONS)
    return tuple(_iteration(run) for run in told) if is_array(told) and told else None


_ITERATIONS = (("iterations",),)


def _iteration(run: Any) -> Iteration:
    spelling = DIALECTS["anthropic"]
    kind, model = _find(run, (("type",),)), _find(run, (("model",),))
    return Iteration(
        type=str(kind or "message"),
        model=model if type(model) is str else None,
        input_tokens=_count(run, spelling.prompt) or 0,
        cache_read_input_tokens=_count(run, spelling.read) or 0,
        cache_creation_input_tokens=_written(run, spelling) or 0,
        ephemeral_1h_input_tokens=_split(run, spelling).get("1h", 0),
        output_tokens=_count(run, spelling.completion) or 0,
    )


def _facts(raw: Any, spelling: Spelling) -> dict[str, Any]:
    """The facts beside the counts, where the provider tells them."""
    if not is_object(raw) or _FACTS.isdisjoint(raw):
        return {}
    facts: dict[str, Any] = {}
    for field, names in (("service_tier", spelling.tier), ("speed", _SPEED), ("inference_geo", _GEOGRAPHY)):
        word = _word(raw, names)
        if word is not None:
            facts[field] = word
    return facts


_SPEED = ("speed",)
_GEOGRAPHY = ("inference_geo",)
_FACTS = frozenset(
    {*_SPEED, *_GEOGRAPHY, *(name for spelling in DIALECTS.values() for name in spelling.tier)}
)


def _source(counts: _Counts) -> UsageSource:
    if counts.prompt is not None and counts.completion is not None:
        return "provider"
    return "missing" if all(count is None for count in counts) else "partial"


def _find(raw: Any, places: Places) -> Any:
    for steps in places:
        value: Any = raw
        for step in steps:
            if not is_object(value):
                if is_array(value) and not value:  # PHP's empty object
                    break
                raise _NotACountError
            value = value.get(step)
            if value is None:
                break
        else:
            return value
    return None


def _count(raw: Any, places: Places) -> int | None:
    if not places:
        return None
    value = _find(raw, places)
    if value is None or (type(value) is int and 0 <= value <= _LIMIT):
        return value
    return _whole(value)


def _whole(value: Any) -> int:
    """*value* as a token count: 12 and 12.0 are, true, "12", -1, 1.5 and 10**10 are not."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 <= value <= _LIMIT:
        raise _NotACountError
    return value


def _word(raw: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    for name in names:
        value = raw.get(name)
        if value is None:
            continue
        if type(value) is not str and is_object(value):  # Converse: {"type": "priority"}
            value = value.get("type")
        if type(value) is str and value:
            return value
    return None


def _sum(prompt: int | None, completion: int | None) -> int | None:
    return None if prompt is None or completion is None else prompt + completion
