"""Every legal spelling of an answer is the same answer: text, chunks, usage. Guarantee 7."""

from __future__ import annotations

from typing import Any

import pytest

from asynccache.errors import InvalidResponseError

from .rig import BEDROCK, BOTH, SOON, SSE, TEXT, WIRES, Outcome, Rig

pytestmark = pytest.mark.anyio

# The number is the row of the catalogue.
DRESSES = {
    "1 bytewise": {"split": 1},
    "2 crlf": {"eol": "crlf"},
    "2 cr": {"eol": "cr"},
    "2 mixed": {"eol": "mixed"},
    "3 crlf bytewise": {"eol": "crlf", "split": 1},
    "4 bom": {"bom": True},
    "4 bom bytewise": {"bom": True, "split": 1},
    "5,7,18 comments": {"comments": True},
    "6 tight": {"tight": True},
    "8 multiline": {"multiline": True},
    "8 multiline crlf": {"multiline": True, "eol": "crlf", "split": 3},
    "9,10 split": {"split": 7},
    "all": {
        "bom": True,
        "eol": "mixed",
        "comments": True,
        "tight": True,
        "multiline": True,
        "split_seed": 4711,
    },
}
CARRIERS = {
    "1 split": {"split": 5},
    "9,10 seeded": {"split_seed": 11},
    "13 gzip": {"encoding": "gzip"},
    "13 deflate": {"encoding": "deflate"},
    "13 gzip bytewise": {"encoding": "gzip", "split": 1},
    "14 close": {"framing": "close"},
    "14 close rst": {"framing": "close", "end": "rst"},
    "length": {"framing": "length"},
    "31 long length": {"framing": "long_length", "end": "fin"},
    "15 hints": {"early_hints": True},
}


def told(outcome: Outcome) -> tuple[Any, ...]:
    """All that a caller sees but for ids, which are new in each answer."""
    assert outcome.error is None
    assert outcome.usage is not None
    said = [
        (choice.index, choice.delta.content, choice.finish_reason)
        for chunk in outcome.chunks
        for choice in chunk.choices
    ]
    usage = outcome.usage.to_dict()
    return outcome.text, said, {name: usage[name] for name in usage if name not in {"cost", "raw"}}


async def same(rig: Rig, wire: str, fault: dict[str, Any], *, stream: bool = True) -> None:
    plain = await rig.ask(wire, stream=stream)
    dressed = await rig.ask(wire, stream=stream, fault=fault)
    assert told(dressed) == told(plain)
    assert dressed.text == TEXT
    assert len(dressed.usages) == 1
    assert dressed.usages[0].source == "provider"


@pytest.mark.parametrize("wire", SSE)
@pytest.mark.parametrize("fault", DRESSES.values(), ids=DRESSES)
async def test_spellings_of_events(rig: Rig, wire: str, fault: dict[str, Any]) -> None:
    """Line ends, marks, comments, ids, fields and splits change nothing of what is told."""
    await same(rig, wire, fault)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("fault", CARRIERS.values(), ids=CARRIERS)
@pytest.mark.parametrize("stream", BOTH)
async def test_spellings_of_http(rig: Rig, wire: str, fault: dict[str, Any], stream: bool) -> None:
    """Chunks, lengths, closing, packing and hints before the head change nothing of what is told.

    A body in one piece has no terminator but its framing, so that one without a length, or with one that
    lies, may be refused; what is not refused is whole.
    """
    if not stream and fault.get("end"):
        outcome = await rig.ask(wire, stream=False, fault=fault)
        assert outcome.error is not None or outcome.text == TEXT
        return
    await same(rig, wire, fault, stream=stream)


@pytest.mark.parametrize("wire", BEDROCK)
async def test_frames_split_at_every_byte(rig: Rig, wire: str) -> None:
    """Row 68: frames that come byte by byte are the same frames."""
    await same(rig, wire, {"split": 1})


@pytest.mark.parametrize("wire", WIRES)
async def test_packed_twice_is_refused(rig: Rig, wire: str) -> None:
    """An encoding that nobody asked for and nobody unpacks is named, not fed to a decoder."""
    outcome = await rig.ask(wire, fault={"encoding": "double"})
    assert isinstance(outcome.error, InvalidResponseError)
    assert "gzip, gzip" in str(outcome.error)


@pytest.mark.parametrize("wire", WIRES)
async def test_called_packed_and_is_not(rig: Rig, wire: str) -> None:
    """A body that is not what its content-encoding says is an error of ours, whichever way it is read."""
    for stream in BOTH:
        outcome = await rig.ask(
            wire, stream=stream, fault={"headers": {"content-encoding": "gzip"}, "delay_event": 0.01}
        )
        assert outcome.error is not None
        assert len(outcome.usages) == 1


@pytest.mark.parametrize("wire", SSE)
async def test_packed_events_are_not_held_back(rig: Rig, wire: str) -> None:
    """Row 13: events of a packed stream come as they are sent, not at its end."""
    import asyncio

    asked = rig.arguments(wire, fault={"encoding": "gzip", "cut_event": 6, "end": "stall"})
    async with await rig.client.acompletion(**asked, stream=True) as stream:
        async with asyncio.timeout(SOON):
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    break


@pytest.mark.parametrize("wire", WIRES)
async def test_held_after_the_terminator(rig: Rig, wire: str) -> None:
    """Row 17: a connection held after the last event does not hold the answer up; by the clock it is 100 ms."""
    outcome = await rig.ask(wire, fault={"hold": 50.0})
    assert outcome.error is None
    assert outcome.text == TEXT
    assert outcome.took < SOON  # of 50
    await rig.settled()
