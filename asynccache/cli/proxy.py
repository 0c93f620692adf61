"""Command: an OpenAI- and Anthropic-compatible server in front of all providers, with LiteLLM's config.yaml."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, final

import click

from asynccache.cli.listening import PORT, cannot_listen
from asynccache.cli.simulated import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynccache.proxy.gate import Gate
    from asynccache.proxy.served import Served
    from asynccache.proxy.server import Server
    from asynccache.proxy.settings import Config
    from asynccache.simulator import Simulator
    from asynccache.usage.ledger import Ledger

__all__ = ["command", "proxy"]


@click.command("proxy")
@click.option(
    "--config", "-c", "file", type=click.Path(path_type=Path, dir_okay=False), help="LiteLLM's config.yaml."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port", "-p", type=PORT, default=4000, show_default=True, help="Where to listen; 0 takes any free port."
)
@click.option("--check", is_flag=True, help="Read the configuration, say what it serves, and end.")
def proxy(file: Path | None, host: str, port: int, *, check: bool) -> None:
    """Serve OpenAI's and Anthropic's formats for clients in any language, with real cost in every answer.

    Without --config it serves every provider whose key is in the environment, and simulated ones under
    simulator/PROVIDER/MODEL. SIGHUP reads the configuration again; SIGTERM lets answers finish.
    """
    if find_spec("yaml") is None:
        raise click.ClickException("the proxy needs PyYAML: pip install 'asynccache[proxy]'")
    from asynccache.proxy.config import ConfigError

    try:
        running = _Running(file, host, port)
        if check:
            running.check()
            return
        _begin(running)
    except ConfigError as error:
        click.echo(f"Error: {error.message}", err=True)
        sys.exit(2)


command = proxy


def _begin(running: _Running) -> None:
    import asyncio

    try:
        asyncio.run(running.serve())
    except OSError as error:
        raise cannot_listen(running.host, running.port, error) from None


@final
class _Running:
    """One proxy as a process: its configuration, which may be read again, and what it holds."""

    def __init__(self, file: Path | None, host: str, port: int) -> None:
        from asynccache.proxy.keys import check_address

        self.host = host
        self.port = port
        self._file = file
        self._simulator: Simulator | None = None
        self._ledger: Ledger | None = None
        self._gate: Gate | None = None
        self._config = self._read()
        self._warning = check_address(host, self._config.master_key)

    def check(self) -> None:
        """Say what would be served."""
        from asynccache.proxy.served import Served

        self._tell(Served(self._config, simulators=dict.fromkeys(PROVIDERS, "http://127.0.0.1:1")))
        click.echo("the configuration is good", err=True)

    async def serve(self) -> None:
        """Serve until SIGTERM or Ctrl-C."""
        import gc
        import signal

        import anyio

        from asynccache.pricing.book import default_book
        from asynccache.proxy.gate import open_gate
        from asynccache.proxy.server import Server

        _quiet()
        default_book()
        gc.collect()
        gc.freeze()  # what stands now, the price book above all, stands until the end
        gc.set_threshold(5_000, 20, 50)  # an answer is many small objects that die together
        if self._config.settings.ledger is not None:
            from asynccache.usage.ledger import open_ledger

            self._ledger = open_ledger(self._config.settings.ledger)
        try:
            self._gate = await open_gate(self._config, self._ledger)
            server = await Server(await self._serve_config(self._config)).start(self.host, self.port)
            with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
                self._tell(server.served)
                where = f"[{self.host}]" if ":" in self.host else self.host
                self._gate.note("start", self._config, address=f"{where}:{server.port}")
                click.echo(f"listening on {server.scheme}://{where}:{server.port}", err=True)
                _tell_page(f"{server.scheme}://{where}:{server.port}", server.served)
                async for number in signals:
                    if number != signal.SIGHUP:
                        break
                    await self._reload(server)
            await server.stop()
        finally:
            if self._simulator is not None:
                await self._simulator.stop()
            if self._gate is not None:
                await self._gate.aclose()
            if self._ledger is not None:
                await self._ledger.aclose()

    def _read(self) -> Config:
        import os

        from asynccache.proxy.config import read_config
        from asynccache.proxy.environment import found_config
        from asynccache.proxy.keys import is_local

        if self._file is None:
            return found_config(os.environ, simulator=is_local(self.host))
        return read_config(self._file, os.environ)

    async def _reload(self, server: Server) -> None:
        """All or nothing: what cannot be used changes nothing."""
        from asynccache.errors import ConfigurationError
        from asynccache.proxy.keys import check_address
        from asynccache.proxy.settings import keep_fixed

        waiting: list[str] = []
        try:
            config, waiting = keep_fixed(self._read(), server.served.config)
            warning = check_address(self.host, config.master_key)
            server.replace(await self._serve_config(config, server.served))
        except ConfigurationError as error:
            click.echo(f"the configuration stays as it was: {error.message}", err=True)
        else:
            server.served.gate.note("reload", config)
            click.echo("the configuration was read again", err=True)
            if warning is not None:
                click.echo(f"Warning: {warning}", err=True)
        for name in waiting:
            click.echo(f"Warning: {name} was changed, and stays as it was until a restart", err=True)

    async def _serve_config(self, config: Config, before: Served | None = None) -> Served:
        from asynccache.proxy.served import Served

        return Served(
            config,
            simulators=await self._simulators(config),
            ledger=self._ledger,
            transport=None if before is None else before.transport,
            activity=None if before is None else before.activity,
            gate=self._gate,
        )

    async def _simulators(self, config: Config) -> Mapping[str, str]:
        if not any(model.model.startswith("simulator/") for model in config.models):
            return {}
        from asynccache.simulator import Simulator

        if self._simulator is None:
            self._simulator = await Simulator().start()
        running = self._simulator
        return {name: getattr(running, f"{name}_base") for name in PROVIDERS}

    def _tell(self, served: Served) -> None:
        for line in served.describe():
            click.echo(line, err=True)
        if self._config.ignored:
            click.echo(f"known to LiteLLM, without meaning here: {', '.join(self._config.ignored)}", err=True)
        if self._warning is not None:
            click.echo(f"Warning: {self._warning}", err=True)
        if not served.deployments:
            click.echo("Warning: nothing is served: no model_list, and no provider's key is set", err=True)
        _tell_limits(self._config)


def _tell_page(base: str, served: Served) -> None:
    """Where to look: a link that works once is for who sits at the terminal, not for a log."""
    from asynccache.proxy.looking import link_to_page

    link, how = "/ui", ""
    if served.config.master_key and sys.stderr.isatty():
        link = link_to_page(served.activity)
    elif served.gate.ring.is_locked:
        how = f" (GET {base}/ui/link with the master key gives a link that opens it)"
    click.echo(f"what goes on: {base}{link}{how}", err=True)


def _tell_limits(config: Config) -> None:
    """What a limit means where several processes share a ledger."""
    rows = [key.id for key in config.keys if key.rights.rpm or key.rights.tpm or key.rights.concurrency]
    if rows and (config.settings.ledger or "").startswith("postgres"):
        click.echo(
            f"rpm, tpm and concurrency ({', '.join(rows[:5])}{' and others' if len(rows) > 5 else ''}) count in "
            "each process; budgets count over all that share the ledger",
            err=True,
        )


def _quiet() -> None:
    """What aiohttp logs may quote requests; what a dying process leaves behind may hold keys."""
    import logging
    import resource

    for name in ("aiohttp.access", "aiohttp.server", "aiohttp.web", "asynccache.proxy.protocol"):
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.addHandler(logging.NullHandler())
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
