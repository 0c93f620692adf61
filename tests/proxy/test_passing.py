"""Where both speak the same format: byte for byte through, in both directions, however the bytes are cut."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import aiohttp
import orjson
import pytest

from asynccache.proxy.server import Server
from asynccache.simulator import Simulator

from .serving import KEY, scenario, serving, url
from .upstream import CHUNK, COST, DONE, FINISH, FIRST, STREAM, TEXTS, USAGE, WHOLE, Upstream, upstream

pytestmark = pytest.mark.anyio

SSE = "text/event-stream"


async def post(server: Server, path: str, body: bytes, **headers: str) -> tuple[int, bytes, Any]:
    async with aiohttp.ClientSession() as session:
        answer = await session.post(
            url(server, path),
            data=body,
            headers={"authorization": f"Bearer {KEY}", "content-type": "application/json", **headers},
        )
        return answer.status, await answer.read(), answer.headers


BODY = (
    b'{ "messages" :[{"role":"user",  "content":"h\\u00e9llo \\/ \\ud83c\\udf88" }], "model":"m",\n'
    b'"temperature":1.0,"top_p":1e0,  "logit_bias":{"50256": -100},"seed":9007199254740992 }'
)


async def test_members_keep_their_bytes() -> None:
    """Only the model is replaced; spaces, escapes and numbers stay as they were."""
    async with upstream() as up:
        up.answer(WHOLE)
        async with serving(None, up.config()) as proxy:
            status, _, _ = await post(proxy, "/v1/chat/completions", BODY)
    assert status == 200
    assert up.bodies == [BODY.replace(b'"m"', b'"gpt-4o"')]


async def test_usage_is_asked_for_on_streams() -> None:
    """`stream_options` is added, or completed, and nothing else changes."""
    async with upstream() as up:
        up.answer(STREAM, media=SSE)
        async with serving(None, up.config()) as proxy:
            for more in (b"", b',"stream_options":{"include_obfuscation":false}'):
                body = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true' + more + b"}"
                await post(proxy, "/v1/chat/completions", body)
    plain = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":'
    assert up.bodies == [
        plain + b'{"include_usage":true}}',
        plain + b'{"include_obfuscation":false,"include_usage":true}}',
    ]


async def test_messages_keep_their_bytes() -> None:
    """Anthropic's format likewise, marks and all; a default of the configuration is added where it is missing."""
    body = b'{"model":"m","system":[{"type":"text","text":"a\\u00e9" ,"cache_control":{"ttl":"1h","type":"ephemeral"}}],'
    body += b'"messages":[{"content":"hi","role":"user"}], "max_tokens": 5}'
    async with upstream() as up:
        up.answer(
            b'{"type":"message","id":"msg_1","content":[],"usage":{"input_tokens":3,"output_tokens":1}}'
        )
        config = up.config("anthropic", "claude-sonnet-4-5", more="    temperature: 0.5\n    max_tokens: 9\n")
        async with serving(None, config) as proxy:
            status, answer, _ = await post(proxy, "/v1/messages", body, **{"anthropic-beta": "a,b"})
    assert status == 200
    assert up.bodies == [body.replace(b'"m"', b'"claude-sonnet-4-5"')[:-1] + b',"temperature":0.5}']
    assert b"anthropic-beta: a,b\r\n" in up.heads[0]
    assert orjson.loads(answer)["usage"] == {"input_tokens": 3, "output_tokens": 1, "cost": 24e-6}


async def test_whole_answer_is_unchanged_but_for_the_cost() -> None:
    """The body's bytes come through; `cost` stands at the end of its usage, or nowhere by setting."""
    async with upstream() as up:
        up.answer(WHOLE)
        async with serving(None, up.config()) as proxy:
            _, told, headers = await post(proxy, "/v1/chat/completions", BODY)
        async with serving(None, up.config(), settings="{cost_in_bodies: false}") as proxy:
            _, silent, _ = await post(proxy, "/v1/chat/completions", BODY)
    assert silent == WHOLE
    found = re.search(rb',"cost":([^}]*)\}\n\}$', told)
    assert found is not None
    assert float(found[1]) == pytest.approx(COST)
    assert told.replace(b',"cost":' + found[1], b"") == WHOLE
    assert float(headers["x-litellm-response-cost"]) == pytest.approx(COST)
    assert headers["llm_provider-x-request-id"] == "up-1"


def cuts(blob: bytes, at: tuple[int, ...]) -> list[bytes]:
    edges = [0, *at, len(blob)]
    return [blob[start:end] for start, end in pairwise(edges) if start < end]


async def streamed(up: Upstream, proxy: Server, pieces: list[bytes], *, usage: bool) -> bytes:
    up.answers = [(200, SSE, pieces)]
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true'
    more = b',"stream_options":{"include_usage":true}}' if usage else b"}"
    status, answer, _ = await post(proxy, "/v1/chat/completions", body + more)
    assert status == 200
    return answer


