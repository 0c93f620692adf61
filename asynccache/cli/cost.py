"""Command: what one answer cost, and where the money went."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from decimal import Decimal

    from asynccache.reply import Cost, Usage

__all__ = ["command", "cost"]


@click.command
@click.argument("usage_file", type=click.File("rb"))
@click.option(
    "--model", help="The model, such as anthropic/claude-sonnet-4-5; by default what the answer says."
)
@click.option(
    "--at", type=click.DateTime(), help="When it was asked, UTC; by default what the answer says, else now."
)
@click.option("--region", help="Where it ran, where the price depends on it.")
@click.option("--tier", help="The service tier, where the answer does not say it.")
@click.option("--ttl", help="The cache lifetime asked for, where the answer tells no split.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def cost(
    usage_file: Any,
    model: str | None,
    *,
    at: datetime | None,
    region: str | None,
    tier: str | None,
    ttl: str | None,
    as_json: bool,
) -> None:
    """Price USAGE_FILE: an answer or its usage as JSON, any provider's or ours; "-" reads the standard input."""
    import msgspec
    import orjson

    from asynccache.answer_cost import read_answer
    from asynccache.pricing.cost import price_usage

    answer = read_answer(_decode(usage_file.read()))
    if not (model or answer.model):
        raise click.UsageError("the file does not say which model answered; give --model")
    provider, name = _owner(model or answer.model)
    said = answer.usage.service_tier or answer.service_tier or tier
    usage = msgspec.structs.replace(answer.usage, service_tier=said)
    priced = price_usage(
        usage,
        provider=provider,
        model=name,
        at=at or (datetime.fromtimestamp(answer.created, UTC) if answer.created else None),
        region=region,
        write_ttl=ttl,
    )
    if as_json:
        both = {"usage": usage.to_dict(), "cost": priced.to_dict()}
        click.echo(orjson.dumps(both, option=orjson.OPT_INDENT_2).decode())
    else:
        for line in _table(usage, priced):
            click.echo(line)
    if priced.total is None:
        raise click.ClickException(f"the cost is not known: {priced.reason}")


command = cost


def _decode(text: bytes) -> Mapping[str, Any]:
    """The answer; a usage alone becomes one that holds nothing else."""
    import orjson

    from asynccache.errors import InvalidRequestError
    from asynccache.shapes import is_object

    try:
        told = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InvalidRequestError(f"the file is not JSON: {error}") from error
    if not is_object(told):
        raise InvalidRequestError("the file holds no JSON object; give an answer, or its usage")
    # An answer calls its usage "usage" or something that begins so; a usage holds counts itself.
    usage = next((part for name, part in told.items() if name.startswith("usage") and is_object(part)), None)
    return {"usage": told} if usage is None else {**told, "usage": usage}


def _owner(model: str) -> tuple[str, str]:
    from asynccache.errors import UnknownProviderError
    from asynccache.pricing.book import default_book

    book = default_book()
    head, slash, tail = model.partition("/")
    if slash and book.known(head) is not None:
        return head, tail
    provider = book.provider_of(model)
    if provider is None:
        near = ", ".join(book.nearest(model))
        raise UnknownProviderError(
            f"{model!r} names no provider; write --model 'provider/model'"
            + (f", the nearest known: {near}" if near else "")
        )
    return provider, model


def _table(usage: Usage, priced: Cost) -> Iterator[str]:
    """Where the money went: a line a bucket, then the sum and what caching did to it."""
    from asynccache.cli.report import money, saved_text

    if priced.price is not None:
        derived = f"; derived: {', '.join(priced.price.derived)}" if priced.price.derived else ""
        yield f"{priced.price.model}, {priced.price.tier}, price since {priced.price.since}{derived}"
        yield priced.price.source
        yield ""
    yield f"{'':<18}{'tokens':>12}{'$/million':>12}{'cost':>12}{'share':>8}"
    for name, count, amount in _buckets(usage, priced):
        share = "" if not priced.total or amount is None else f"{amount / priced.total:.0%}"
        rate = "" if not count or amount is None else f"{float(amount) / count * 1e6:,.6g}"
        counted = "" if count is None else f"{count:,}"
        yield f"{name:<18}{counted:>12}{rate:>12}{'?' if amount is None else money(amount):>12}{share:>8}"
    if priced.total is not None:
        yield f"{'total':<18}{usage.total_tokens or 0:>12,}{'':>12}{money(priced.total):>12}"
    if priced.without_cache is not None and priced.saved is not None:
        yield ""
        yield f"without caching {money(priced.without_cache)}: {saved_text(priced.saved, priced.without_cache)}"
    if priced.reported is not None:
        yield f"the provider says that it billed {money(priced.reported)}"
    if priced.reason and priced.total is not None:
        yield f"note: {priced.reason}"


def _buckets(usage: Usage, priced: Cost) -> Iterator[tuple[str, int | None, Decimal | None]]:
    details = usage.prompt_tokens_details
    yield "uncached input", details.uncached_tokens, priced.uncached_input
    yield "cache read", details.cached_tokens, priced.cache_read
    if details.cache_write_tokens:
        lifetimes = priced.cache_write_by_lifetime
        split = {
            ttl: getattr(usage.cache_creation, f"ephemeral_{ttl}_input_tokens", None) for ttl in lifetimes
        }
        if len(lifetimes) > 1 and None not in split.values():
            for ttl, amount in lifetimes.items():
                yield f"cache write {ttl}", split[ttl], amount
        else:
            name = " ".join(["cache write", *lifetimes])
            yield name, details.cache_write_tokens, priced.cache_write
    yield "output", usage.completion_tokens, priced.output
    if priced.other is None or priced.other:
        yield "tools and runs", None, priced.other
