"""What one request asks the simulator to do to it, in the JSON of its `x-simulator` header."""

from __future__ import annotations

from typing import Literal, final

import msgspec

HEADER = "x-simulator"

UsageKnob = Literal["normal", "none", "every", "twice", "finish", "early", "start"]


@final
class Scenario(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Independent knobs; whatever is not given stays as the settings have it."""

    id: str | None = None
    """Counts the attempts of one scenario, whatever connection they come over; None = the header's own text."""

    status: int | None = None
    """Answer with this error status instead."""

    times: int | None = None
    """…but only the first n attempts of this id; None = always."""

    retry_after: str | None = None
    """The `retry-after` header of that error."""

    code: str | None = None
    """The error's own code (`insufficient_quota`, `enforced_spend_limit_reached`), instead of the usual one."""

    cut_after_events: int | None = None
    """Close the socket after n events of a stream, in the middle of the chunked body."""

    error_after_events: int | None = None
    """Say the wire's own in-band error after n events, then end."""

    stall_after_events: int | None = None
    """Say nothing more after n events, with the socket open."""

    usage: UsageKnob = "normal"
    """Where a stream tells its usage; `early` before the chunk that finishes (OpenAI), `start` in its first
    event only (Anthropic)."""

    usage_fields: dict[str, str] = {}
    """Counts of the usage, by dotted name, overridden by raw JSON text."""

    latency: float | None = None
    rate: float | None = None
    answer: str | None = None
    answer_tokens: int | None = None


NO_SCENARIO = Scenario()
_decoder = msgspec.json.Decoder(Scenario)


def read_scenario(header: str | None) -> Scenario:
    """The scenario that the header asks for.

    Raises:
        ValueError: The header is not JSON, or has a knob that does not exist.
    """
    if not header:
        return NO_SCENARIO
    try:
        return _decoder.decode(header)
    except msgspec.DecodeError as error:
        known = ", ".join(Scenario.__struct_fields__)
        raise ValueError(f"{HEADER}: {error}; knobs: {known}") from error
