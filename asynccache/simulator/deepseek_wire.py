"""DeepSeek's chat completions: OpenAI's shape with reasoning in the open, usage on the finish chunk, and keep-alives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import orjson

from .chat_answer import FINISH, call_deltas, call_id, message, text_deltas
from .chat_prompt import chat_blocks, check_chat, spoken_blocks
from .loose import obj
from .oddities import odd
from .openai_request import question
from .openai_wire import chat_error
from .prompt import Prompt
from .rules import deepseek_rule
from .wire import Arrival, Asked, Event, Refusal, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .prompt import Block

_BASE = "/deepseek"
_MODELS = ("deepseek-flash", "deepseek-v4-pro")
_KEEP_ALIVE = b": keep-alive\n\n"
_BLANK = b"\n\n"  # sent before the JSON of an answer that is not streamed, while it is being made
_LONGEST_USER_ID = 512  # bytes


@final
class DeepSeekWire:
    """POST /deepseek/chat/completions, also under /v1 and /beta; GET /deepseek/models."""

    name = "deepseek"
    routes = (f"{_BASE}/chat/completions", f"{_BASE}/v1/chat/completions", f"{_BASE}/beta/chat/completions")
    side_routes: Mapping[tuple[str, str], str] = {
        ("GET", f"{_BASE}/models"): "models",
        ("GET", f"{_BASE}/v1/models"): "models",
    }
    content_type = "text/event-stream; charset=utf-8"

    def read(self, arrival: Arrival) -> Asked:
        """The request understood, or refused as DeepSeek refuses it."""
        body = arrival.body
        check_chat(body)
        _check(body)
        return Asked(
            model=body["model"],
            prompt=deepseek_prompt(body, arrival.owner),
            rule=deepseek_rule(body["model"]),
            question=question(body, thinks=thinks(body)),
            stream=body.get("stream") is True,
        )

    def aside(self, name: str, arrival: Arrival) -> dict[str, Any]:
        """The list of models."""
        del name, arrival
        rows = [{"id": model, "object": "model", "owned_by": "deepseek"} for model in _MODELS]
        return {"object": "list", "data": rows}

    def events(self, reply: Reply) -> Iterator[Event]:
        """A keep-alive, the role, reasoning, text or calls; usage on the chunk that finishes."""
        knob = reply.scenario.usage
        thinking = bool(reply.answer.thinking)
        yield Event(_KEEP_ALIVE)
        opening = {"role": "assistant", "content": None, "reasoning_content": ""}
        yield _chunk(reply, opening if thinking else {"role": "assistant", "content": ""})
        for delta, tokens in text_deltas(reply.answer, reasoning=thinking):
            yield _chunk(reply, delta, tokens=tokens, usage=usage_of(reply) if knob == "every" else None)
        for delta, tokens in call_deltas(reply.answer, _calls(reply)):
            yield _chunk(reply, delta, tokens=tokens, usage=usage_of(reply) if knob == "every" else None)

        closing: dict[str, Any] = {"content": "", "reasoning_content": None} if thinking else {"content": ""}
        usage = None if knob == "none" else usage_of(reply)
        yield _chunk(reply, closing, finish=FINISH[reply.answer.finish], usage=usage)
        if knob == "twice":
            yield _chunk(reply, None, usage=usage)
        yield Event(b"data: [DONE]\n\n")

    def whole(self, reply: Reply) -> Event:
        """Blank lines, as sent while the answer is made, and one chat.completion."""
        usage = None if reply.scenario.usage == "none" else usage_of(reply)
        made = message(reply.answer, _calls(reply))
        made["content"] = made["content"] or ""
        if reply.answer.thinking:
            made["reasoning_content"] = "".join(reply.answer.thinking)
        row = {"index": 0, "message": made, "logprobs": None, "finish_reason": FINISH[reply.answer.finish]}
        body: dict[str, Any] = {**_head(reply, "chat.completion"), "choices": [row]}
        if usage is not None:
            body["usage"] = usage
        return Event(_BLANK + orjson.dumps(body), reply.answer.tokens, usage)

    def output(self, reply: Reply) -> tuple[Block, ...]:
        """The assistant's message, as a later request repeats it."""
        made = message(reply.answer, _calls(reply))
        if reply.answer.thinking:
            made["reasoning_content"] = "".join(reply.answer.thinking)
        return spoken_blocks(made, reasoning=True)

    def headers(self, number: int) -> dict[str, str]:
        """A trace id; DeepSeek sends no rate limits."""
        return {"x-ds-trace-id": f"{number:032x}"}

    def refuse(self, refusal: Refusal, number: int) -> bytes:
        """{"error": {message, type, param, code}}."""
        del number
        body = chat_error(refusal)
        if refusal.status == 402:
            body["error"] |= {"type": "unknown_error", "code": "invalid_request_error"}
        return orjson.dumps(body)

    def refuse_in_stream(self, number: int) -> bytes:
        """The finish reason by which DeepSeek says that it was interrupted."""
        body = {
            "id": f"sim-{number}",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": "deepseek-flash",
            "choices": [
                {"index": 0, "delta": {"content": ""}, "finish_reason": "insufficient_system_resource"}
            ],
            "usage": None,
        }
        return b"data: %b\n\ndata: [DONE]\n\n" % orjson.dumps(body)


