"""OpenAI's chat completions, the answer: its stream, its whole body, its errors and headers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import orjson

from .chat_answer import FINISH, call_deltas, call_id, message, text_deltas
from .chat_prompt import spoken_blocks
from .loose import obj
from .oddities import odd
from .openai_request import read_openai
from .wire import Arrival, Asked, Event, Refusal, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .prompt import Block

_BASE = "/openai/v1"
_MODELS = ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-5.4", "gpt-5.6-sol", "gpt-6.2-sol")
_PADDING = "Vb3kQ9xZr1TfWm7sYc5L"
_MOST_CHOICES = 8

# status -> (type, code), as api.openai.com sends them
ERRORS: dict[int, tuple[str, str | None]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", "unsupported_country_region_territory"),
    404: ("invalid_request_error", "model_not_found"),
    409: ("invalid_request_error", None),
    413: ("invalid_request_error", "request_too_large"),
    422: ("invalid_request_error", None),
    429: ("requests", "rate_limit_exceeded"),
    500: ("server_error", None),
    503: ("server_error", "server_is_overloaded"),
}


@final
class OpenAIWire:
    """POST /openai/v1/chat/completions, GET /openai/v1/models."""

    name = "openai"
    routes = (f"{_BASE}/chat/completions",)
    side_routes: Mapping[tuple[str, str], str] = {("GET", f"{_BASE}/models"): "models"}
    content_type = "text/event-stream; charset=utf-8"

    def read(self, arrival: Arrival) -> Asked:
        """The request understood."""
        return read_openai(arrival)

    def aside(self, name: str, arrival: Arrival) -> dict[str, Any]:
        """The list of models."""
        del name, arrival
        rows = [
            {"id": model, "object": "model", "created": 1764075745, "owned_by": "openai"} for model in _MODELS
        ]
        return {"object": "list", "data": rows}

    def events(self, reply: Reply) -> Iterator[Event]:
        """Role, text or calls, finish reason for each choice; usage last where it was asked for; [DONE]."""
        asks = obj(reply.body.get("stream_options")).get("include_usage") is True
        knob = reply.scenario.usage
        sink = _Stream(reply, tells_null=asks and knob != "none")
        for choice in range(choices(reply)):
            yield from sink.choice(choice)
        if asks and knob in ("normal", "twice", "every"):
            yield sink.event({"choices": []}, 0, usage_of(reply))
        yield Event(b"data: [DONE]\n\n")

    def whole(self, reply: Reply) -> Event:
        """One chat.completion."""
        usage = None if reply.scenario.usage == "none" else usage_of(reply)
        body: dict[str, Any] = {
            "id": _id(reply),
            "object": "chat.completion",
            "created": reply.created,
            "model": reply.asked.model,
            "choices": [
                {
                    "index": choice,
                    "message": {
                        **message(reply.answer, _calls(reply, choice)),
                        "refusal": None,
                        "annotations": [],
                    },
                    "logprobs": _logprobs(reply, reply.answer.text),
                    "finish_reason": FINISH[reply.answer.finish],
                }
                for choice in range(choices(reply))
            ],
            "service_tier": "default",
            "system_fingerprint": "fp_simulator",
        }
        if usage is not None:
            body["usage"] = usage
        return Event(orjson.dumps(body, option=orjson.OPT_INDENT_2), reply.answer.tokens, usage)

    def output(self, reply: Reply) -> tuple[Block, ...]:
        """The assistant's message, as a later request repeats it."""
        made = message(reply.answer, _calls(reply, 0))
        return spoken_blocks(made)

    def headers(self, number: int) -> dict[str, str]:
        """Request id, version, rate limits with their Go-style durations."""
        return {
            "x-request-id": f"req_sim{number:029d}",
            "openai-version": "2020-10-01",
            "openai-organization": "simulator",
            "openai-processing-ms": "12",
            "x-ratelimit-limit-requests": "10000",
            "x-ratelimit-limit-tokens": "2000000",
            "x-ratelimit-remaining-requests": "9999",
            "x-ratelimit-remaining-tokens": "1999000",
            "x-ratelimit-reset-requests": "6ms",
            "x-ratelimit-reset-tokens": "1m0s",
        }

    def refuse(self, refusal: Refusal, number: int) -> bytes:
        """{"error": {message, type, param, code}}."""
        del number
        return orjson.dumps(chat_error(refusal), option=orjson.OPT_INDENT_2)

    def refuse_in_stream(self, number: int) -> bytes:
        """An error object where a chunk would be; the status stays 200."""
        del number
        error = chat_error(
            Refusal(500, "The server had an error while processing your request. Sorry about that!")
        )
        return b"data: %b\n\n" % orjson.dumps(error)


