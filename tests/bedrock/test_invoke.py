"""Requests become the bodies that InvokeModel's families want."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asynccache.errors import InvalidRequestError, UnsupportedParamsError
from asynccache.providers.bedrock import provider
from asynccache.request import Mark, Request

HI = {"role": "user", "content": "hi"}
TALK = [
    {"role": "system", "content": "S"},
    HI,
    {"role": "assistant", "content": "yo"},
    {"role": "user", "content": "q"},
]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def body(model: str, messages: Any = (HI,), **rest: Any) -> dict[str, Any]:
    """The body sent to InvokeModel."""
    fields = {
        name: rest.pop(name)
        for name in ("tools", "stream", "drop_params", "marks", "extra_body")
        if name in rest
    }
    request = Request(model=f"bedrock/invoke/{model}", messages=list(messages), params=rest, **fields)
    sent: dict[str, Any] = json.loads(provider.encode(provider.check(request)).body)
    return sent


def test_claude() -> None:
    """Anthropic's body with the version inside, without model and stream; marks as Anthropic's."""
    sent = body(
        "us.anthropic.claude-sonnet-4-5-20250929-v1:0", TALK, stream=True, max_tokens=9, tools=[TOOL],
        marks=(Mark(("tools", 0), "1h"), Mark(("messages", 3))),
    )  # fmt: skip
    assert sent["anthropic_version"] == "bedrock-2023-05-31"
    assert sent["max_tokens"] == 9
    assert "model" not in sent
    assert "stream" not in sent
    assert sent["tools"][0]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert sent["messages"][-1]["content"] == [
        {"type": "text", "text": "q", "cache_control": {"type": "ephemeral"}}
    ]
    assert (
        body("anthropic.claude-sonnet-4-6", extra_body={"anthropic_version": "x"})["anthropic_version"] == "x"
    )


def test_nova() -> None:
    """Converse's words, the checkpoint inside the block that it follows, the model's fields in inferenceConfig."""
    marks = (Mark(("messages", 0)), Mark(("messages", 3)))
    sent = body("us.amazon.nova-lite-v1:0", TALK, marks=marks, max_tokens=5, top_k=3, tools=[TOOL], user="u")
    assert sent == {
        "schemaVersion": "messages-v1",
        "system": [{"text": "S", "cachePoint": {"type": "default"}}],
        "messages": [
            {"role": "user", "content": [{"text": "hi"}]},
            {"role": "assistant", "content": [{"text": "yo"}]},
            {"role": "user", "content": [{"text": "q", "cachePoint": {"type": "default"}}]},
        ],
        "toolConfig": {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]},
        "inferenceConfig": {"maxTokens": 5, "topK": 3},
    }


def test_chat_families() -> None:
    """OpenAI's own body, without what only other providers take back."""
    messages = [
        HI,
        {"role": "assistant", "content": "yo", "reasoning_content": "hm", "thinking_blocks": []},
        HI,
    ]
    sent = body(
        "openai.gpt-oss-20b-1:0",
        messages,
        tools=[TOOL],
        temperature=0,
        stream_options={"include_usage": True},
    )
    assert sent == {
        "model": "openai.gpt-oss-20b-1:0",
        "messages": [HI, {"role": "assistant", "content": "yo"}, HI],
        "tools": [TOOL],
        "temperature": 0,
    }


