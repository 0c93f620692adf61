"""Events that pass unread are those alone that differ in nothing but their text, and their padding."""

from __future__ import annotations

import json

import pytest

from asynccache.proxy.alike import Likeness, likeness

FIELDS = (b'"content":"',)


def _event(text: str, pad: str | None, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish}
    chunk: dict[str, object] = {"id": "x", "choices": [choice], "usage": None}
    if pad is not None:
        chunk["obfuscation"] = pad
    return b"data: " + json.dumps(chunk, separators=(",", ":")).encode() + b"\n\n"


def _like(pad: str | None) -> Likeness:
    found = likeness(_event("first", pad), FIELDS)
    assert found is not None
    return found


@pytest.mark.parametrize("pad", [None, "ab"])
@pytest.mark.parametrize(
    "texts",
    [("a", "b"), ('a"b', "c"), ("\\", "b\\\\"), ("x\n\n", "y"), ("", "", ""), ('\\"', '"'), ("é", "\u2028")],
)
def test_runs_of_texts_end_where_another_event_begins(texts: tuple[str, ...], pad: str | None) -> None:
    """Whatever the texts hold, all of them pass, and the first event that says more does not."""
    like = _like(pad)
    run = b"".join(_event(text, pad and pad * number) for number, text in enumerate(texts))
    end = _event("x", pad, "stop")
    assert like.until(run, 0) == len(run)
    for after in (end, end + run, b"data: [DONE]\n\n", b": a comment\n\n", b"event: other\ndata: {}\n\n"):
        assert like.until(run + after, 0) == len(run)
    assert like.until(end + run, 0) == 0
    assert like.until(end + run, len(end)) == len(end + run)


@pytest.mark.parametrize("pad", [None, "ab"])
@pytest.mark.parametrize("inner", [b"a\nb", b"a\n\nb", b'a","evil":"b', b"a\\", b'a\\\\","b":"'])
def test_a_text_that_is_none_does_not_pass(inner: bytes, pad: str | None) -> None:
    """A line's end, a quote that ends the text early, an escape of its closing quote: another event, to be read."""
    like = _like(pad)
    odd = _event("TEXT", pad).replace(b"TEXT", inner)
    fine = _event("fine", pad)
    assert like.until(odd, 0) == 0
    assert like.until(fine + odd + fine, 0) <= len(fine)


def test_what_has_no_text_has_no_likeness() -> None:
    """Events without one of the fields, or with a padding that does not end the event, are read one by one."""
    assert likeness(b'data: {"a":1}\n\n', FIELDS) is None
    assert likeness(_event("x", "y").replace(b'"}\n\n', b'","more":1}\n\n'), FIELDS) is None
