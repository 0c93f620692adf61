"""Several providers of one model: a session stays where its cache is, moves as a whole, and every error finds its list."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from asynccache.simulator import Simulator

from .serving import claude, serving
from .test_acceptance_agent import prompt_of, session
from .test_passing import post
from .upstream import upstream

pytestmark = pytest.mark.anyio

PAIR = """
model_list:
- model_name: sonnet
  litellm_params: {model: simulator/anthropic/claude-sonnet-4-6}
- model_name: sonnet
  litellm_params: {model: "simulator/bedrock/us.anthropic.claude-sonnet-4-6"}
"""


async def test_a_session_stays_with_one_of_two_providers(sim: Simulator) -> None:
    """Anthropic and Bedrock under one name: twenty turns of an agent are answered by one of them, from its cache."""
    async with serving(sim, PAIR) as proxy, claude(proxy) as client:
        usages = await session(client, "sonnet")
    asked = Counter(record.wire for record in sim.log if record.usage)
    assert list(asked.values()) == [20]
    prompt, read = prompt_of(usages[-1])
    assert read / prompt >= 0.9


async def test_a_session_moves_and_stays_moved(sim: Simulator) -> None:
    """When its provider is overloaded the session goes on with the other, its marks written anew, and is cached there."""
    overloaded = PAIR.replace(
        "claude-sonnet-4-6}", """claude-sonnet-4-6, extra_headers: {x-simulator: '{"status":529}'}}""", 1
    )
    settings = "{cooldown_seconds: 60}"
    async with serving(sim, overloaded, settings=settings) as proxy, claude(proxy) as client:
        usages = await session(client, "sonnet", turns=12)
    answered = [record.wire for record in sim.log if record.usage]
    refused = [record.wire for record in sim.log if record.status == 529 and "count" not in record.path]
    assert answered == ["bedrock"] * 12
    assert len(refused) <= 1
    prompt, read = prompt_of(usages[-1])
    assert read / prompt >= 0.9


CONTEXT = b'{"error":{"message":"maximum context length is 128000 tokens","type":"invalid_request_error","code":"context_length_exceeded"}}'
TOO_LONG = b'{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}'
FLAGGED = b'{"error":{"message":"flagged","type":"invalid_request_error","code":"content_filter"}}'
WRONG = b'{"error":{"message":"no such parameter","type":"invalid_request_error","code":"unknown_parameter"}}'
BROKEN = b'{"error":{"message":"oops","type":"server_error"}}'
# what the provider says, which list the configuration has, and whether the list's model answers
LISTS: dict[str, tuple[str, int, bytes, str, bool]] = {
    "too long": ("openai", 400, CONTEXT, "context_window_fallbacks: [{m: [big]}]", True),
    "too long, by default": ("openai", 400, CONTEXT, 'context_window_fallbacks: [{"*": [big]}]', True),
    "too long for Claude": ("anthropic", 400, TOO_LONG, "context_window_fallbacks: [{m: [big]}]", True),
    "too long, another list": ("openai", 400, CONTEXT, "fallbacks: [{m: [big]}]", False),
    "flagged": ("openai", 400, FLAGGED, "content_policy_fallbacks: [{m: [big]}]", True),
    "flagged, another list": ("openai", 400, FLAGGED, "context_window_fallbacks: [{m: [big]}]", False),
    "the caller's mistake": ("openai", 400, WRONG, "default_fallbacks: [big]", False),
    "broken": ("openai", 500, BROKEN, "default_fallbacks: [big]", True),
    "the key": ("openai", 401, BROKEN, "fallbacks: [{m: [big]}]", True),
    "too often": ("openai", 429, BROKEN, "fallbacks: [{m: [big]}]", True),
    "a page": ("openai", 200, b"<html>login</html>", "fallbacks: [{m: [big]}]", True),
    "nothing": ("openai", 200, b"", "fallbacks: [{m: [big]}]", True),
}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", LISTS)
async def test_every_error_has_its_list(name: str, stream: bool, path: str, sim: Simulator) -> None:
    """Prompts that are too long, answers that are filtered, and everything else: each goes where its list says."""
    provider, status, said, lists, answered = LISTS[name]
    async with upstream() as up:
        up.answer(said, status=status)
        model = "gpt-4o" if provider == "openai" else "claude-sonnet-4-6"
        text = up.config(provider, model)
        text += f"- {{model_name: big, litellm_params: {{model: simulator/openai/gpt-4o}}}}\nlitellm_settings: {{{lists}}}\n"
        body: Any = b'{"model":"m","max_tokens":20,"messages":[{"role":"user","content":"hi"}],"stream":%b}'
        async with serving(sim, text, settings="{max_retries: 0}") as proxy:
            got, told, headers = await post(proxy, path, body % (b"true" if stream else b"false"))
    assert got == (200 if answered else status), told
    assert len(sim.log) == (1 if answered else 0)
    assert headers.get("x-litellm-attempted-retries") == ("1" if answered else None)
    assert b"sk-upstream-canary-key" not in told


DROPPING = """
model_list:
- {model_name: drops, litellm_params: {model: simulator/openai/gpt-6.2-sol, drop_params: true}}
- {model_name: keeps, litellm_params: {model: simulator/openai/gpt-6.2-sol}}
"""


async def test_what_a_model_refuses_is_left_out_where_that_is_asked_for(sim: Simulator) -> None:
    """With `drop_params` GPT-6 is not told how to sample; without it the caller hears that it cannot be; Anthropic's
    callers, whose format has temperatures for every model, are answered in both cases."""
    body = b'{"model":"%b","messages":[{"role":"user","content":"hi"}],"max_tokens":20,"temperature":0.5,"top_p":0.9}'
    async with serving(sim, DROPPING) as proxy:
        dropped, _, _ = await post(proxy, "/v1/chat/completions", body % b"drops")
        sent = sim.log[-1].body
        kept, told, _ = await post(proxy, "/v1/chat/completions", body % b"keeps")
        others = [(await post(proxy, "/v1/messages", body % name))[0] for name in (b"drops", b"keeps")]
    assert dropped == 200
    assert not {"temperature", "top_p"} & sent.keys()
    assert kept == 400
    assert b"temperature" in told
    assert others == [200, 200]
