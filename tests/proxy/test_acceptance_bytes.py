"""Whatever a caller's JSON looks like, upstream gets its bytes; what two readers could read differently gets nowhere."""

from __future__ import annotations

import gzip
import io
import random
import zlib
from typing import Any

import aiohttp
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asynccache.proxy.bodies import read_body, spliced
from asynccache.proxy.passing import chat_body

from .serving import KEY, serving, url
from .test_passing import SSE, post
from .upstream import STREAM, WHOLE, upstream

pytestmark = pytest.mark.anyio

MESSAGE = b'{"type":"message","id":"msg_1","content":[],"usage":{"input_tokens":3,"output_tokens":1}}'
RESPONSE = b'{"object":"response","id":"resp_1","model":"gpt-4o","output":[],"status":"completed","usage":{"input_tokens":3,"output_tokens":1,"total_tokens":4}}'
SPACES = st.sampled_from([b"", b"", b" ", b"\n", b"\t \r\n"])
NUMBERS = st.sampled_from(
    [b"0", b"-0", b"1", b"1.0", b"-1.50", b"1e5", b"1E+2", b"1e-7", b"0.1e1", b"5e-324", b"1e-400", b"9007199254740992",
     b"-9007199254740992", b"3.141592653589793238462643383279", b"123456789012345.6789", b"1e20", b"12345678901234567890.5"]
)  # fmt: skip


@st.composite
def texts(draw: st.DrawFn, value: str | None = None) -> bytes:
    """A JSON string, some of its characters escaped though they need not be."""
    text = draw(st.text(max_size=12)) if value is None else value
    out: list[bytes] = []
    for character in text:
        if 0xD800 <= ord(character) < 0xE000:
            continue
        escape = draw(st.integers(0, 5)) == 0 or character in '"\\' or ord(character) < 0x20
        if not escape:
            out.append(character.encode())
            continue
        units = character.encode("utf-16-be")
        form = "%04x" if draw(st.booleans()) else "%04X"
        out += [
            b"\\u" + (form % int.from_bytes(units[at : at + 2], "big")).encode()
            for at in range(0, len(units), 2)
        ]
    return b'"' + b"".join(out) + b'"'


