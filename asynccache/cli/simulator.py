"""Command: the simulated providers on a port, and the variables that lead a program to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from asynccache.cli.listening import PORT, cannot_listen
from asynccache.cli.simulated import exports

if TYPE_CHECKING:
    from asynccache.simulator import Simulator, SimulatorSettings

__all__ = ["simulator"]


@click.command
@click.option(
    "--port", type=PORT, default=8099, show_default=True, help="Where to listen; 0 takes any free port."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    help="Tokens a second; as fast as possible by default.",
)
@click.option("--latency", type=click.FloatRange(min=0), default=0.0, help="Seconds before an answer begins.")
@click.option(
    "--answer-tokens",
    type=click.IntRange(min=0),
    default=48,
    show_default=True,
    help="How long an answer is.",
)
def simulator(port: int, host: str, rate: float | None, latency: float, answer_tokens: int) -> None:
    """Run the simulated OpenAI, Anthropic, DeepSeek and Bedrock until Ctrl-C or SIGTERM.

    Real wire formats and real prefix-cache rules; token counts are estimates. It prints the variables to
    export, so that a program meets it instead of the real providers.
    """
    import asyncio

    from asynccache.simulator import SimulatorSettings

    settings = SimulatorSettings(rate=rate, latency=latency, answer_tokens=answer_tokens)
    try:
        asyncio.run(_serve(port, host, settings))
    except OSError as error:
        raise cannot_listen(host, port, error) from None


async def _serve(port: int, host: str, settings: SimulatorSettings) -> None:
    import signal

    import anyio

    from asynccache.simulator import Simulator

    running = await Simulator(settings).start(port, host)
    try:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            _announce(running)
            async for _ in signals:
                break
    finally:
        await running.stop()


def _announce(running: Simulator) -> None:
    click.echo("# simulated providers; leave with Ctrl-C. In another terminal:")
    for name, value in exports(running).items():
        click.echo(f"export {name}={value}")
