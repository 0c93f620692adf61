"""A provider's own usage object, read by its row of the table, becomes one `Usage` that adds up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from asynccache.reply import CacheCreation, CompletionTokensDetails, Iteration, PromptTokensDetails, Usage
from asynccache.shapes import is_array, is_object
from asynccache.usage.fields import DIALECTS
from asynccache.usage.places import row_for
from asynccache.usage.straight import LIFETIMES, LIMIT, fields_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynccache.reply import UsageSource
    from asynccache.usage.fields import Places, Spelling
    from asynccache.usage.straight import Told

__all__ = ["merge_told", "read_usage"]

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
    spelling, straight = row_for(dialect, raw)
    try:
        told = None if straight is None else straight.take(raw)
        if told is None:
            told = _told(raw, spelling, completion_known=completion_known)
        split = _split(raw, spelling, told)
        counts = _add_up(told, split, spelling, completion_known=completion_known)
        creation = _by_lifetime(split, spelling, counts.written, lifetime)
        tools = _server_tools(raw, spelling) if spelling.server_tools else None
        iterations = _iterations(raw)
    except _NotACountError:
        tier, speed, geography = _facts(raw, spelling)
        return Usage(source="invalid", raw=raw, service_tier=tier, speed=speed, inference_geo=geography)
    audio, image, text, spoken_audio, spoken_text, accepted, rejected = told[11:]
    prompt, uncached, read, written, completion, reasoning = counts
    tier, speed, geography = _facts(raw, spelling)
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=None if prompt is None or completion is None else prompt + completion,
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=read,
            cache_write_tokens=written,
            uncached_tokens=uncached,
            audio_tokens=audio,
            image_tokens=image,
            text_tokens=text,
        ),
        completion_tokens_details=CompletionTokensDetails(
            reasoning_tokens=reasoning,
            audio_tokens=spoken_audio,
            text_tokens=spoken_text,
            accepted_prediction_tokens=accepted,
            rejected_prediction_tokens=rejected,
        ),
        cache_read_input_tokens=read,
        cache_creation_input_tokens=written,
        cache_creation=creation,
        source=_source(counts),
        service_tier=tier,
        speed=speed,
        inference_geo=geography,
        server_tool_use=tools,
        iterations=iterations,
        raw=raw,
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


def _told(raw: Any, spelling: Spelling, *, completion_known: bool) -> Told:
    """The counts of any object, looked for place by place."""
    if not completion_known:
        spelling = msgspec.structs.replace(spelling, completion=())
    return [_count(raw, places) for places in fields_of(spelling)]


def _add_up(told: Told, split: Mapping[str, int], spelling: Spelling, *, completion_known: bool) -> _Counts:
    prompt, also, completion, total, reasoning, read, written = told[:7]
    if not completion_known:
        completion = None
    if split:  # all that was written is what is told, or what its split adds up to where that is more
        written = max(written or 0, sum(split.values()))
    if reasoning and _reasoning_is_apart(spelling, prompt, completion, reasoning, total):
        completion = (completion or 0) + reasoning
    if prompt is None:
        return _Counts(None, None, read, written, completion, reasoning)

    read, written = read or 0, written or 0  # who tells the prompt and nothing of caching has cached nothing
    cached = read + written
    prompt += also or 0
    if not _prompt_holds_cache(spelling, prompt, completion, cached, total):
        return _Counts(prompt + cached, prompt, read, written, completion, reasoning)
    if cached > prompt:
        raise _NotACountError
    return _Counts(prompt, prompt - cached, read, written, completion, reasoning)


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


def _split(raw: Any, spelling: Spelling, told: Told) -> dict[str, int]:
    """What was written by lifetime, as far as the provider says."""
    by_lifetime = told[7:11]
    split = (
        {ttl: count for ttl, count in zip(LIFETIMES, by_lifetime, strict=True) if count}
        if any(by_lifetime)
        else {}
    )
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


def _by_lifetime(
    split: Mapping[str, int], spelling: Spelling, written: int | None, asked: str | None
) -> CacheCreation:
    if not written:
        return CacheCreation() if written is None else _NOTHING_WRITTEN
    counts = dict.fromkeys(_LIFETIMES, 0)
    counts.update(split)
    rest = asked if spelling.asked_lifetime and asked in _LIFETIMES else spelling.other_lifetime
    counts[rest] += written - sum(split.values())
    return CacheCreation(**{_LIFETIMES[ttl]: count for ttl, count in counts.items()})


_NOTHING_WRITTEN = CacheCreation(**dict.fromkeys(_LIFETIMES.values(), 0))


def _server_tools(raw: Any, spelling: Spelling) -> dict[str, int] | None:
    told = _find(raw, spelling.server_tools)
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
    told = _told(run, spelling, completion_known=True)
    split = _split(run, spelling, told)
    prompt, _, completion, _, _, read, written = told[:7]
    kind, model = _find(run, (("type",),)), _find(run, (("model",),))
    return Iteration(
        type=str(kind or "message"),
        model=model if type(model) is str else None,
        input_tokens=prompt or 0,
        cache_read_input_tokens=read or 0,
        cache_creation_input_tokens=max(written or 0, sum(split.values())),
        ephemeral_1h_input_tokens=split.get("1h", 0),
        output_tokens=completion or 0,
    )


def _facts(raw: Any, spelling: Spelling) -> tuple[str | None, str | None, str | None]:
    """The tier, the speed and the place, where the provider tells them."""
    if not is_object(raw) or _FACTS.isdisjoint(raw):
        return None, None, None
    return _word(raw, spelling.tier), _word(raw, _SPEED), _word(raw, _GEOGRAPHY)


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
    if value is None or (type(value) is int and 0 <= value <= LIMIT):
        return value
    return _whole(value)


def _whole(value: Any) -> int:
    """*value* as a token count: 12 and 12.0 are, true, "12", -1, 1.5 and 10**10 are not."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is not int or not 0 <= value <= LIMIT:
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