@pytest.mark.parametrize(
    ("model", "want"),
    [
        (
            "meta.llama3-1-70b-instruct-v1:0",
            {
                "prompt": "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|>"
                "<|start_header_id|>user<|end_header_id|>\n\nhi<|eot_id|>"
                "<|start_header_id|>assistant<|end_header_id|>\n\nyo<|eot_id|>"
                "<|start_header_id|>user<|end_header_id|>\n\nq<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
                "max_gen_len": 5,
                "temperature": 0,
            },
        ),
        (
            "meta.llama2-13b-chat-v1",
            {
                "prompt": "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nhi [/INST] yo</s><s>[INST] q [/INST]",
                "max_gen_len": 5,
                "temperature": 0,
            },
        ),
        (
            "us.meta.llama4-scout-17b-instruct-v1:0",
            {
                "prompt": "<|begin_of_text|><|header_start|>system<|header_end|>\n\nS<|eot|>"
                "<|header_start|>user<|header_end|>\n\nhi<|eot|><|header_start|>assistant<|header_end|>\n\nyo<|eot|>"
                "<|header_start|>user<|header_end|>\n\nq<|eot|><|header_start|>assistant<|header_end|>\n\n",
                "max_gen_len": 5,
                "temperature": 0,
            },
        ),
        (
            "mistral.mistral-7b-instruct-v0:2",
            {
                "prompt": "<s>[INST] S\n\nhi [/INST] yo</s><s>[INST] q [/INST]",
                "max_tokens": 5,
                "temperature": 0,
            },
        ),
        (
            "amazon.titan-text-express-v1",
            {
                "inputText": "S\nUser: hi\nBot: yo\nUser: q\nBot:",
                "textGenerationConfig": {"maxTokenCount": 5, "temperature": 0},
            },
        ),
        (
            "cohere.command-r-plus-v1:0",
            {
                "message": "q",
                "chat_history": [{"role": "USER", "message": "hi"}, {"role": "CHATBOT", "message": "yo"}],
                "preamble": "S",
                "max_tokens": 5,
                "temperature": 0,
            },
        ),
        (
            "cohere.command-light-text-v14",
            {"prompt": "S\nUser: hi\nBot: yo\nUser: q\nBot:", "max_tokens": 5, "temperature": 0},
        ),
        (
            "us.deepseek.r1-v1:0",
            {
                "prompt": "<\uff5cbegin\u2581of\u2581sentence\uff5c>S<\uff5cUser\uff5c>hi<\uff5cAssistant\uff5c>yo<\uff5cend\u2581of\u2581sentence\uff5c>"
                "<\uff5cUser\uff5c>q<\uff5cAssistant\uff5c><think>\n",
                "max_tokens": 5,
                "temperature": 0,
            },
        ),
    ],
)
def test_prompt_families(model: str, want: dict[str, Any]) -> None:
    """A conversation becomes the one text that the model was trained on, its parameters in its own names."""
    assert body(model, TALK, max_tokens=5, temperature=0) == want


def test_a_lone_question_to_titan_goes_as_it_is() -> None:
    """One message without a system prompt needs no turns."""
    assert body("amazon.titan-text-express-v1", stop="x") == {
        "inputText": "hi",
        "textGenerationConfig": {"stopSequences": ["x"]},
    }


def test_cohere_in_its_own_words() -> None:
    """A lone question has no history; parameters have Cohere's names; the older models are told that they stream."""
    assert body("cohere.command-r-v1:0", top_p=0.5, stop="x", seed=1) == {
        "message": "hi",
        "p": 0.5,
        "stop_sequences": ["x"],
        "seed": 1,
    }
    assert body("cohere.command-text-v14", stream=True) == {"prompt": "hi", "stream": True}


def test_what_prompt_families_cannot_say() -> None:
    """Tools, images and unknown parameters are refused with a way out; parameters are dropped when asked."""
    llama = "meta.llama3-8b-instruct-v1:0"
    with pytest.raises(UnsupportedParamsError, match=r"'stop', 'tools'.*bedrock/converse"):
        body(llama, stop="x", tools=[TOOL])
    assert set(body(llama, stop="x", tools=[TOOL], drop_params=True)) == {"prompt"}
    with pytest.raises(InvalidRequestError, match=r"messages\[0\]\.content\[0\].*text only"):
        body(llama, [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}])
    with pytest.raises(InvalidRequestError, match=r"messages\[0\].*no tools"):
        body(llama, [{"role": "tool", "tool_call_id": "c", "content": "r"}])


def test_unknown_families_are_sent_to_converse() -> None:
    """A model whose body is not known is refused, with the route that does not need it."""
    with pytest.raises(InvalidRequestError, match=r"bedrock/converse/stability\.sd3"):
        body("stability.sd3-large-v1:0")


def test_parameters_that_claude_does_not_have() -> None:
    """Anthropic's own check holds on Invoke too."""
    with pytest.raises(UnsupportedParamsError, match="seed"):
        body("anthropic.claude-sonnet-4-6", seed=1)
