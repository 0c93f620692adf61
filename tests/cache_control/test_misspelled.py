"""A mark that is spelled wrongly is refused by its name: left out in silence, somebody would pay the full price."""

from __future__ import annotations

from typing import Any

import pytest

from asynccache import InvalidRequestError, acompletion

pytestmark = pytest.mark.anyio

MARK = {"type": "ephemeral"}
CALL = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
FUNCTION = {"name": "f", "parameters": {"type": "object"}}


def asked(place: str, key: str) -> dict[str, Any]:
    """A call with *key* where a mark may stand, and the other arguments that this takes."""
    ask = {"role": "user", "content": "Hello"}
    if place == "messages[0]":
        return {"messages": [{**ask, key: MARK}]}
    if place == "messages[0].content[1]":
        text = {"type": "text", "text": "Hello"}
        return {"messages": [{"role": "user", "content": [text, {**text, key: MARK}]}]}
    if place == "messages[1].tool_calls[0]":
        return {
            "messages": [ask, {"role": "assistant", "content": None, "tool_calls": [{**CALL, key: MARK}]}]
        }
    assert place == "tools[0]"
    return {"messages": [ask], "tools": [{"type": "function", "function": FUNCTION, key: MARK}]}


@pytest.mark.parametrize(
    "place", ["messages[0]", "messages[0].content[1]", "messages[1].tool_calls[0]", "tools[0]"]
)
@pytest.mark.parametrize(
    "key", ["cacheControl", "cache-control", "CACHE_CONTROL", "cache_contrl", "cachcontrol", "cachePoint"]
)
@pytest.mark.parametrize(
    "model",
    [
        "openai/gpt-5.5",
        "anthropic/claude-sonnet-4-5",
        "bedrock/amazon.nova-pro-v1:0",
        "deepseek/deepseek-chat",
    ],
)
async def test_a_misspelled_mark_is_refused(model: str, key: str, place: str) -> None:
    """The error names the place, what stands there and how it is written; nothing is sent."""
    with pytest.raises(InvalidRequestError) as caught:
        await acompletion(model, api_key="none", api_base="http://127.0.0.1:9", **asked(place, key))
    assert str(caught.value) == (
        f"{place} has {key!r}, which is no cache mark; write 'cache_control': {{'type': 'ephemeral'}}"
    )


async def test_other_names_are_nobodys_marks() -> None:
    """What formats truly have, or may get, passes; so does a name as long as a prompt, at no cost."""
    from asynccache.arguments import build_request
    from asynccache.request import Timeout

    names = [
        "cache_control", "prompt_cache_breakpoint", "cached", "cache", "cache_creation", "cache_id", "cached_content",
        "control", "content_controls", "citations", "annotations", "reasoning_content", "cache" * 100_000,
    ]  # fmt: skip
    message = {"role": "user", "content": [{"type": "text", "text": "Hello", **dict.fromkeys(names, MARK)}]}
    request = build_request(
        "openai/gpt-5.5", [message], stream=False, timeout=Timeout(), max_retries=0, arguments={}
    )
    assert request.messages == [message]