@st.composite
def values(draw: st.DrawFn, depth: int = 3) -> bytes:
    """Any JSON value, as somebody might write it."""
    kind = draw(st.integers(0, 5 if depth else 3))
    if kind == 0:
        return draw(NUMBERS)
    if kind == 1:
        return draw(st.sampled_from([b"true", b"false", b"null"]))
    if kind <= 3:
        return draw(texts())
    space = draw(SPACES)
    items = draw(st.lists(values(depth=depth - 1), max_size=4))
    if kind == 4:
        return b"[" + space + (space + b"," + space).join(items) + space + b"]"
    pairs = [draw(texts(f"k{number}")) + space + b":" + item for number, item in enumerate(items)]
    return b"{" + space + (space + b"," + space).join(pairs) + space + b"}"


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A body for the model `m`, and the same for `gpt-4o`: the model stands anywhere, its name in any spelling."""
    members = [(draw(texts(f"x{number}")), draw(values())) for number in range(draw(st.integers(0, 5)))]
    members.append((draw(texts("messages")), b"[" + draw(values(depth=2)) + b"]"))
    place = draw(st.integers(0, len(members)))
    model = (draw(texts("model")), draw(texts("m")))
    made: list[bytes] = []
    for mine in (model[1], b'"gpt-4o"'):
        rows = [*members[:place], (model[0], mine), *members[place:]]
        made.append(b",".join(b" " + key + b"\n:\t" + value + b"\r" for key, value in rows))
    before, after = draw(SPACES), draw(SPACES)
    given_, expected = (before + b"{" + inner + b"}" + after for inner in made)
    return given_, expected


@given(bodies())
@settings(max_examples=300, deadline=None)
def test_only_the_model_changes(pair: tuple[bytes, bytes]) -> None:
    """Spaces, escapes, the spelling of numbers and the order of keys are upstream what they were."""
    raw, expected = pair
    body = read_body(raw)
    assert chat_body(body, "gpt-4o", stream=False) == expected
    streamed = chat_body(body, "gpt-4o", stream=True)
    cut = expected.rindex(b"}")
    assert streamed == expected[:cut] + b',"stream_options":{"include_usage":true}' + expected[cut:]


@given(bodies(), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_a_key_twice_is_refused_at_any_depth(pair: tuple[bytes, bytes], depth: int) -> None:
    """However its second spelling is escaped; the first and the second reader would not agree on it."""
    raw, _ = pair
    twice = b'{"a":1,"b":2,"\\u0061":3}'
    for _ in range(depth):
        twice = b'[{"c":' + twice + b"}]"
    cut = raw.rindex(b"}")
    with pytest.raises(Exception, match="same key twice"):
        read_body(raw[:cut] + b',"zz":' + twice + raw[cut:])


def test_added_to_nothing() -> None:
    """An object without members takes the first one, too."""
    assert spliced(b" { } ", {"a": b"1", "b": b"2"}) == b' { "a":1,"b":2} '


PATHS = {
    "/v1/chat/completions": ("openai", "gpt-4o", WHOLE),
    "/v1/messages": ("anthropic", "claude-sonnet-4-5", MESSAGE),
    "/v1/responses": ("openai", "gpt-4o", RESPONSE),
}


@pytest.mark.parametrize("path", PATHS)
async def test_bytes_over_the_wire(path: str) -> None:
    """On all three wires, by sixty bodies of random looks; what comes back is the provider's bytes and the cost."""
    provider, model, answer = PATHS[path]
    draw = random.Random(path)
    spaces = ("", " ", "\n", "\r\n\t")
    async with upstream() as up:
        up.answer(answer)
        async with serving(None, up.config(provider, model), settings="{cost_in_bodies: false}") as proxy:
            for number in range(60):
                gap, comma = draw.choice(spaces), draw.choice(spaces)
                rows = [
                    f'"model"{gap}:"m"',
                    f'"messages":[{{"role":"user","content":"caf\\u00E9 \\ud83d\\ude00 {number}"}}]',
                ]
                rows += [
                    f'"{name}"{gap}: {value}'
                    for name, value in (
                        ("temperature", "1.0"),
                        ("top_p", "1E-1"),
                        ("\\u0078y", "[1.50,-0, {}]"),
                        ("seed", "9007199254740992"),
                    )
                ]
                draw.shuffle(rows)
                raw = ("{" + gap + ("," + comma).join(rows) + gap + "}").encode()
                status, told, _ = await post(proxy, path, raw)
                assert (status, told) == (200, answer)
                assert up.bodies[-1] == raw.replace(b'"m"', b'"%b"' % model.encode())  # fmt: skip


EDGES: dict[str, tuple[bytes, int]] = {
    "64 deep": (b'{"model":"m","messages":[],"x":' + b"[" * 63 + b"]" * 63 + b"}", 200),
    "65 deep": (b'{"model":"m","messages":[],"x":' + b"[" * 64 + b"]" * 64 + b"}", 400),
    "brackets in a text": (b'{"model":"m","messages":[],"x":"' + b"[{" * 500 + b'"}', 200),
    "brackets behind an escaped quote": (
        b'{"model":"m","messages":[],"x":"\\\\\\"' + b"[" * 500 + b'"}',
        200,
    ),
    "2^53": (b'{"model":"m","messages":[],"seed":9007199254740992}', 200),
    "2^53 + 1": (b'{"model":"m","messages":[],"seed":9007199254740993}', 400),
    "a long number in a text": (b'{"model":"m","messages":[],"x":"99999999999999999999"}', 200),
    "beyond floats": (b'{"model":"m","messages":[],"seed":1e400}', 400),
    "below floats": (b'{"model":"m","messages":[],"seed":1e-400}', 200),
    "a byte order mark": (b'\xef\xbb\xbf{"model":"m","messages":[]}', 400),
    "UTF-16": ('{"model":"m","messages":[]}'.encode("utf-16"), 400),
    "a comment": (b'{"model":"m",/* */"messages":[]}', 400),
    "a comma too many": (b'{"model":"m","messages":[],}', 400),
    "single quotes": (b"{'model':'m','messages':[]}", 400),
    "a pair of surrogates": (b'{"model":"m","messages":[],"x":"\\ud83d\\ude00"}', 200),
    "half a pair": (b'{"model":"m","messages":[],"x":"\\ude00"}', 400),
    "NUL, escaped": (b'{"model":"m","messages":[],"x":"\\u0000"}', 200),
    "NUL, bare": (b'{"model":"m","messages":[],"x":"\x00"}', 400),
    "space around": (b'\r\n\t {"model":"m","messages":[]} \n', 200),
    "a value behind": (b'{"model":"m","messages":[]} 1', 400),
    "a model that is empty": (b'{"model":"","messages":[]}', 400),
    "a model that is a list": (b'{"model":["m"],"messages":[]}', 400),
}


