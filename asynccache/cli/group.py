"""The commands by name; one is imported when it is run, so that `--help` costs next to nothing."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from asynccache import __version__

if TYPE_CHECKING:
    from click.formatting import HelpFormatter

__all__ = ["asynccache"]


class Row(NamedTuple):
    """Where a command lives, and its line in the help."""

    module: str
    help: str


COMMANDS = {
    "audit": Row("audit", "Check that a proxy's audit log is as it was written."),
    "chat": Row("chat", "Talk to a model in the terminal; tokens and cost after every answer."),
    "cost": Row("cost", "Price an answer, and tell where the money went."),
    "demo": Row("demo", "Watch a prompt cache at work: simulated, without a key, in a few seconds."),
    "keys": Row("keys", "Make, list and revoke keys for the callers of a proxy."),
    "models": Row("models", "List models: prices, and what each can cache."),
    "proxy": Row(
        "proxy", "Serve models to clients in any language: OpenAI's and Anthropic's formats, a config.yaml."
    ),
    "report": Row("ledger", "Add up a ledger: tokens, cost, saving and hits, by model, key or day."),
    "simulator": Row("simulator", "Run the simulated providers on a port of this machine."),
}


class LazyGroup(click.Group):
    """A group that imports a command only to run it, and turns the library's errors into one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """The names in the table."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of that name; its function in the module is named alike."""
        row = COMMANDS.get(cmd_name)
        if row is None:
            return None
        found = getattr(importlib.import_module(f"asynccache.cli.{row.module}"), cmd_name)
        if not isinstance(found, click.Command):
            msg = f"asynccache.cli.{row.module}.{cmd_name} is a {type(found).__name__}, not a click command"
            raise TypeError(msg)
        return found

    def format_commands(self, ctx: click.Context, formatter: HelpFormatter) -> None:
        """The lines of the table, without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name].help) for name in self.list_commands(ctx)])

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it refuses or meets is one line on stderr and exit code 1."""
        from asynccache.errors import AsyncCacheError

        try:
            return super().invoke(ctx)
        except AsyncCacheError as error:
            raise click.ClickException(" ".join(error.message.split())) from error


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="asynccache %(version)s")
def asynccache() -> None:
    """Ask language models, see what the prompt cache does, and what it costs."""
