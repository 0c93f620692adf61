"""Every recorded answer of Bedrock, in whatever pieces it comes, says what its ground truth says."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from asynccache.errors import (
    AuthenticationError,
    BadRequestError,
    ContextWindowExceededError,
    NotFoundError,
    OverloadedError,
)
from asynccache.providers.bedrock import provider
from tests.bedrock.answers import Heard, hear
from tests.shared import SHARED, requires_shared

pytestmark = [pytest.mark.anyio, requires_shared]

_FILES = (
    sorted(
        path
        for path in (SHARED / "recordings/bedrock").glob("*/*.json")
        if not path.name.endswith(".expected.json")
    )
    if SHARED
    else []
)
_ALL = [(json.loads(path.read_text()), path) for path in _FILES]
_ANSWERS = [(case, path) for case, path in _ALL if case["status"] == 200]
_ERRORS = [(case, path) for case, path in _ALL if case["status"] != 200]

# What each recorded refusal is, by the end of its name.
_CLASSES = {
    "6b2cbe": AuthenticationError,  # the session token has expired
    "5b56d4": ContextWindowExceededError,
    "d4f2b3": NotFoundError,  # a retired model
    "f138a5": BadRequestError,
    "edbc4c": AuthenticationError,  # a skewed clock
    "9d3b83": BadRequestError,
    "8110e2": BadRequestError,
    "ccfdc5": BadRequestError,
    "fdce75": OverloadedError,
}


def name_of(value: Any) -> str:
    """A case's id."""
    return value.stem.split("__", 2)[2] if isinstance(value, Path) else ""


def body_of(case: dict[str, Any]) -> bytes:
    """The bytes that were answered."""
    if case.get("response_body_base64") is not None:
        return base64.b64decode(case["response_body_base64"])
    body = case["response_body"]
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


def headers_of(case: dict[str, Any]) -> dict[str, str]:
    """The answer's headers, names in lower case."""
    return {name.lower(): str(value) for name, value in case["response_headers"].items()}


def model_of(case: dict[str, Any]) -> str:
    """The model as a caller of ours would name it."""
    route = "invoke" if case["api"].startswith("invoke") else "converse"
    return f"bedrock/{route}/{case['model']}"


def agree(heard: Heard, truth: dict[str, Any]) -> None:
    """Text, reasoning, tool calls, the reason to stop and every count are the ground truth's."""
    assert heard.error is None
    message = heard.completion.choices[0].message
    assert (message.content or "") == truth["text"]
    assert (message.reasoning_content or "") == truth.get("thinking", "")
    calls = [
        {"id": call.id, "name": call.function.name, "arguments": json.loads(call.function.arguments)}
        for call in message.tool_calls or ()
    ]
    assert calls == [{**call, "arguments": json.loads(call["arguments"])} for call in truth["tool_calls"]]
    assert heard.completion.choices[0].native_finish_reason == truth["finish_reason"]

    usage, want = heard.usage, truth["usage"]
    assert usage is not None
    assert usage.source == "provider"
    assert usage.prompt_tokens == want["input_tokens_total"]
    assert usage.completion_tokens == want["output_tokens"]
    assert usage.total_tokens == want["total_tokens"]
    assert usage.prompt_tokens_details.uncached_tokens == want["uncached_input_tokens"]
    assert usage.cache_read_input_tokens == want["cache_read_tokens"]
    assert usage.cache_creation_input_tokens == want["cache_write_tokens"]
    assert usage.cache_creation.ephemeral_1h_input_tokens == want["cache_write_1h_tokens"]


@pytest.mark.parametrize("size", [1, 7, 777, None])
@pytest.mark.parametrize(("case", "path"), _ANSWERS, ids=name_of)
async def test_answers(case: dict[str, Any], path: Path, size: int | None) -> None:
    """An answer says the same in pieces of 1, 7 and 777 bytes and whole: what its ground truth says."""
    truth = json.loads(path.with_name(path.stem + ".expected.json").read_text())
    heard = await hear(
        model_of(case), body_of(case), stream=case["stream"], headers=headers_of(case), size=size
    )
    agree(heard, truth)


@pytest.mark.parametrize(("case", "path"), _ERRORS, ids=name_of)
def test_errors(case: dict[str, Any], path: Path) -> None:
    """A refusal has its own class, AWS's words, type and request id."""
    truth = json.loads(path.with_name(path.stem + ".expected.json").read_text())
    headers = headers_of(case)
    error = provider.error(case["status"], headers, body_of(case))
    assert type(error) is _CLASSES.get(path.stem[-6:], BadRequestError)
    assert truth["error"]["message"] in error.message
    assert error.status_code == case["status"]
    assert error.request_id == headers.get("x-amzn-requestid")
    told = headers.get("x-amzn-errortype")
    assert error.code == (told.partition(":")[0] if told else None)


def test_there_are_sixty_answers_and_ten_errors() -> None:
    """The recordings are all here: a run that reads none of them would prove nothing."""
    assert (len(_ANSWERS), len(_ERRORS)) == (60, 10)
