"""What a caller holds: it reads like the dict it becomes, by the names that the SDKs and LiteLLM give."""

from __future__ import annotations

import copy
import json
import pickle

import pytest

from asynccache.reply import Choice, Chunk, Completion, Message, PromptTokensDetails, Usage

REPLY = Completion(
    id="chatcmpl-1",
    model="gpt-4o",
    choices=[
        Choice(message=Message(content="Grüße", thinking_blocks=[{"type": "thinking", "signature": None}]))
    ],
    usage=Usage(prompt_tokens=10, prompt_tokens_details=PromptTokensDetails(cached_tokens=8)),
    raw={"usage": {"prompt_tokens": 10}},
)


def test_the_names_that_sdks_give_it() -> None:
    """`model_dump` and `model_dump_json` say what `to_dict` and `to_json` say, of every part."""
    assert REPLY.model_dump() == REPLY.to_dict()
    assert REPLY.model_dump_json() == REPLY.to_json()
    assert json.loads(REPLY.model_dump_json(indent=2)) == REPLY.to_dict()
    assert REPLY.model_dump_json(indent=2).startswith('{\n  "id": "chatcmpl-1",\n')
    assert REPLY.usage.model_dump() == REPLY.to_dict()["usage"]


def test_exclude_none() -> None:
    """It leaves out what is None, however deep; nothing else changes."""
    told = REPLY.model_dump(exclude_none=True)
    assert told["usage"] == {
        "prompt_tokens": 10,
        "prompt_tokens_details": {"cached_tokens": 8},
        "completion_tokens_details": {},
        "cache_creation": {},
        "source": "missing",
    }
    assert told["choices"][0]["message"]["thinking_blocks"] == [{"type": "thinking"}]
    assert json.loads(REPLY.model_dump_json(exclude_none=True)) == told


def test_it_reads_like_a_dict() -> None:
    """By name, by iteration, by items, and as `dict`: the same names and values."""
    usage = REPLY.usage
    assert usage["prompt_tokens_details"]["cached_tokens"] == 8
    assert list(usage) == list(usage.keys()) == [name for name, _ in usage.items()]
    assert dict(usage) == dict(usage.items()) == {name: usage[name] for name in usage}
    assert "completion_tokens" not in usage
    assert usage.get("completion_tokens", 0) == 0
    with pytest.raises(KeyError, match="prompt_token"):
        usage["prompt_token"]


@pytest.mark.parametrize("part", [REPLY, REPLY.usage, Chunk("1", [], 0, "gpt-4o", usage=REPLY.usage)])
def test_copies_and_pickles(part: Completion | Usage | Chunk) -> None:
    """Replies, usages and chunks go through queues and process pools."""
    assert copy.copy(part) == copy.deepcopy(part) == pickle.loads(pickle.dumps(part)) == part
