"""Requests, usages and the real pipeline for the ledger's tests."""

from __future__ import annotations

from decimal import Decimal

from asynccache.client import Client, default_stages
from asynccache.reply import (
    CacheCreation,
    CompletionTokensDetails,
    Cost,
    Price,
    PromptTokensDetails,
    Usage,
)
from asynccache.request import Request
from asynccache.retry import Retry, retry
from asynccache.usage.ledger import Ledger

REQUEST = Request(model="anthropic/claude-sonnet-4-5", messages=[], call_id="call")

FULL = Usage(
    prompt_tokens=1000,
    completion_tokens=50,
    total_tokens=1050,
    prompt_tokens_details=PromptTokensDetails(cached_tokens=600, cache_write_tokens=300, uncached_tokens=100),
    completion_tokens_details=CompletionTokensDetails(reasoning_tokens=20),
    cache_creation=CacheCreation(ephemeral_5m_input_tokens=200, ephemeral_1h_input_tokens=100),
    cost=0.00288,
    source="provider",
    cost_details=Cost(
        total=Decimal("0.002880000000000001"),
        saved=Decimal("-0.000000000000000001"),
        without_cache=Decimal("0.00288"),
        price=Price(model="anthropic/claude-sonnet-4-5", since="2025-09-29", tier="batch"),
    ),
)


def priced(amount: str, **counts: int) -> Usage:
    """A usage that cost *amount*."""
    return Usage(source="provider", cost_details=Cost(total=Decimal(amount)), **counts)


def client(ledger: Ledger, **arguments: object) -> Client:
    """A client that writes *ledger* ahead, and waits next to nothing before it tries again."""
    stages = [Retry(first_wait=0.001) if stage is retry else stage for stage in default_stages()]
    return Client(stages=ledger.within(stages), recorders=[ledger], **arguments)
