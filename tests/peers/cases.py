"""The faults that every client is put before, and what a right answer to each is."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

KEY = "sk-canary-0123456789abcdefghijklmnop"
TEXT = "Hello, wörld \u2028 and \U0001f600! The answer goes on for a while, word by word, until it ends."
LIMIT = 3.0
"""Seconds that every client is told to wait at most."""

Kind = Literal["whole", "error", "either"]
Told = Literal["exact", "none", "unsound", "any"]


class Case(NamedTuple):
    """One fault. A *cut* counts an answer's events, below zero from its end."""

    title: str
    rows: str
    """Of the catalogue."""
    fault: Mapping[str, Any] = MappingProxyType({})
    scenario: Mapping[str, Any] = MappingProxyType({})
    cut: int | None = None
    ends: Kind = "error"
    """What the call must come to; `either`: a success or an error, as long as the rest holds."""
    usage: Told = "any"
    """What must be known of it in the end: the true counts, none, or nothing unsound."""
    retries: int = 0
    attempts: int = 1
    """How many requests are right, at most."""
    within: float = LIMIT * 2
    """Seconds until the call must be over."""
    waits: float = 0.0
    """Seconds before which nobody may ask again."""
    memory: float = 48.0
    """MB that it may take."""


_REFUSED = f'{{"type":"error","error":{{"type":"authentication_error","message":"Incorrect API key provided: {KEY}"}}}}'
_HTML = "<html><body><h1>Sign in to the hotel's network</h1></body></html>"
_OVERLOADED = '{"type":"error","error":{"type":"overloaded_error","message":"come again"}}'
_SSE = "text/event-stream"

CASES: dict[str, Case] = {
    "plain": Case("nothing is wrong", "-", ends="whole", usage="exact"),
    "bytewise": Case("every byte a read of its own", "1, 9", {"split": 1}, ends="whole", usage="exact"),
    "crlf": Case("lines end in CRLF", "2, 3", {"eol": "crlf", "split_seed": 7}, ends="whole", usage="exact"),
    "cr": Case("lines end in CR", "2", {"eol": "cr"}, ends="whole", usage="exact"),
    "bom": Case("a byte order mark", "4", {"bom": True, "split": 1}, ends="whole", usage="exact"),
    "noise": Case(
        "comments, events without data, unknown fields", "5-7", {"comments": True}, ends="whole", usage="exact"
    ),
    "multiline": Case("JSON over several data lines", "8", {"multiline": True}, ends="whole", usage="exact"),
    "gzip": Case("packed though not asked for", "13", {"encoding": "gzip"}, ends="whole", usage="exact"),
    "unframed": Case("no length, ended by closing", "14", {"framing": "close"}, ends="whole", usage="exact"),
    "hints": Case("100 and 103 before the answer", "15", {"early_hints": True}, ends="whole", usage="exact"),
    "held": Case("held open after the end", "17", {"hold": 20.0}, ends="whole", usage="exact", within=2.0),
    "cut-clean": Case("a clean end in the middle of the text", "19", {"end": "clean"}, cut=5),
    "cut-unframed": Case("the same, without a length", "14, 19", {"end": "fin", "framing": "close"}, cut=5),
    "cut-fin": Case("closed inside a chunk", "20", {"end": "fin_in_chunk"}, cut=5),
    "cut-rst": Case("reset in the middle", "20", {"end": "rst"}, cut=5),
    "no-terminator": Case("all but the terminator", "21", {"end": "clean"}, cut=-1, ends="either", usage="exact"),
    "rst-after-usage": Case("reset after the usage", "23", {"end": "rst"}, cut=-1, ends="either", usage="exact"),
    "error-event": Case("an error event in the middle", "24", scenario={"error_after_events": 5}),
    "error-after-usage": Case(
        "an error event after the usage", "25", scenario={"error_after_events": -1}, usage="exact"
    ),
    "half-json": Case("half a JSON in an event", "26", {"body": 'data: {"id": "c", "cho\n\n', "content_type": _SSE}),
    "empty": Case("200 and nothing", "27", {"body": "", "content_type": _SSE}),
    "json-error": Case("200 and an error as JSON", "28", {"body": _OVERLOADED}),
    "html": Case("200 and a page of HTML", "29", {"body": _HTML, "content_type": "text/html"}),
    "bad-chunk": Case("a chunk header that is no number", "30", {"end": "bad_chunk"}, cut=5),
    "usage-twice": Case("usage told twice", "36", scenario={"usage": "twice"}, ends="whole", usage="exact"),
    "usage-every": Case("usage on every chunk", "37", scenario={"usage": "every"}, ends="whole", usage="exact"),
    "usage-negative": Case(
        "negative counts", "44", scenario={"usage_fields": {"completion_tokens": "-5", "output_tokens": "-5"}},
        ends="either", usage="unsound",
    ),
    "usage-huge": Case(
        "10^30 tokens", "44",
        scenario={"usage_fields": {"completion_tokens": "1" + "0" * 30, "output_tokens": "1" + "0" * 30}},
        ends="either", usage="unsound",
    ),
    "usage-none": Case("no usage at all", "47", scenario={"usage": "none"}, ends="either", usage="none"),
    "retry-after": Case(
        "429, Retry-After 1, then an answer", "52", scenario={"status": 429, "times": 1, "retry_after": "1"},
        ends="whole", usage="exact", retries=2, attempts=2, waits=0.95,
    ),
    "retry-after-hour": Case(
        "429, Retry-After 3600", "53", scenario={"status": 429, "retry_after": "3600"}, retries=2, attempts=3, waits=3600.0
    ),
    "always-500": Case("500 at every attempt, two retries", "55", scenario={"status": 500}, retries=2, attempts=3, within=12.0),
    "key-echo": Case("401 that repeats the key", "56, 99", {"status": 401, "body": _REFUSED}, retries=2),
    "redirect": Case("redirected to another origin", "58", {"status": 307, "headers": {"location": "ELSEWHERE"}, "body": "{}"}),
    "bomb": Case("an endless line, packed 1000 : 1", "11, 13", {"end": "bomb", "encoding": "gzip"}, cut=3, within=20.0),
    "no-head": Case("no answer at all", "72", {"delay_head": 60.0}, within=14.0),
    "stall": Case("silence in the middle", "73", {"end": "stall"}, cut=5),
    "drip": Case("a byte every 100 ms", "74", {"end": "drip", "every": 0.1}, cut=5),
    "pings": Case("comments for ever", "75", {"end": "pings", "every": 0.1}, cut=5),
}  # fmt: skip
