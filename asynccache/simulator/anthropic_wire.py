"""Anthropic's messages: its named events, its whole body, its errors and headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import orjson

from .answer import call_tokens, pieces
from .anthropic_check import check_anthropic, contents, sign
from .anthropic_prompt import anthropic_prompt
from .chat_answer import call_id
from .loose import obj, objs
from .oddities import odd
from .question import Question, Tool
from .rules import ANTHROPIC_TTL, anthropic_rule
from .wire import Arrival, Asked, Event, Refusal, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .prompt import Block

_BASE = "/anthropic/v1"
_MODELS = ("claude-opus-5-5", "claude-sonnet-5-5", "claude-sonnet-4-6", "claude-haiku-4-5")
_STOP = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
}

# status -> error.type, https://platform.claude.com/docs/en/api/errors
_ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


@final
class AnthropicWire:
    """POST /anthropic/v1/messages, POST …/count_tokens, GET /anthropic/v1/models."""

    name = "anthropic"
    routes = (f"{_BASE}/messages",)
    side_routes: Mapping[tuple[str, str], str] = {
        ("POST", f"{_BASE}/messages/count_tokens"): "count_tokens",
        ("GET", f"{_BASE}/models"): "models",
    }
    content_type = "text/event-stream; charset=utf-8"

    def read(self, arrival: Arrival) -> Asked:
        """The request understood, or refused as Anthropic refuses it."""
        if not arrival.headers.get("anthropic-version"):
            raise Refusal(400, "anthropic-version: header is required")
        body = arrival.body
        check_anthropic(body)
        return Asked(
            model=body["model"],
            prompt=anthropic_prompt(body, arrival.owner),
            rule=anthropic_rule(body["model"]),
            question=question(body),
            stream=body.get("stream") is True,
        )

    def aside(self, name: str, arrival: Arrival) -> dict[str, Any]:
        """The count of a prompt's tokens, or the list of models."""
        if name == "count_tokens":
            check_anthropic({**arrival.body, "max_tokens": 1_000_000})
            return {"input_tokens": anthropic_prompt(arrival.body, arrival.owner).tokens}
        rows = [
            {"type": "model", "id": model, "display_name": model, "created_at": "2026-01-01T00:00:00Z"}
            for model in _MODELS
        ]
        return {"data": rows, "has_more": False, "first_id": _MODELS[0], "last_id": _MODELS[-1]}

    def events(self, reply: Reply) -> Iterator[Event]:
        """message_start, the content blocks with a ping among them, message_delta, message_stop."""
        knob = reply.scenario.usage
        opening = None if knob in ("none", "finish") else usage_of(reply, said=1)
        message: dict[str, Any] = {
            **_message(reply),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
        }
        message["usage"] = opening or {"input_tokens": 0, "output_tokens": 0}
        if knob == "none":
            del message["usage"]
        yield _event("message_start", {"message": message}, usage=opening)

        for index, block in enumerate(_content(reply)):
            yield from _spoken(index, block, reply)
        usage = usage_of(reply)
        del usage["cache_creation"], usage["service_tier"]
        reason = {"stop_reason": _STOP[reply.answer.finish], "stop_sequence": reply.answer.stopped_by}
        for _ in range(2 if knob == "twice" else 1):
            told = {} if knob in ("none", "start") else {"usage": usage}
            yield _event("message_delta", {"delta": reason, **told}, usage=told.get("usage"))
        yield _event("message_stop", {})

    def whole(self, reply: Reply) -> Event:
        """One message; with max_tokens 0 the cache was warmed and nothing is said."""
        usage = None if reply.scenario.usage == "none" else usage_of(reply)
        message = {
            **_message(reply),
            "content": [_finished(block) for block in _content(reply)],
            "stop_reason": _STOP[reply.answer.finish],
            "stop_sequence": reply.answer.stopped_by,
        }
        if usage is not None:
            message["usage"] = usage
        return Event(orjson.dumps(message), reply.answer.tokens, usage)

    def output(self, reply: Reply) -> tuple[Block, ...]:
        """Nothing: this cache keeps only what was marked."""
        del reply
        return ()

    def headers(self, number: int) -> dict[str, str]:
        """Request id, organisation, rate limits with RFC 3339 resets."""
        reset = "2026-11-22T12:00:00Z"
        limits = {"requests": 4000, "tokens": 2_400_000, "input-tokens": 2_000_000, "output-tokens": 400_000}
        made = {"request-id": _request_id(number), "anthropic-organization-id": "simulator"}
        for kind, limit in limits.items():
            made[f"anthropic-ratelimit-{kind}-limit"] = str(limit)
            made[f"anthropic-ratelimit-{kind}-remaining"] = str(limit - 1000)
            made[f"anthropic-ratelimit-{kind}-reset"] = reset
        return made

    def refuse(self, refusal: Refusal, number: int) -> bytes:
        """{"type": "error", "error": {type, message}, "request_id"}."""
        error: dict[str, Any] = {"type": _ERRORS.get(refusal.status, "api_error"), "message": refusal.message}
        if refusal.code is not None:
            error["details"] = {"error_code": refusal.code}
        return orjson.dumps({"type": "error", "error": error, "request_id": _request_id(number)})

    def refuse_in_stream(self, number: int) -> bytes:
        """An error event; the status stays 200."""
        del number
        return _event("error", {"error": {"type": "overloaded_error", "message": "Overloaded"}}).data


