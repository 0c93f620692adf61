"""Text on the standard output: coloured in a terminal, plain everywhere else and with NO_COLOR."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["Screen", "is_terminal"]

_FULL, _PLAIN = "█▓░", "#+."


def is_terminal() -> bool:
    """Whether somebody watches the standard output."""
    return sys.stdout.isatty()


@final
class Screen:
    """Where a command writes; what is written appears at once.

    Attributes:
        cells: the characters for the three parts of a bar: read, written, uncached.
    """

    def __init__(self) -> None:
        self._console = _console() if is_terminal() and not os.environ.get("NO_COLOR") else None
        self.cells = _FULL if _can_say(_FULL) else _PLAIN
        reconfigure = getattr(sys.stdout, "reconfigure", None)
        if reconfigure is not None:  # a model may say what the terminal cannot show
            reconfigure(errors="replace")

    def write(self, text: str, style: str = "") -> None:
        """Write *text* as it is, without a line break of our own."""
        if self._console is None:
            print(text, end="", flush=True)
            return
        from rich.text import Text

        self._console.print(Text(text, style=style), end="", soft_wrap=True)

    def line(self, text: str = "", style: str = "") -> None:
        """Write *text* and end the line."""
        self.write(f"{text}\n", style)


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)


def _can_say(text: str) -> bool:
    try:
        text.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