async def test_stream_is_unchanged_however_it_is_cut() -> None:
    """The same bytes come out for every way to cut them: without the usage chunk, or with the cost on it."""
    priced = re.compile(rb'("cached_tokens":1024\}),"cost":([0-9.e-]+)\}\}')
    async with upstream() as up:
        up.answer(b"")
        async with serving(None, up.config()) as proxy:
            for at in (*range(1, len(STREAM), 37), len(STREAM) - 1):
                out = await streamed(up, proxy, cuts(STREAM, (at,)), usage=False)
                assert out == STREAM.replace(USAGE, b"")
            events = [FIRST, *(CHUNK % text for text in TEXTS), FINISH, USAGE, DONE]
            one_by_one = await streamed(up, proxy, events, usage=True)
            by_the_byte = await streamed(up, proxy, [bytes([byte]) for byte in STREAM], usage=True)
            for out in (one_by_one, by_the_byte):
                found = priced.search(out)
                assert found is not None
                assert float(found[2]) == pytest.approx(COST)
                assert priced.sub(rb"\1}}", out) == STREAM


@pytest.mark.parametrize("spelling", ["crlf", "comments", "spaces", "no usage chunk", "usage on finish"])
async def test_other_servers_streams(spelling: str) -> None:
    """Line ends, comments, spacing and places of usage that other servers choose: same text, same usage."""
    stream = STREAM
    if spelling == "crlf":
        stream = STREAM.replace(b"\n", b"\r\n")
    elif spelling == "comments":
        stream = STREAM.replace(b"data: ", b": ping\n\ndata: ", 3)
    elif spelling == "spaces":
        stream = re.sub(rb'(?<!\\)":', rb'" : ', STREAM)
    elif spelling == "no usage chunk":
        stream = STREAM.replace(USAGE, b"")
    elif spelling == "usage on finish":
        usage = re.search(rb'"usage":\{.*\}', USAGE)
        assert usage is not None
        stream = STREAM.replace(USAGE, b"").replace(FINISH, FINISH.replace(b'"usage":null}', usage[0]))
    async with upstream() as up:
        up.answer(b"")
        async with serving(None, up.config()) as proxy:
            out = await streamed(up, proxy, cuts(stream, (100, 500)), usage=True)
    events = [line.removeprefix(b"data: ") for line in out.split(b"\n\n") if line.startswith(b"data: ")]
    assert events[-1] == b"[DONE]"
    chunks = [orjson.loads(event) for event in events[:-1]]
    text = "".join(choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"])
    assert text == "".join(orjson.loads(b'"' + piece + b'"') for piece in TEXTS)
    if spelling == "no usage chunk":
        assert all(chunk.get("usage") is None for chunk in chunks)
    else:
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"]["cost"] == pytest.approx(COST)


BROKEN = {
    "nothing at all": (b"", 502),
    "a page": (b"<html>login</html>", 502),
    "cut in the text": (FIRST + CHUNK % b"half", None),
    "an error before content": (
        FIRST + b'data: {"error":{"message":"no","code":"server_is_overloaded"}}\n\n',
        503,
    ),
    "an error at once": (b'data: {"error":{"message":"slow down","code":"rate_limit_exceeded"}}\n\n', 429),
    "an error after content": (
        FIRST + CHUNK % b"half" + b'data: {"error":{"message":"no","type":"server_error"}}\n\n',
        None,
    ),
    "garbage": (FIRST + CHUNK % b"half" + b"data: {]}\n\n" + DONE, None),
}


@pytest.mark.parametrize("name", BROKEN)
async def test_never_a_short_success(name: str) -> None:
    """What broke before its content is an error with a status; after it, an error event, and never [DONE]."""
    blob, status = BROKEN[name]
    media = "text/html" if name == "a page" else SSE
    async with upstream() as up:
        up.answer(blob, media=media)
        async with serving(None, up.config(), settings="{max_retries: 0}") as proxy:
            body = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"stream":true}'
            got, answer, headers = await post(proxy, "/v1/chat/completions", body)
    assert b"[DONE]" not in answer
    assert "sk-upstream-canary-key" not in str(headers)
    assert up.url.removeprefix("http://").encode() not in answer
    if status is not None:
        assert got == status
        assert orjson.loads(answer)["error"]["message"]
        return
    assert got == 200
    *said, last, _ = answer.split(b"\n\n")
    assert CHUNK % b"half" in b"".join(part + b"\n\n" for part in said)
    assert orjson.loads(last.removeprefix(b"data: "))["error"]["message"]


async def test_marks_and_foreign_words_are_translated(sim: Simulator) -> None:
    """What OpenAI does not take is not passed to it: marks and other providers' blocks go the library's way."""
    messages = [
        {
            "role": "user",
            "content": [{"type": "text", "text": "hi", "cache_control": {"type": "ephemeral"}}],
        },
        {"role": "assistant", "content": "a", "thinking_blocks": [{"type": "thinking", "thinking": "x"}]},
        {"role": "user", "content": "more"},
    ]
    async with serving(sim, scenario("{}")) as proxy:
        body = orjson.dumps({"model": "m", "messages": messages, "max_tokens": 5})
        status, _, _ = await post(proxy, "/v1/chat/completions", body)
    assert status == 200
    sent = sim.log[-1].body["messages"]
    assert "cache_control" not in str(sent)
    assert "thinking" not in str(sent)


async def test_reasoning_models_get_their_own_limit(sim: Simulator) -> None:
    """`max_tokens`, which a reasoning model refuses, is renamed on the way, as in the library."""
    async with serving(sim, scenario("{}", model="gpt-5.6-sol")) as proxy:
        body = b'{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":50}'
        status, _, _ = await post(proxy, "/v1/chat/completions", body)
    assert status == 200
    assert sim.log[-1].body["max_completion_tokens"] == 50
