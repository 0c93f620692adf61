"""No answer without its end is a success, and what had come is kept. Guarantees 3, 5 and 8."""

from __future__ import annotations

from typing import Any

import pytest

from asynccache.errors import (
    APIConnectionError,
    APIStatusError,
    InternalServerError,
    InvalidResponseError,
    OverloadedError,
    RateLimitError,
    StreamInterruptedError,
)

from .rig import BEDROCK, BOTH, SOON, SSE, TEXT, TOOL, WIRES, Rig

pytestmark = pytest.mark.anyio

ENDS = ("clean", "fin", "fin_in_chunk", "rst", "half_close")
HTML = "<html><head><title>Log in</title></head><body>sk-canary-portal-000000 please</body></html>"
ERROR = '{"error":{"message":"no capacity","type":"server_error","code":"overloaded"}}'
# name -> (fault, whether it may be no StreamInterruptedError)
INSTEAD = {
    "27 empty": {"body": "", "content_type": "text/event-stream"},
    "27 empty json": {"body": "", "content_type": "application/json"},
    "27 blank": {"body": "\n\n  \n", "content_type": "text/event-stream"},
    "28 json error": {"body": ERROR, "content_type": "application/json"},
    "28 json error as events": {"body": ERROR, "content_type": "text/event-stream"},
    "28 error as frames": {"body": ERROR, "content_type": "application/vnd.amazon.eventstream"},
    "29 html": {"body": HTML, "content_type": "text/html"},
    "29 html as events": {"body": HTML, "content_type": "text/event-stream"},
    "29 html as json": {"body": HTML, "content_type": "application/json"},
    "json of nobody": {"body": '{"hello":"world"}', "content_type": "application/json"},
    "json list": {"body": "[1,2]", "content_type": "application/json"},
    "json null": {"body": "null", "content_type": "application/json"},
    "28 half an error": {"body": ERROR[:30], "content_type": "application/json"},
    "text": {"body": "upstream connect error", "content_type": "text/plain"},
}


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("events", [0, 1, 4, 12])
async def test_cut_between_events(rig: Rig, wire: str, end: str, events: int) -> None:
    """Rows 19, 20, 71: a stream cut between events is interrupted within 1 s, with text and usage so far."""
    outcome = await rig.ask(wire, fault={"cut_event": events, "end": end})
    assert isinstance(outcome.error, (StreamInterruptedError, InvalidResponseError)), outcome
    assert outcome.took < SOON
    assert TEXT.startswith(outcome.text)
    assert len(outcome.usages) == 1
    assert outcome.usages[0].source in {"partial", "missing"}
    if isinstance(outcome.error, StreamInterruptedError) and outcome.text:
        assert outcome.error.partial_text == outcome.text
    if events >= 4 and end in {"clean", "rst"}:
        assert outcome.text
    await rig.settled(
        open_at_most=1 if end == "clean" else 0
    )  # a body that HTTP ends leaves it as good as new


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("end", ENDS)
async def test_cut_within_events(rig: Rig, wire: str, end: str) -> None:
    """Row 20: a stream cut at any byte is never a success; 40 places, up to the end's first byte."""
    whole = await rig.ask(wire)
    assert whole.record is not None
    size = whole.record.bytes_sent
    last = size - 40 if wire != "converse" else size * 2 // 3  # before message_stop, [DONE], messageStop
    for place in range(1, last, max(1, last // 8)):
        outcome = await rig.ask(wire, fault={"cut_byte": place, "end": end})
        assert isinstance(outcome.error, (StreamInterruptedError, InvalidResponseError)), (place, outcome)
        assert TEXT.startswith(outcome.text)
        assert len(outcome.usages) == 1
        assert outcome.usages[0].source in {"partial", "missing", "provider"} - (
            {"provider"} if place < size * 2 // 3 else set()
        )


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("end", ENDS)
async def test_whole_bodies_cut(rig: Rig, wire: str, end: str) -> None:
    """Rows 14, 19, 20: half a JSON body is never an answer, whatever the framing says of it."""
    whole = await rig.ask(wire, stream=False)
    assert whole.record is not None
    size = whole.record.bytes_sent
    for place in (0, 1, size // 4, size // 2, size - 2):
        for framing in ("chunked", "close"):
            outcome = await rig.ask(
                wire, stream=False, fault={"cut_byte": place, "end": end, "framing": framing}
            )
            assert isinstance(outcome.error, (StreamInterruptedError, InvalidResponseError)), (place, framing)
            assert outcome.completion is None
            assert len(outcome.usages) == 1


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("fault", INSTEAD.values(), ids=INSTEAD)
async def test_something_else_instead(rig: Rig, wire: str, stream: bool, fault: dict[str, Any]) -> None:
    """Rows 27, 28, 29: an empty body, a page, an error in JSON: never an answer, whatever it calls itself."""
    outcome = await rig.ask(wire, stream=stream, fault=fault)
    assert isinstance(outcome.error, (APIConnectionError, APIStatusError)), outcome
    assert not outcome.text
    assert [usage.source for usage in outcome.usages] == ["missing"]
    assert outcome.usages[0].cost is None
    assert "sk-canary" not in str(outcome.error)
    if fault["body"] == ERROR and wire in SSE:
        assert isinstance(outcome.error, (InternalServerError, APIStatusError))
        assert "no capacity" in str(outcome.error)
    if fault["body"].strip() == "":
        assert isinstance(outcome.error, StreamInterruptedError)


@pytest.mark.parametrize("wire", WIRES)
async def test_chunk_header_that_is_no_number(rig: Rig, wire: str) -> None:
    """Row 30: aiohttp 3.14.5 hangs for ever at a malformed chunk header; here it ends within 1 s."""
    for stream in BOTH:
        fault = {
            "cut_event": 0 if not stream else 5,
            "end": "bad_chunk",
            "delay_event": 0.01,
            "delay_head": 0.01,
        }
        outcome = await rig.ask(wire, stream=stream, fault=fault)
        assert isinstance(outcome.error, (StreamInterruptedError, InvalidResponseError))
        assert outcome.took < SOON
    await rig.settled()


@pytest.mark.parametrize("wire", WIRES)
async def test_bad_chunk_beside_the_head(rig: Rig, wire: str) -> None:
    """Row 30, its limit: head, some events and the bad chunk in one read are all dropped by aiohttp; the call still ends.

    What had come may be lost with its usage then, and is told as missing; never as a success.
    """
    for stream in BOTH:
        outcome = await rig.ask(wire, stream=stream, fault={"cut_event": 4, "end": "bad_chunk"})
        assert isinstance(outcome.error, (StreamInterruptedError, InvalidResponseError))
        assert outcome.took < SOON
        assert len(outcome.usages) == 1
        assert outcome.usages[0].source in {"missing", "partial"}
    await rig.settled()


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("stream", BOTH)
async def test_lengths_that_lie(rig: Rig, wire: str, stream: bool) -> None:
    """Row 31: a length too short is an error; one too long as well, unless the terminator came."""
    short = await rig.ask(wire, stream=stream, fault={"framing": "short_length"})
    assert isinstance(short.error, (StreamInterruptedError, InvalidResponseError))
    long = await rig.ask(wire, stream=stream, fault={"framing": "long_length", "end": "fin"})
    assert (long.error is None) == stream


@pytest.mark.parametrize("wire", ["openai", "deepseek", "anthropic"])
async def test_missing_terminator(rig: Rig, wire: str) -> None:
    """Rows 21, 22: without its terminator an answer ends only where the server's profile allows it."""
    whole = await rig.ask(wire)
    assert whole.record is not None
    cut = whole.record.events_sent - 1
    outcome = await rig.ask(wire, fault={"cut_event": cut})
    if wire == "anthropic":
        assert isinstance(outcome.error, StreamInterruptedError)
        assert outcome.error.usage is not None
        assert outcome.error.usage.prompt_tokens == whole.usage.prompt_tokens  # type: ignore[union-attr]
    else:  # the relay is not OpenAI's own address
        assert outcome.error is None
        assert outcome.usage is not None
        assert outcome.usage.source == "provider"
    assert len(outcome.usages) == 1
    broken = await rig.ask(wire, fault={"cut_event": cut, "end": "fin"})
    assert broken.error is not None


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("events", [0, 1, 6, 400])
async def test_error_within_the_stream(rig: Rig, wire: str, events: int) -> None:
    """Rows 24, 25, 69: an error event raises the error that it stands for, and usage told before is kept."""
    whole = await rig.ask(wire)
    assert whole.record is not None
    after = min(events, whole.record.events_sent - 1)
    outcome = await rig.ask(wire, scenario={"error_after_events": after})
    assert isinstance(outcome.error, APIStatusError)
    assert isinstance(outcome.error, (InternalServerError, OverloadedError, RateLimitError))
    assert outcome.error.status_code in {429, 500, 503, 529}
    assert outcome.error.provider == wire.replace("converse", "bedrock").replace("invoke", "bedrock")
    assert len(outcome.usages) == 1
    told = outcome.record.usage if outcome.record else None
    if told is not None:
        assert outcome.error.usage is outcome.usages[0]
        assert outcome.usages[0].source in {"partial", "provider"}
        assert outcome.usages[0].prompt_tokens == whole.usage.prompt_tokens  # type: ignore[union-attr]
    else:
        assert outcome.usages[0].source == "missing"


@pytest.mark.parametrize("wire", WIRES)
async def test_half_a_call_is_no_call(rig: Rig, wire: str) -> None:
    """Row 32: a tool call cut in its arguments is in no completion, at whatever byte the cut comes."""
    asked: dict[str, Any] = {
        "tools": [TOOL],
        "tool_choice": "required",
        "messages": [{"role": "user", "content": "call weather"}],
    }
    rig.sim.settings = type(rig.sim.settings)(answer=None)
    whole = await rig.ask(wire, **asked)
    assert whole.completion is not None
    calls = whole.completion.choices[0].message.tool_calls
    assert calls
    assert whole.record is not None
    for place in range(200, whole.record.bytes_sent, 60):
        outcome = await rig.ask(wire, fault={"cut_byte": place}, **asked)
        message = (
            outcome.completion.choices[0].message
            if outcome.completion and outcome.completion.choices
            else None
        )
        if outcome.error is None:
            assert message is not None
            assert message.tool_calls is not None
            assert message.tool_calls[0].function.arguments == calls[0].function.arguments
            continue
        partial = getattr(outcome.error, "completion", None)
        for seen in (message, partial.choices[0].message if partial and partial.choices else None):
            if seen is not None and seen.tool_calls:  # only after the finish reason: the call is whole
                assert seen.tool_calls[0].function.arguments == calls[0].function.arguments


@pytest.mark.parametrize("wire", BEDROCK)
@pytest.mark.parametrize("place", [0, 4, 8, 20, -1])
async def test_damaged_frames(rig: Rig, wire: str, place: int) -> None:
    """Rows 66, 67: a frame whose lengths or checksums are wrong ends the answer; nothing of it is trusted."""
    outcome = await rig.ask(wire, fault={"flip": place})
    assert isinstance(outcome.error, APIConnectionError)
    assert not isinstance(outcome.error, StreamInterruptedError)
    assert not outcome.text
    assert outcome.took < SOON


@pytest.mark.parametrize("wire", SSE)
async def test_broken_json_in_an_event(rig: Rig, wire: str) -> None:
    """Row 26: an event that is no JSON is an error of ours, and the attempt is told."""
    for place in (-3, 12, 30):
        outcome = await rig.ask(wire, fault={"flip": place, "cut_event": 1, "end": "clean"})
        assert outcome.error is not None
        assert len(outcome.usages) == 1
