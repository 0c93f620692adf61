"""The oracle's log: what the simulator truly received and truly sent, request by request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

if TYPE_CHECKING:
    from .verdict import Verdict

ClosedBy = Literal["server", "client", "scenario", "shutdown"]


class Record(msgspec.Struct, kw_only=True):
    """One request and its answer; filled in while they happen, so that it is true also of those cut short."""

    number: int
    wire: str
    path: str

    at: float
    """The simulator's clock when the request had arrived."""

    loop_time: float
    """The event loop's time at the same moment."""

    headers: dict[str, str]
    """Names in lower case; keys and cookies only as a digest."""

    body: Any = None
    """The decoded JSON, or the bytes where they were none."""

    status: int | None = None
    """None: no answer was begun."""

    bytes_sent: int = 0
    """Of the answer's body."""

    events_sent: int = 0
    """Whole events handed to the socket; 1 for an answer that is not streamed."""

    usage: dict[str, Any] | None = None
    """The last usage object truly sent."""

    verdict: Verdict | None = None
    """What the cache did."""

    scenario: str | None = None
    finished: bool = False
    """The answer was sent to its end."""

    closed_by: ClosedBy | None = None
    """Who ended the exchange; None while it lasts."""

    closed_at: float | None = None
    """The event loop's time when the simulator saw it end."""
