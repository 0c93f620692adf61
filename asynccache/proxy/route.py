"""One address: what it takes, what it answers, and whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from aiohttp import web

    from asynccache.proxy.bodies import Body
    from asynccache.proxy.speaking import Call

__all__ = ["Route"]

Answer: TypeAlias = "Callable[[Call, str | None], bytes]"
Take: TypeAlias = "Callable[[Call, Body], Awaitable[web.StreamResponse]]"


def _nothing(_call: Call, _wanted: str | None) -> bytes:
    return b""


@final
class Route(msgspec.Struct, frozen=True, kw_only=True):
    """One address: either it takes a body, or it answers from what is known."""

    summary: str
    body: Take | None = None
    answer: Answer = _nothing
    spends: bool = True
    """Whether a call of it uses tokens, and costs."""
    look: Callable[[Call, str], web.Response] | None = None
    """Answers from what goes on, for who runs the proxy: no key but the master's, where there is one, will do."""
    passes: bool = False
    """Whether a pass in the address will do too."""
    open: bool = False
    """Whether no key is asked for."""
    media: str = "application/json"
