"""What the simulated model is asked, whatever wire it came over."""

from __future__ import annotations

from typing import Any, final

import msgspec


@final
class Tool(msgspec.Struct, frozen=True):
    """A tool that the model may call."""

    name: str
    schema: dict[str, Any]


@final
class Question(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a request that decides the answer."""

    text: str
    """The last thing the user said."""

    tools: tuple[Tool, ...] = ()

    must_call: str | None = None
    """A tool's name, `*` for any, None where the model decides."""

    may_call: bool = True
    parallel: bool = True

    answers_tools: bool = False
    """The last message is a tool's result: the model answers in words."""

    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    thinks: bool = False

    schema: dict[str, Any] | None = None
    """The answer is JSON of this schema ({} = any object)."""
