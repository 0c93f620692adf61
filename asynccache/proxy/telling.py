"""What an answer's headers tell: cost, tokens, ids, the provider's limits; never a zero for what is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal

    from asynccache.events import Recorder, Usage
    from asynccache.proxy.deployment import Deployment
    from asynccache.request import Request

__all__ = ["Outcome", "cost_headers", "head_headers", "id_headers"]

# What passes from the provider's headers to the caller's: limits as they are, ids under a name that says whose.
_LIMITS = ("x-ratelimit-", "anthropic-ratelimit-")
_IDS = frozenset({"x-request-id", "request-id", "x-amzn-requestid", "x-ds-trace-id", "openai-processing-ms"})
_LONGEST = 256  # characters of a header's value


@final
class Outcome:
    """A recorder that keeps what became of the last attempt of one call."""

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.attempt_ids: list[str] = []
        self.began = 0.0
        """When the call's last byte had come, by ``time.perf_counter()``."""
        self.key_id: str | None = None
        self.also: tuple[Recorder, ...] = ()
        """Who else hears of every attempt."""

    def open(self, attempt_id: str, _request: Request, /) -> None:
        """An attempt is about to be sent."""
        self.attempt_ids.append(
            attempt_id
        )  # not the request, which knows us: a circle would outlive the call

    def settle(
        self, _attempt_id: str, usage: Usage, _model: str | None, _error: BaseException | None, /
    ) -> None:
        """It is over."""
        self.usage = usage


def id_headers(call_id: str) -> dict[str, str]:
    """What every answer carries."""
    return {
        "x-request-id": call_id,
        "request-id": call_id,
        "x-asynccache-call-id": call_id,
        "x-litellm-call-id": call_id,
        "x-content-type-options": "nosniff",
    }


def head_headers(deployment: Deployment, attempts: int, headers: Mapping[str, str]) -> dict[str, str]:
    """What is known when an answer begins."""
    told = {
        "x-asynccache-model-id": deployment.id,
        "x-litellm-model-id": deployment.id,
        "x-litellm-model-group": _clean(deployment.group) if deployment.group.isascii() else "",
        "x-litellm-attempted-retries": str(attempts - 1),
    }
    for name, value in headers.items():
        if name.startswith(_LIMITS):
            told[name] = _clean(value)
        elif name in _IDS:
            told[f"llm_provider-{name}"] = _clean(value)
    return told


def cost_headers(usage: Usage | None) -> dict[str, str]:
    """What is known when an answer is over."""
    if usage is None:
        return {}
    told: dict[str, str] = {}
    cost = usage.cost_details
    if cost is not None and cost.total is not None:
        told["x-litellm-response-cost"] = told["x-asynccache-response-cost"] = _dollars(cost.total)
    if cost is not None and cost.saved is not None:
        told["x-asynccache-response-cost-saved"] = _dollars(cost.saved)
    if usage.cache_read_input_tokens is not None:
        told["x-asynccache-cache-read-tokens"] = str(usage.cache_read_input_tokens)
    if usage.cache_creation_input_tokens is not None:
        told["x-asynccache-cache-write-tokens"] = str(usage.cache_creation_input_tokens)
    return told


def without_cost(usage: Usage) -> Usage:
    """*usage* for callers who are not to see what it cost."""
    return msgspec.structs.replace(usage, cost=None)


def _dollars(amount: Decimal) -> str:
    return format(amount.normalize(), "f")


def _clean(value: str) -> str:
    if len(value) <= _LONGEST and value.isascii() and value.isprintable():
        return value
    return "".join(char for char in value if char.isprintable() and char.isascii())[:_LONGEST]
