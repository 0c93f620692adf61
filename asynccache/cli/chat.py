"""Command: a conversation with a real or simulated model, its tokens and cost told after every answer."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, final

import click

from asynccache.cli.marks import CONVERSATION
from asynccache.cli.report import draw_bar, money_line, token_line
from asynccache.cli.screen import Screen, is_terminal
from asynccache.cli.simulated import PROVIDERS, reach

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asynccache.client import Client
    from asynccache.completion_stream import CompletionStream
    from asynccache.simulator import Simulator

__all__ = ["chat"]

_GOODBYE = frozenset({"/exit", "/quit"})
_RATE = 60.0  # tokens a second of a simulated model, for somebody who watches
_BAR = 20


@click.command
@click.argument("model")
@click.option("--system", help="A system prompt.")
@click.option(
    "--simulate", is_flag=True, help="Ask the simulated provider instead of the real one; needs no key."
)
def chat(model: str, system: str | None, *, simulate: bool) -> None:
    """Talk to MODEL, such as anthropic/claude-sonnet-5-5 or openai/gpt-6.2-sol.

    Every line from the standard input is a question. The conversation is marked for caching. Ctrl-C stops
    an answer; /exit, Ctrl-D or Ctrl-C at the prompt ends the chat.
    """
    import asyncio

    from asynccache.arguments import full_model
    from asynccache.errors import (
        APIConnectionError,
        APIStatusError,
        MissingAPIKeyError,
        MissingCredentialsError,
    )

    name = full_model(model)
    talk = Talk(name, system, Screen())
    with asyncio.Runner() as runner:
        runner.run(talk.open(simulate=simulate))
        try:
            for question in _questions():
                try:
                    runner.run(talk.ask(question))
                except KeyboardInterrupt:
                    talk.stop()
                except (APIConnectionError, APIStatusError) as error:
                    if not _is_dialogue():
                        raise
                    talk.complain(error.message)
                except (MissingAPIKeyError, MissingCredentialsError) as error:
                    hint = "; --simulate needs none" if name.partition("/")[0] in PROVIDERS else ""
                    raise click.ClickException(error.message + hint) from None
        finally:
            runner.run(talk.close())


@final
class Talk:
    """One conversation: it grows by a question and an answer at a time."""

    def __init__(self, model: str, system: str | None, screen: Screen) -> None:
        self._model = model
        self._screen = screen
        self._messages: list[dict[str, Any]] = []
        if system:
            self._messages.append({"role": "system", "content": system})
        self._stream: CompletionStream | None = None
        self._client: Client | None = None
        self._simulator: Simulator | None = None
        self._access: dict[str, Any] = {}

    async def open(self, *, simulate: bool) -> None:
        """Make the client, and the simulated provider where it is wanted."""
        from asynccache.client import Client

        self._client = Client()
        if not simulate:
            return
        from asynccache.simulator import Simulator, SimulatorSettings

        provider = self._model.partition("/")[0]
        if provider not in PROVIDERS:
            msg = f"there is no simulated {provider!r}; there are {', '.join(PROVIDERS)}"
            raise click.ClickException(msg)
        settings = SimulatorSettings(rate=_RATE) if is_terminal() else SimulatorSettings()
        self._simulator = await Simulator(settings).start()
        self._access = reach(self._simulator, self._model)

    async def ask(self, question: str) -> None:
        """One question; the answer is written as it comes, then what it used and cost."""
        if self._client is None:
            msg = "ask() comes after open()"
            raise RuntimeError(msg)
        self._stream = None
        asked = [*self._messages, {"role": "user", "content": question}]
        try:
            self._stream = stream = await self._client.acompletion(
                self._model, asked, stream=True, cache_control_injection_points=CONVERSATION, **self._access
            )
            async with stream:
                async for chunk in stream:
                    if chunk.choices:
                        delta = chunk.choices[0].delta
                        self._screen.write(delta.content or delta.refusal or "")
        finally:
            self._remember(asked)
            if self._stream is not None:
                self._screen.line()
        if stream.usage is not None:
            draw_bar(self._screen, stream.usage, _BAR)
            self._screen.line(f" {token_line(stream.usage)}; {money_line(stream.cost)}", "dim")

    def stop(self) -> None:
        """The answer was interrupted; what was said of it stays part of the conversation."""
        self._screen.line("(stopped)", "dim")

    def complain(self, message: str) -> None:
        """The answer failed; the conversation goes on."""
        click.echo(f"Error: {' '.join(message.split())}", err=True)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
        if self._simulator is not None:
            await self._simulator.stop()

    def _remember(self, asked: list[dict[str, Any]]) -> None:
        """Keep the question where it was answered, in part at least."""
        if self._stream is None:
            return
        choices = self._stream.completion.choices
        if choices and choices[0].message.content:
            self._messages = [*asked, choices[0].message.to_dict()]


def _is_dialogue() -> bool:
    return sys.stdin.isatty() and is_terminal()


def _questions() -> Iterator[str]:
    """The lines that are not empty, until there are no more or one says goodbye."""
    prompt = "> " if _is_dialogue() else ""
    while True:
        try:
            line = input(prompt).strip()
        except (EOFError, KeyboardInterrupt):
            return
        except UnicodeDecodeError as error:
            msg = f"the standard input is not {error.encoding} text (byte {error.start})"
            raise click.ClickException(msg) from None
        if line in _GOODBYE:
            return
        if line:
            yield line
