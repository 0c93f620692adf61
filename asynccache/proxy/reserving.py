"""What a call may use and cost at most, guessed before it is made: what its budget is held to until the truth is known."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from asynccache.errors import AsyncCacheError, PermissionDeniedError
from asynccache.pricing.cost import price_usage
from asynccache.pricing.functions import get_model_info
from asynccache.reply import CacheCreation, PromptTokensDetails, Usage
from asynccache.request import Request
from asynccache.shapes import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from asynccache.proxy.deployment import Deployment

__all__ = ["most_cost", "prompt_tokens", "said_output"]

_BYTES_PER_TOKEN: Final = 3
"""Prose has about four, code and other scripts about three."""
_PER_PART: Final = 4
"""Tokens of a message's frame."""
_ATTACHED: Final = 4096
"""Characters from which on base64 in its usual places is a picture or a file, of which tokens are counted otherwise."""
_HOLDERS: Final = frozenset({"data", "file_data", "image_url", "url"})
_ENCODED: Final = re.compile(rf"(?:data:[^,]{{1,200}},)?[A-Za-z0-9+/=_\r\n-]{{{_ATTACHED - 256}}}")
_PICTURE: Final = 2000
_ATTACHED_PER_TOKEN: Final = 100
_OUTPUT: Final = 4096
"""Tokens of an answer whose request and model set no limit."""
_OUTPUT_NAMES: Final = ("max_completion_tokens", "max_tokens", "max_output_tokens")


def prompt_tokens(fields: Mapping[str, Any]) -> int:
    """About how many tokens a request's prompt has, rather too many than too few."""
    left: list[tuple[str, Any]] = [("", fields)]
    size, parts, attached = 0, 0, 0
    while left:
        name, value = left.pop()
        if type(value) is str:
            if len(value) > _ATTACHED and name in _HOLDERS and _ENCODED.match(value) is not None:
                attached += max(_PICTURE, len(value) // _ATTACHED_PER_TOKEN)
            else:
                size += len(value) if value.isascii() else len(value.encode())
        elif is_object(value):
            parts += 1
            size += sum(map(len, value))
            left.extend(value.items())
        elif is_array(value):
            left.extend((name, one) for one in value)
    return size // _BYTES_PER_TOKEN + parts * _PER_PART + attached


def said_output(fields: Mapping[str, Any]) -> int | None:
    """How many tokens the answer may have, all choices together; None where the request does not say."""
    found = [fields[name] for name in _OUTPUT_NAMES if type(fields.get(name)) is int]
    choices = fields.get("n")
    many = choices if type(choices) is int and choices > 1 else 1
    return max(0, *found) * many if found else None


def most_cost(
    group: Iterable[tuple[str, Deployment]], fields: Mapping[str, Any], prompt: int, *, marked: bool
) -> Decimal:
    """What a call may cost at most, whichever of *group* answers, each by the name under which it is asked.

    Raises:
        PermissionDeniedError: the price of one of them is not known, so that no budget can hold.
    """
    output = said_output(fields)
    costs: list[Decimal] = []
    for asked, deployment in group:
        cost = _cost(
            Request(model=deployment.model_for(asked), messages=()), deployment, prompt, output, marked
        )
        if cost is None:
            msg = f"the price of {asked[:200]!r} is not known, so a key with a budget may not ask for it"
            raise PermissionDeniedError(msg, status_code=403, code="price_unknown")
        costs.append(cost)
    return max(costs, default=Decimal(0))


def _cost(
    request: Request, deployment: Deployment, prompt: int, output: int | None, marked: bool
) -> Decimal | None:
    book, name = deployment.prices.find(request.model_id)
    most = deployment.model.defaults.get("max_tokens") or _most_output(request) or _OUTPUT
    found = [
        price_usage(
            usage,
            provider=request.provider,
            model=name,
            request_model=name,
            prices=book,
        ).total
        for usage in _usages(prompt, most if output is None else output, marked=marked)
    ]
    known = [cost for cost in found if cost is not None]
    return max(known) if found[0] is not None and known else None


def _usages(prompt: int, output: int, *, marked: bool) -> list[Usage]:
    """The prompt read anew; where it is marked, or may be cached without, also written to the cache."""
    plain = _usage(
        prompt, output, PromptTokensDetails(uncached_tokens=prompt, cached_tokens=0, cache_write_tokens=0)
    )
    written = PromptTokensDetails(uncached_tokens=0, cached_tokens=0, cache_write_tokens=prompt)
    lives = [CacheCreation(ephemeral_5m_input_tokens=prompt)]
    if marked:
        lives.append(CacheCreation(ephemeral_1h_input_tokens=prompt))
    return [plain, *(_usage(prompt, output, written, life) for life in lives)]


def _usage(
    prompt: int, output: int, details: PromptTokensDetails, life: CacheCreation | None = None
) -> Usage:
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=output,
        total_tokens=prompt + output,
        prompt_tokens_details=details,
        cache_creation=life or CacheCreation(),
        source="estimated",
    )


def _most_output(request: Request) -> int | None:
    try:
        return get_model_info(request.model_id, request.provider).max_output_tokens
    except AsyncCacheError:
        return None  # a model with prices of its own that the book does not know
