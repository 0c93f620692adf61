"""An answer in OpenAI's shape, as an object or a dict, read for what its price depends on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import msgspec

from asynccache.errors import InvalidRequestError
from asynccache.reply import (
    CacheCreation,
    Completion,
    CompletionTokensDetails,
    PromptTokensDetails,
    Usage,
)
from asynccache.shapes import is_object

__all__ = ["Answer", "read_answer"]


class Answer(NamedTuple):
    """What an answer says that its price depends on."""

    usage: Usage
    model: str = ""
    at: datetime | None = None
    provider: str | None = None


def read_answer(answer: Any, service_tier: str | None = None) -> Answer:
    """*answer* read; *service_tier* counts where the answer does not name its own.

    Raises:
        InvalidRequestError: there is no usage of OpenAI's shape in it.
    """
    usage = _get(answer, "usage")
    if type(usage) is not Usage:
        usage = _usage(usage)
    tier = usage.service_tier or _get(answer, "service_tier") or service_tier
    if tier is not None and tier != usage.service_tier:
        usage = msgspec.structs.replace(usage, service_tier=str(tier))
    created = answer.created if type(answer) is Completion else _get(answer, "created")
    return Answer(
        usage=usage,
        model=str(_get(answer, "model") or ""),
        at=datetime.fromtimestamp(created, UTC)
        if isinstance(created, (int, float)) and created > 0
        else None,
    )


def _get(value: Any, name: str) -> Any:
    return value.get(name) if is_object(value) else getattr(value, name, None)


_LIFETIMES: Final = CacheCreation.__struct_fields__


def _usage(told: Any) -> Usage:
    if told is None:
        raise InvalidRequestError(
            "completion_response has no 'usage'; give the whole answer, or prompt and completion"
        )
    prompt, completion = _count(told, "prompt_tokens"), _count(told, "completion_tokens")
    if prompt is None or completion is None:
        raise InvalidRequestError(
            "completion_response.usage must hold 'prompt_tokens' and 'completion_tokens', as in OpenAI's shape"
        )
    details, spoken = _get(told, "prompt_tokens_details"), _get(told, "completion_tokens_details")
    split = _get(told, "cache_creation")
    read = _first(_count(details, "cached_tokens"), _count(told, "cache_read_input_tokens"))
    written = _first(_count(details, "cache_write_tokens"), _count(told, "cache_creation_input_tokens"))
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=read, cache_write_tokens=written, audio_tokens=_count(details, "audio_tokens")
        ),
        completion_tokens_details=CompletionTokensDetails(audio_tokens=_count(spoken, "audio_tokens")),
        cache_creation=CacheCreation(**{name: _count(split, name) for name in _LIFETIMES}),
        service_tier=_get(told, "service_tier"),
        source="provider",
        raw=told if isinstance(told, dict) else None,
    )


def _count(told: Any, name: str) -> int | None:
    value = None if told is None else _get(told, name)
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _first(*values: int | None) -> int | None:
    """The first count that is more than nothing, else the first that was told."""
    return next(
        (value for value in values if value), next((value for value in values if value is not None), None)
    )