class _Stream:
    """The chunks of one answer; counts what was said so far, for usage on every chunk."""

    def __init__(self, reply: Reply, *, tells_null: bool) -> None:
        self._reply = reply
        self._tells_null = tells_null
        self._said = 0
        options = obj(reply.body.get("stream_options"))
        self._pads = options.get("include_obfuscation") is not False

    def choice(self, index: int) -> Iterator[Event]:
        reply, answer = self._reply, self._reply.answer
        content = None if answer.calls and not answer.text else ""
        yield self._chunk(index, {"role": "assistant", "content": content, "refusal": None}, 0)
        for delta, tokens in text_deltas(answer, reasoning=False):
            yield self._chunk(index, delta, tokens)
        for delta, tokens in call_deltas(answer, _calls(reply, index)):
            yield self._chunk(index, delta, tokens)
        if reply.scenario.usage == "early":
            yield self.event({"choices": []}, 0, usage_of(reply))
        yield self._chunk(index, {}, 0, finish=FINISH[answer.finish])

    def event(self, chunk: dict[str, Any], tokens: int, usage: dict[str, Any] | None) -> Event:
        reply = self._reply
        self._said += tokens
        body: dict[str, Any] = {
            "id": _id(reply),
            "object": "chat.completion.chunk",
            "created": reply.created,
            "model": reply.asked.model,
            "service_tier": "default",
            "system_fingerprint": "fp_simulator",
            **chunk,
        }
        if usage is not None or self._tells_null:
            body["usage"] = usage
        if self._pads:
            body["obfuscation"] = _PADDING[: 1 + (self._said * 7 + reply.number) % len(_PADDING)]
        return Event(b"data: %b\n\n" % orjson.dumps(body), tokens, usage)

    def _chunk(self, index: int, delta: dict[str, Any], tokens: int, *, finish: str | None = None) -> Event:
        knob = self._reply.scenario.usage
        usage = None
        if knob == "every":
            usage = usage_of(self._reply, said=self._said + tokens)
        elif finish is not None and knob in ("twice", "finish"):
            usage = usage_of(self._reply)
        text = delta.get("content")
        logprobs = _logprobs(self._reply, (text,)) if text else None
        row = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return self.event({"choices": [row]}, tokens, usage)


def choices(reply: Reply) -> int:
    """How many answers were asked for."""
    asked = reply.body.get("n")
    return min(asked, _MOST_CHOICES) if isinstance(asked, int) and asked > 0 else 1


def usage_of(reply: Reply, said: int | None = None) -> dict[str, Any]:
    """OpenAI's usage; writes are told only since GPT-5.6."""
    verdict, answer = reply.verdict, reply.answer
    completion = answer.tokens * choices(reply) if said is None else said
    prompt_details: dict[str, int] = {"cached_tokens": verdict.read}
    if reply.asked.rule.kind == "breakpoints":
        prompt_details["cache_write_tokens"] = verdict.write_total
    usage = {
        "prompt_tokens": verdict.total,
        "completion_tokens": completion,
        "total_tokens": verdict.total + completion,
        "prompt_tokens_details": {**prompt_details, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": min(len(answer.thinking) * choices(reply), completion),
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
    return odd(usage, reply.scenario)


def chat_error(refusal: Refusal) -> dict[str, Any]:
    """An error in OpenAI's shape, also used by those that copy it."""
    kind, code = ERRORS.get(refusal.status, ("server_error", None))
    code = refusal.code or code
    if code == "insufficient_quota":
        kind = code
    return {"error": {"message": refusal.message, "type": kind, "param": refusal.param, "code": code}}


def _id(reply: Reply) -> str:
    return f"chatcmpl-Sim{reply.number:026d}"


def _calls(reply: Reply, choice: int) -> list[str]:
    return [call_id("call_", reply.number, choice, index) for index in range(len(reply.answer.calls))]


def _logprobs(reply: Reply, texts: tuple[str, ...]) -> dict[str, Any] | None:
    if reply.body.get("logprobs") is not True:
        return None
    rows = [
        {"token": text, "logprob": -0.125, "bytes": list(text.encode()), "top_logprobs": []} for text in texts
    ]
    return {"content": rows, "refusal": None}
