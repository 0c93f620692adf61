"""Command: what models cost and can cache, from the price book."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asynccache.pricing.info import ModelInfo

__all__ = ["command", "models"]

_SHOWN = ("anthropic", "openai", "deepseek", "bedrock")
"""Whose models are listed unless a provider is named."""
_HEADINGS = ("model", "context", "input", "read", "write", "output", "caching", "from", "lifetimes")


@click.command
@click.argument("search", default="")
@click.option("--provider", help="One provider's models, such as openrouter or azure.")
@click.option("--json", "as_json", is_flag=True, help="One JSON array, for programs.")
def models(search: str, provider: str | None, *, as_json: bool) -> None:
    """List models whose name holds SEARCH: US dollars per million tokens, and what each can cache.

    "from" is the shortest prompt that is cached, in tokens; a write is one of the first lifetime.
    """
    rows = list(_rows(search.lower(), provider))
    if as_json:
        import orjson

        click.echo(orjson.dumps([info.to_dict() for info in rows], option=orjson.OPT_INDENT_2).decode())
        return
    if not rows:
        msg = f"no model's name holds {search!r}"
        raise click.ClickException(msg)
    lines = [_HEADINGS, *(_line(info) for info in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    for line in lines:
        cells = [
            cell.rjust(width) if 0 < column < 6 or column == 7 else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        click.echo("  ".join(cells).rstrip())


command = models


def _rows(search: str, provider: str | None) -> Iterator[ModelInfo]:
    from asynccache.errors import UnknownProviderError
    from asynccache.pricing.book import default_book
    from asynccache.pricing.catalogue import Match
    from asynccache.pricing.info import model_info

    book = default_book()
    known = False
    for owner in _SHOWN if provider is None else (provider,):
        for name, model in book.models(owner):
            known = True
            if search not in model.name or model.name.startswith("*"):
                continue
            match = book.find(model.name, provider=name)
            if type(match) is Match:
                yield model_info(match)
    if not known:
        raise UnknownProviderError(f"no prices are known for a provider named {provider!r}")


def _line(info: ModelInfo) -> tuple[str, ...]:
    return (
        info.key,
        "" if info.max_input_tokens is None else f"{info.max_input_tokens:,}",
        _rate(info.input_cost_per_token),
        _rate(info.cache_read_input_token_cost),
        _rate(info.cache_creation_input_token_cost) if info.cache_lifetimes else "",
        _rate(info.output_cost_per_token),
        info.caching or "none",
        "" if info.min_cacheable_tokens is None else f"{info.min_cacheable_tokens:,}",
        " ".join(info.cache_lifetimes),
    )


def _rate(per_token: float | None) -> str:
    return "" if per_token is None else f"{round(per_token * 1e6, 6):g}"