def deepseek_prompt(body: dict[str, Any], owner: str) -> Prompt:
    """What DeepSeek's cache sees of this body; `user_id` parts the entries of one key."""
    scope = f"{owner}/{body.get('user_id') or ''}"
    blocks = chat_blocks(body, settings=("response_format",), reasoning=True)
    return Prompt(model=str(body["model"]), scope=scope, blocks=tuple(blocks))


def thinks(body: dict[str, Any]) -> bool:
    """Thinking is on unless switched off; the old alias deepseek-chat stands for the model without it."""
    kind = obj(body.get("thinking")).get("type")
    return kind == "enabled" or (kind is None and body["model"] != "deepseek-chat")


def usage_of(reply: Reply) -> dict[str, Any]:
    """DeepSeek's usage: hit + miss = prompt; nothing is said of writes."""
    verdict, answer = reply.verdict, reply.answer
    usage: dict[str, Any] = {
        "prompt_tokens": verdict.total,
        "completion_tokens": answer.tokens,
        "total_tokens": verdict.total + answer.tokens,
        "prompt_tokens_details": {"cached_tokens": verdict.read},
        "prompt_cache_hit_tokens": verdict.read,
        "prompt_cache_miss_tokens": verdict.total - verdict.read,
    }
    if answer.thinking:
        usage["completion_tokens_details"] = {"reasoning_tokens": len(answer.thinking)}
    return odd(usage, reply.scenario)


def _check(body: dict[str, Any]) -> None:
    if len(str(body.get("user_id") or "").encode()) > _LONGEST_USER_ID:
        raise Refusal(422, f"user_id is longer than {_LONGEST_USER_ID} bytes", param="user_id")
    limit = body.get("max_tokens")
    if limit is not None and limit < 1:  # its kind is checked for every wire of this shape
        raise Refusal(
            400, "Invalid max_tokens value, the valid range of max_tokens begins at 1", param="max_tokens"
        )
    if not thinks(body):
        return
    for index, said in enumerate(body["messages"]):
        if said.get("tool_calls") and not said.get("reasoning_content"):
            raise Refusal(
                400,
                f"messages[{index}]: the `reasoning_content` in the thinking mode must be passed back to the API.",
                param=f"messages[{index}].reasoning_content",
            )


def _head(reply: Reply, kind: str) -> dict[str, Any]:
    return {
        "id": f"5151c0de-0000-4000-8000-{reply.number:012d}",
        "object": kind,
        "created": reply.created,
        "model": reply.asked.model,
        "system_fingerprint": "fp_simulator_kvcache",
    }


def _chunk(
    reply: Reply,
    delta: dict[str, Any] | None,
    *,
    tokens: int = 0,
    finish: str | None = None,
    usage: dict[str, Any] | None = None,
) -> Event:
    row = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    body = {
        **_head(reply, "chat.completion.chunk"),
        "choices": [] if delta is None else [row],
        "usage": usage,
    }
    return Event(b"data: %b\n\n" % orjson.dumps(body), tokens, usage)


def _calls(reply: Reply) -> list[str]:
    return [call_id("call_00_", reply.number, 0, index) for index in range(len(reply.answer.calls))]
