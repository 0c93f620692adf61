"""HTML that is made of elements, so that no text can become markup: whatever is not markup is escaped."""

from __future__ import annotations

from html import escape
from typing import final

__all__ = ["Markup", "clean", "el", "join"]

_LONGEST = 120  # characters of a text from outside
_VOID = frozenset({"br", "circle", "line", "link", "meta", "path", "polyline", "rect"})


@final
class Markup(str):
    """Markup made here; only `el` and `join` make it."""

    __slots__ = ()


def el(name: str, /, *children: str | None, **attributes: object) -> Markup:
    """An element; ``class_`` is ``class``, ``_`` in other names is ``-``, and a None or False leaves its attribute out."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if name in _VOID and not children:
        return Markup(f"<{name}{told}/>")
    return Markup(f"<{name}{told}>{join(*children)}</{name}>")


def join(*children: str | None) -> Markup:
    """Several, one after the other; text among them is escaped, None left out."""
    return Markup("".join(child if type(child) is Markup else escape(child) for child in children if child))


def clean(text: str) -> str:
    """*text* from outside for people: nothing invisible that could turn it around, and not without end."""
    shown = "".join(char if char.isprintable() else "�" for char in text[:_LONGEST])
    return shown if len(text) <= _LONGEST else f"{shown}…"
