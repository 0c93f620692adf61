"""A prompt as a trail of points: wherever a cache may cut it, the digest of everything before and the tokens so far."""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, final

import msgspec

if TYPE_CHECKING:
    from .prompt import Block, Prompt

_PIECE = 32  # bytes, about eight tokens: fine enough for steps of 128, coarse enough for long prompts


@final
class Point(msgspec.Struct, frozen=True, gc=False):
    """A place where a prompt can be cut."""

    digest: bytes
    """Of the model, the scope and all content up to here."""

    tokens: int
    """Up to here."""


def block_trail(prompt: Prompt) -> list[Point]:
    """One point at the end of every block: equal only where all blocks before are equal, borders included."""
    running = blake2b(_start(prompt), digest_size=16)
    tokens = 0
    trail: list[Point] = []
    for block in prompt.blocks:
        running.update(len(block.content).to_bytes(8, "big"))
        running.update(block.content)
        tokens += block.tokens
        trail.append(Point(running.digest(), tokens))
    return trail


def fine_trail(prompt: Prompt) -> list[Point]:
    """A point every few tokens and at the end of every block; borders between blocks are not part of it."""
    running = blake2b(_start(prompt), digest_size=16)
    tokens = 0
    trail: list[Point] = []
    for block in prompt.blocks:
        content, size = block.content, len(block.content)
        for start in range(0, size, _PIECE):
            end = min(start + _PIECE, size)
            running.update(content[start:end])
            trail.append(Point(running.digest(), tokens + block.tokens * end // size))
        tokens += block.tokens
        if not size and block.tokens:
            trail.append(Point(running.digest(), tokens))
    return trail


def extended(prompt: Prompt, output: tuple[Block, ...]) -> list[Point]:
    """The trail of the prompt with the model's answer behind it."""
    return fine_trail(msgspec.structs.replace(prompt, blocks=prompt.blocks + output))


def _start(prompt: Prompt) -> bytes:
    return f"{prompt.model}\x1f{prompt.scope}\x1f".encode()