@pytest.mark.parametrize("name", EDGES)
async def test_edges_of_json(name: str) -> None:
    """What every JSON reader takes for the same object passes; all else is a 400 before anybody is asked."""
    raw, expected = EDGES[name]
    async with upstream() as up:
        up.answer(WHOLE)
        async with serving(None, up.config()) as proxy:
            status, told, _ = await post(proxy, "/v1/chat/completions", raw)
    assert status == expected, told
    assert len(up.bodies) == (1 if expected == 200 else 0)
    if expected == 400:
        assert orjson.loads(told)["error"]["message"]


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("chunked", [False, True])
async def test_sixteen_mebibytes(extra: int, chunked: bool) -> None:
    """To the byte, announced or not: the last one that fits goes through whole, one more is a 413."""
    most = 16 * 1024 * 1024
    frame = b'{"model":"m","messages":[{"role":"user","content":"%b"}]}'
    raw = frame % (b"x" * (most + extra - len(frame) + 2))
    assert len(raw) == most + extra

    async def pieces() -> Any:
        for at in range(0, len(raw), 1 << 20):
            yield raw[at : at + (1 << 20)]

    async with upstream() as up:
        up.answer(WHOLE)
        async with serving(None, up.config()) as proxy, aiohttp.ClientSession() as session:
            answer = await session.post(
                url(proxy, "/v1/chat/completions"),
                data=pieces() if chunked else io.BytesIO(raw),
                headers={"x-api-key": KEY, "content-type": "application/json"},
            )
            assert answer.status == (413 if extra else 200)
            assert "request_too_large" in await answer.text() if extra else True
    assert [len(body) for body in up.bodies] == ([] if extra else [most + len("gpt-4o") - 1])


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd", "identity", "nonsense"])
async def test_codings_of_a_request(coding: str) -> None:
    """gzip and deflate are read and go on plain; what is not known is the caller's error, never ours."""
    raw = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
    packed = {"gzip": gzip.compress(raw), "deflate": zlib.compress(raw)}.get(coding, raw)
    async with upstream() as up:
        up.answer(WHOLE)
        async with serving(None, up.config()) as proxy:
            status, told, _ = await post(
                proxy, "/v1/chat/completions", packed, **{"content-encoding": coding}
            )
    if coding in {"gzip", "deflate", "identity"}:
        assert status == 200, told
        assert up.bodies == [raw.replace(b'"m"', b'"gpt-4o"')]
        assert b"content-encoding" not in up.heads[0].lower()
    else:
        assert 400 <= status < 500, (status, told)
        assert up.bodies == []


async def test_a_stream_keeps_stream_options() -> None:
    """Where usage is asked for already not a byte of the body changes but the model."""
    raw = b'{"stream_options" :{"include_usage" : true, "x":1.0},"stream": true,"messages":[],"model":"m"}'
    async with upstream() as up:
        up.answer(STREAM, media=SSE)
        async with serving(None, up.config()) as proxy:
            status, told, _ = await post(proxy, "/v1/chat/completions", raw)
    assert status == 200
    assert told.endswith(b"data: [DONE]\n\n")
    assert up.bodies == [raw.replace(b'"m"', b'"gpt-4o"')]
