"""Command: a conversation with a simulated provider, and what its prompt cache does at every turn."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, final

import click
import msgspec

from asynccache.cli.conversation import AFTERWARDS, OPENING, OTHER_OPENING, TURNS, house_rules, said
from asynccache.cli.divergence import find_divergence
from asynccache.cli.marks import CONVERSATION
from asynccache.cli.report import draw_bar, money, money_line, saved_text, token_line
from asynccache.cli.screen import Screen, is_terminal
from asynccache.cli.simulated import reach

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asynccache.cli.conversation import Exchange
    from asynccache.client import Client
    from asynccache.reply import Completion, Cost, Usage

__all__ = ["demo"]

MODELS = {
    "anthropic": "anthropic/claude-sonnet-5-5",
    "bedrock": "bedrock/global.anthropic.claude-sonnet-5-5",
    "deepseek": "deepseek/deepseek-flash",
    "openai": "openai/gpt-6.2-sol",
}
"""What is asked where no model is named."""

_RATE = 120.0  # tokens a second for somebody who watches; a program does not wait
_LATENCY = 0.1
_BAR = 20


@final
class Turn(msgspec.Struct, frozen=True):
    """One question, and what became of it."""

    number: int
    exchange: Exchange
    reply: Completion
    diverged: str | None

    @property
    def usage(self) -> Usage:
        """What it used."""
        return self.reply.usage

    @property
    def cost(self) -> Cost:
        """What it cost."""
        return self.reply.cost


@click.command
@click.option(
    "--provider",
    type=click.Choice(sorted(MODELS)),
    default="anthropic",
    show_default=True,
    help="Whom to simulate.",
)
@click.option("--model", help="A model of that provider, instead of a current one.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def demo(provider: str, model: str | None, *, as_json: bool) -> None:
    """Four turns of one conversation with a simulated provider, then one with a changed first word.

    Needs no key and no network: the provider runs inside this process and is asked over the loopback
    interface, in its real wire format. Token counts are estimates; prices are those of the price book.
    """
    import asyncio

    name = MODELS[provider] if model is None else f"{provider}/{model.removeprefix(f'{provider}/')}"
    asyncio.run(_play(name, None if as_json else Screen()))


async def _play(model: str, screen: Screen | None) -> None:
    from asynccache.client import Client
    from asynccache.simulator import Simulator, SimulatorSettings

    watched = screen is not None and is_terminal()
    settings = SimulatorSettings(rate=_RATE, latency=_LATENCY) if watched else SimulatorSettings()
    if screen is not None:
        _explain(screen, model)
    async with Simulator(settings) as simulator, Client() as client:
        table = Table(client, model, reach(simulator, model), screen)
        for exchange in TURNS:
            await table.ask(exchange, OPENING)
        await table.ask(AFTERWARDS, OTHER_OPENING)
    if screen is None:
        click.echo(json.dumps(_document(model, table.turns), indent=2))
    else:
        _total(screen, table.turns)


@final
class Table:
    """Where one conversation is held; remembers every turn."""

    def __init__(self, client: Client, model: str, access: dict[str, Any], screen: Screen | None) -> None:
        self.turns: list[Turn] = []
        self._client = client
        self._model = model
        self._access = access
        self._screen = screen
        self._asked: list[dict[str, Any]] = []

    async def ask(self, exchange: Exchange, opening: str) -> None:
        """One turn: the whole conversation so far and a new question, streamed."""
        past = self._asked[1:]
        if self.turns:
            past = [*past, said("assistant", self.turns[-1].exchange.answer)]
        messages = [said("system", house_rules(opening)), *past, said("user", exchange.question)]
        if self._screen is not None:
            self._screen.line(f"\n> {exchange.question}", "bold")
            self._screen.write("  ")
        stream = await self._client.acompletion(
            self._model,
            messages,
            stream=True,
            cache_control_injection_points=CONVERSATION,
            extra_headers={"x-simulator": json.dumps({"answer": exchange.answer})},
            **self._access,
        )
        async with stream:
            async for chunk in stream:
                if self._screen is not None and chunk.choices:
                    self._screen.write(chunk.choices[0].delta.content or "")
        divergence = find_divergence(self._asked, messages)
        self._asked = messages
        turn = Turn(
            len(self.turns) + 1, exchange, stream.completion, None if divergence is None else str(divergence)
        )
        self.turns.append(turn)
        if self._screen is not None:
            _show(self._screen, turn)


def _explain(screen: Screen, model: str) -> None:
    screen.line(f"{model} (simulated; prices as of {_prices_checked(model)})", "bold")
    screen.write("each bar is a prompt: ")
    for cell, style, name in zip(screen.cells, ("green", "yellow", "bright_black"), _LEGEND, strict=True):
        screen.write(f"{cell * 2} ", style)
        screen.write(f"{name}  ")
    screen.line()


_LEGEND = ("read from the cache", "written to it", "uncached")


def _show(screen: Screen, turn: Turn) -> None:
    screen.write("\n  ")
    draw_bar(screen, turn.usage, _BAR)
    screen.line(f" {token_line(turn.usage)}")
    screen.line(f"  {money_line(turn.cost)}", "dim")
    if turn.diverged is not None:
        screen.line(f"  miss: {turn.diverged}", "red")
        screen.line("  A cache reads a prompt from its start: what changes belongs at its end.", "red")


def _total(screen: Screen, turns: Sequence[Turn]) -> None:
    sums = _sums(turns)
    if sums is None:
        screen.line(f"\ntotal: {money_line(turns[0].cost)}", "bold")
        return
    total, without_cache = sums
    screen.line(
        f"\ntotal of {len(turns)} turns: {money(total)}, without caching {money(without_cache)},"
        f" {saved_text(without_cache - total, without_cache)}",
        "bold",
    )


def _sums(turns: Sequence[Turn]) -> tuple[Decimal, Decimal] | None:
    """What all turns cost, and would have cost uncached; None where a price is not known."""
    total = without_cache = Decimal(0)
    for turn in turns:
        if turn.cost.total is None or turn.cost.without_cache is None:
            return None
        total += turn.cost.total
        without_cache += turn.cost.without_cache
    return total, without_cache


def _document(model: str, turns: Sequence[Turn]) -> dict[str, Any]:
    """The whole demo for a program; amounts are strings, so that no digit is lost."""
    sums = _sums(turns)
    return {
        "model": model,
        "simulated": True,
        "prices_as_of": _prices_checked(model),
        "turns": [
            {
                "turn": turn.number,
                "question": turn.exchange.question,
                "answer": turn.reply.choices[0].message.content,
                "usage": turn.usage.to_dict(),
                "cost": turn.cost.to_dict(),
                "saved": None if turn.cost.saved is None else str(turn.cost.saved),
                "cache_miss": turn.diverged,
            }
            for turn in turns
        ],
        "totals": {
            "cost": None if sums is None else str(sums[0]),
            "without_cache": None if sums is None else str(sums[1]),
            "saved": None if sums is None else str(sums[1] - sums[0]),
            "prompt_tokens": sum(turn.usage.prompt_tokens or 0 for turn in turns),
            "cached_tokens": sum(turn.usage.cached_tokens or 0 for turn in turns),
            "cache_write_tokens": sum(turn.usage.cache_creation_input_tokens or 0 for turn in turns),
            "completion_tokens": sum(turn.usage.completion_tokens or 0 for turn in turns),
        },
    }


def _prices_checked(model: str) -> str:
    """The day on which the prices of the model's provider were last reviewed."""
    from asynccache.pricing.shelves import shelf_of

    shelf = shelf_of(model.partition("/")[0])
    return "?" if shelf is None else shelf.file.checked
