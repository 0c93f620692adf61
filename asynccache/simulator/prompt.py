"""What a prefix cache sees of a request: blocks, in the order in which the provider renders them."""

from __future__ import annotations

from typing import Literal, final

import msgspec

Level = Literal["tools", "system", "messages"]


@final
class Block(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One piece of a prompt that is cached whole or in steps, with the breakpoint that may sit at its end."""

    content: bytes
    """What is compared: equal bytes are equal blocks."""

    tokens: int
    level: Level = "messages"

    lifetime: int | None = None
    """Seconds; a breakpoint of this lifetime sits at the end of this block. None = no breakpoint."""

    ends_message: bool = False
    """An implicit breakpoint may stand at its end (a user message, the last of the tool outputs, the first system block)."""

    is_setting: bool = False
    """A parameter that changes the prompt from here on (tool_choice, thinking), without a position of its own."""


@final
class Prompt(msgspec.Struct, frozen=True, kw_only=True):
    """A whole request, as its cache sees it."""

    model: str
    scope: str
    """Who shares entries: the key, the organisation, the user id, whatever the provider isolates by."""

    blocks: tuple[Block, ...]

    @property
    def tokens(self) -> int:
        """Every token of the prompt."""
        return sum(block.tokens for block in self.blocks)