def question(body: dict[str, Any]) -> Question:
    """What an Anthropic body asks the model."""
    choice = obj(body.get("tool_choice"))
    kind = choice.get("type")
    spoken = [message for message in body["messages"] if message["role"] == "user"]
    last = contents(spoken[-1]) if spoken else []
    texts = [str(block.get("text", "")) for block in last if block["type"] == "text"]
    wanted = obj(obj(body.get("output_config")).get("format"))
    return Question(
        text="\n".join(texts),
        tools=tuple(
            Tool(tool["name"], tool["input_schema"])
            for tool in objs(body.get("tools"))
            if "input_schema" in tool
        ),
        must_call=choice.get("name") if kind == "tool" else "*" if kind == "any" else None,
        may_call=kind != "none",
        parallel=not choice.get("disable_parallel_tool_use"),
        answers_tools=any(block["type"] == "tool_result" for block in last),
        max_tokens=body["max_tokens"],
        stop=tuple(body.get("stop_sequences") or ()),
        thinks=obj(body.get("thinking")).get("type") in ("enabled", "adaptive"),
        schema=wanted.get("schema"),
    )


def usage_of(reply: Reply, said: int | None = None) -> dict[str, Any]:
    """Anthropic's usage: input_tokens is only what was neither read nor written."""
    verdict = reply.verdict
    usage: dict[str, Any] = {
        "input_tokens": verdict.uncached,
        "cache_creation_input_tokens": verdict.write_total,
        "cache_read_input_tokens": verdict.read,
        "cache_creation": {
            f"ephemeral_{ttl}_input_tokens": verdict.written.get(lifetime, 0)
            for ttl, lifetime in ANTHROPIC_TTL.items()
        },
        "output_tokens": reply.answer.tokens if said is None else min(said, reply.answer.tokens),
        "service_tier": "standard",
    }
    if said is None and reply.answer.thinking:
        usage["output_tokens_details"] = {"thinking_tokens": len(reply.answer.thinking)}
    return odd(usage, reply.scenario)


def _event(name: str, data: dict[str, Any], *, tokens: int = 0, usage: dict[str, Any] | None = None) -> Event:
    body = orjson.dumps({"type": name, **data})
    return Event(b"event: %b\ndata: %b\n\n" % (name.encode(), body), tokens, usage)


def _message(reply: Reply) -> dict[str, Any]:
    return {
        "id": f"msg_sim{reply.number:021d}",
        "type": "message",
        "role": "assistant",
        "model": reply.asked.model,
    }


def _content(reply: Reply) -> list[tuple[dict[str, Any], tuple[str, ...]]]:
    """Each content block as it starts, with the pieces that fill it."""
    answer = reply.answer
    blocks: list[tuple[dict[str, Any], tuple[str, ...]]] = []
    if answer.thinking:
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, answer.thinking))
    if answer.text:
        blocks.append(({"type": "text", "text": ""}, answer.text))
    for index, call in enumerate(answer.calls):
        name = call_id("toolu_", reply.number, 0, index)
        start: dict[str, Any] = {"type": "tool_use", "id": name, "name": call.name, "input": {}}
        blocks.append((start, () if call.arguments == "{}" else pieces(call.arguments)))
    return blocks


def _finished(block: tuple[dict[str, Any], tuple[str, ...]]) -> dict[str, Any]:
    start, said = block
    whole = "".join(said)
    if start["type"] == "thinking":
        return {**start, "thinking": whole, "signature": sign(whole)}
    if start["type"] == "tool_use":
        return {**start, "input": orjson.loads(whole or "{}")}
    return {**start, "text": whole}


def _spoken(index: int, block: tuple[dict[str, Any], tuple[str, ...]], reply: Reply) -> Iterator[Event]:
    start, said = block
    kind = start["type"]
    yield _event("content_block_start", {"index": index, "content_block": start})
    if index == 0:
        yield _event("ping", {})

    def delta(body: dict[str, Any], tokens: int) -> Event:
        return _event("content_block_delta", {"index": index, "delta": body}, tokens=tokens)

    if kind == "thinking":
        shown = obj(reply.body.get("thinking")).get("display") != "omitted"
        for piece in said if shown else ():
            yield delta({"type": "thinking_delta", "thinking": piece}, 1)
        yield delta(
            {"type": "signature_delta", "signature": sign("".join(said) if shown else "")},
            0 if shown else len(said),
        )
    elif kind == "tool_use":
        frame = call_tokens(reply.answer.calls[0]) - len(pieces(reply.answer.calls[0].arguments))
        yield delta({"type": "input_json_delta", "partial_json": ""}, frame)
        for piece in said:
            yield delta({"type": "input_json_delta", "partial_json": piece}, 1)
    else:
        for piece in said:
            yield delta({"type": "text_delta", "text": piece}, 1)
    yield _event("content_block_stop", {"index": index})


def _request_id(number: int) -> str:
    return f"req_sim{number:021d}"
