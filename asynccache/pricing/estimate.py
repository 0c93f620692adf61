"""An offline guess at token counts, for costs before a call; marked as a guess wherever it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from asynccache.reply import Usage
from asynccache.shapes import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["estimated_usage"]

_PER_MESSAGE: Final = 4
"""Tokens that providers' templates spend on a message's frame."""
_CHARACTERS_PER_TOKEN: Final = 4
"""What English prose comes to; characters beyond Latin ones are counted as a token each."""


def estimated_usage(prompt: str = "", messages: Iterable[Any] = (), completion: str = "") -> Usage:
    """A usage of estimated counts, nothing cached; ``source`` says ``estimated``."""
    told = list(messages)
    prompt_tokens = _tokens(prompt) + sum(_PER_MESSAGE + _tokens(_text(message)) for message in told)
    completion_tokens = _tokens(completion)
    return Usage(
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        total_tokens=prompt_tokens + completion_tokens,
        source="estimated",
    )


def _tokens(text: str) -> int:
    wide = sum(character > "\u02af" for character in text)
    return wide + -(-(len(text) - wide) // _CHARACTERS_PER_TOKEN)


def _text(value: Any) -> str:
    """All text inside a message, whatever its shape."""
    if isinstance(value, str):
        return value
    if is_object(value):
        return "".join(_text(item) for name, item in value.items() if name not in _FRAMES)
    if is_array(value):
        return "".join(_text(item) for item in value)
    return ""


_FRAMES: Final = frozenset({"role", "type", "id", "cache_control", "tool_call_id"})
