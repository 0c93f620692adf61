"""Bedrock's runtime: Converse and ConverseStream for every model, InvokeModel with and without stream for Claude."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, final

import msgspec
import orjson

from .answer import call_tokens, pieces
from .anthropic_check import check_anthropic, sign, version
from .anthropic_prompt import anthropic_prompt
from .anthropic_wire import AnthropicWire, usage_of
from .anthropic_wire import question as claude_question
from .bedrock_check import check_converse, check_model_id
from .bedrock_door import account
from .bedrock_frames import event_frame, exception_frame
from .chat_answer import call_id
from .converse_prompt import converse_prompt
from .loose import obj, objs
from .oddities import odd
from .question import Question, Tool
from .rules import ANTHROPIC_TTL, BEDROCK_MINIMUM, NOVA_MINIMUM, anthropic_rule
from .wire import Arrival, Asked, Event, Refusal, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .prompt import Block
    from .rules import CacheRule

_ROUTE = re.compile(r"^/bedrock/model/(?P<model>.+)/(?P<operation>converse|invoke)(?P<stream>-[a-z-]+)?$")
_MODEL = "/bedrock/model/{model}"
_STOP = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
}
_MILLISECONDS_PER_TOKEN = 10
_SSE_DATA = b"\ndata: "


@final
class BedrockWire:
    """POST /bedrock/model/{id}/converse, …/converse-stream, …/invoke, …/invoke-with-response-stream."""

    name = "bedrock"
    routes = (
        f"{_MODEL}/converse",
        f"{_MODEL}/converse-stream",
        f"{_MODEL}/invoke",
        f"{_MODEL}/invoke-with-response-stream",
    )
    side_routes: Mapping[tuple[str, str], str] = {}
    content_type = "application/vnd.amazon.eventstream"

    def __init__(self) -> None:
        self._claude = AnthropicWire()

    def read(self, arrival: Arrival) -> Asked:
        """The request understood, or refused as AWS refuses it."""
        route = _ROUTE.match(arrival.path)
        if route is None:
            raise Refusal(404, f"no such operation: {arrival.path}")
        model, stream = route["model"], route["stream"] is not None
        check_model_id(model)
        owner = account(arrival.headers)
        if route["operation"] == "converse":
            body = arrival.body
            check_converse(body, model)
            prompt, asked = converse_prompt(body, model, owner), _question(body)
        else:
            body = _claude_body(arrival.body, model)
            prompt, asked = anthropic_prompt(body, owner), claude_question(body)
        return Asked(model=model, prompt=prompt, rule=_rule(model), question=asked, stream=stream)

    def aside(self, name: str, arrival: Arrival) -> dict[str, Any]:
        """There is nothing aside."""
        raise Refusal(404, f"no such operation: {arrival.path} ({name})")

    def events(self, reply: Reply) -> Iterator[Event]:
        """Frames: Converse's own events, or Anthropic's in base64."""
        return self._claude_events(reply) if _is_claude_body(reply) else _converse_events(reply)

    def whole(self, reply: Reply) -> Event:
        """One JSON body."""
        if _is_claude_body(reply):
            return self._claude.whole(reply)
        usage = None if reply.scenario.usage == "none" else _usage(reply)
        body: dict[str, Any] = {
            "metrics": _metrics(reply),
            "output": {
                "message": {"content": [_whole(block) for block in _blocks(reply)], "role": "assistant"}
            },
            "stopReason": _STOP[reply.answer.finish],
        }
        if usage is not None:
            body["usage"] = usage
        return Event(orjson.dumps(body), reply.answer.tokens, usage)

    def output(self, reply: Reply) -> tuple[Block, ...]:
        """Nothing: this cache keeps only what was marked."""
        del reply
        return ()

    def headers(self, number: int) -> dict[str, str]:
        """The request's id."""
        return {"x-amzn-RequestId": f"00000000-0000-4000-8000-{number:012d}"}

    def refuse(self, refusal: Refusal, number: int) -> bytes:
        """{"message"}; the type stands in a header."""
        del number
        kind = {} if refusal.code is None else {"__type": refusal.code}
        return orjson.dumps({"message": refusal.message, **kind})

    def refuse_in_stream(self, number: int) -> bytes:
        """An exception inside the stream."""
        del number
        return exception_frame("throttlingException", "Too many tokens, please wait before trying again.")

    def _claude_events(self, reply: Reply) -> Iterator[Event]:
        usage = usage_of(reply)
        counted = {
            "inputTokenCount": usage["input_tokens"],
            "outputTokenCount": usage["output_tokens"],
            "cacheReadInputTokenCount": usage["cache_read_input_tokens"],
            "cacheWriteInputTokenCount": usage["cache_creation_input_tokens"],
            "invocationLatency": _metrics(reply)["latencyMs"],
            "firstByteLatency": _MILLISECONDS_PER_TOKEN,
        }
        for event in self._claude.events(reply):
            said = event.data.partition(_SSE_DATA)[2].strip()
            if b'"type":"ping"' in said:
                continue
            if said.startswith(b'{"type":"message_stop"') and reply.scenario.usage != "none":
                said = orjson.dumps({**orjson.loads(said), "amazon-bedrock-invocationMetrics": counted})
            frame = event_frame("chunk", {"bytes": base64.b64encode(said).decode()})
            yield Event(frame, event.tokens, event.usage)


def _claude_body(body: dict[str, Any], model: str) -> dict[str, Any]:
    """InvokeModel's body as Anthropic's own, checked."""
    if "anthropic" not in model and not model.startswith("arn:"):
        raise Refusal(
            400, f"The simulator speaks Claude's bodies over InvokeModel only, not those of {model}."
        )
    for extra in ("model", "stream"):
        if extra in body:
            raise Refusal(
                400, f"Malformed input request: #: extraneous key [{extra}] is not permitted, please reformat"
            )
    if not str(body.get("anthropic_version", "")).startswith(("bedrock-", "2026-")):
        raise Refusal(400, "Malformed input request: #: required key [anthropic_version] not found")
    if "cache_control" in body and version(model) <= (4, 6):
        raise Refusal(400, "Malformed input request: #: extraneous key [cache_control] is not permitted")
    known = {
        name: value for name, value in body.items() if name not in ("anthropic_version", "anthropic_beta")
    }
    claude = {**known, "model": model}
    check_anthropic(claude)
    return claude


def _is_claude_body(reply: Reply) -> bool:
    return "anthropic_version" in reply.body


def _rule(model: str) -> CacheRule:
    rule = anthropic_rule(model, BEDROCK_MINIMUM)
    return msgspec.structs.replace(rule, minimum=NOVA_MINIMUM) if "nova" in model else rule


def _question(body: dict[str, Any]) -> Question:
    """What a Converse body asks the model."""
    config = obj(body.get("toolConfig"))
    choice = obj(config.get("toolChoice"))
    inference = obj(body.get("inferenceConfig"))
    extra = obj(body.get("additionalModelRequestFields"))
    asked = [message for message in objs(body["messages"]) if message["role"] == "user"]
    last = objs(asked[-1].get("content"))
    structure = obj(obj(obj(body.get("outputConfig")).get("textFormat")).get("structure"))
    schema = obj(structure.get("jsonSchema")).get("schema")
    specs = [obj(tool.get("toolSpec")) for tool in objs(config.get("tools")) if "toolSpec" in tool]
    return Question(
        text="\n".join(str(block["text"]) for block in last if "text" in block),
        tools=tuple(Tool(str(spec["name"]), obj(obj(spec.get("inputSchema")).get("json"))) for spec in specs),
        must_call=obj(choice["tool"]).get("name") if "tool" in choice else "*" if "any" in choice else None,
        parallel=not obj(extra.get("tool_choice")).get("disable_parallel_tool_use"),
        answers_tools=any("toolResult" in block for block in last),
        max_tokens=inference.get("maxTokens"),
        stop=tuple(inference.get("stopSequences") or ()),
        thinks=obj(extra.get("thinking")).get("type") in ("enabled", "adaptive"),
        schema=orjson.loads(schema) if isinstance(schema, str) else None,
    )


def _usage(reply: Reply) -> dict[str, Any]:
    """Converse's usage: the input without the cache, the total with it, every cache count in both spellings."""
    verdict, said = reply.verdict, reply.answer.tokens
    names = {lifetime: ttl for ttl, lifetime in ANTHROPIC_TTL.items()}
    details = [
        {"inputTokens": count, "ttl": names[lifetime]}
        for lifetime, count in sorted(verdict.written.items(), reverse=True)
        if count
    ]
    usage: dict[str, Any] = {"cacheDetails": details} if details else {}
    usage |= {
        "cacheReadInputTokenCount": verdict.read,
        "cacheReadInputTokens": verdict.read,
        "cacheWriteInputTokenCount": verdict.write_total,
        "cacheWriteInputTokens": verdict.write_total,
        "inputTokens": verdict.uncached,
        "outputTokens": said,
        "serverToolUsage": {},
        "totalTokens": verdict.total + said,
    }
    return odd(usage, reply.scenario)


def _metrics(reply: Reply) -> dict[str, int]:
    return {"latencyMs": reply.answer.tokens * _MILLISECONDS_PER_TOKEN}


def _blocks(reply: Reply) -> list[tuple[dict[str, Any], tuple[str, ...]]]:
    """Each content block in short, with the pieces that fill it."""
    answer = reply.answer
    blocks: list[tuple[dict[str, Any], tuple[str, ...]]] = []
    if answer.thinking:
        blocks.append(({"reasoningContent": {}}, answer.thinking))
    if answer.text:
        blocks.append(({"text": ""}, answer.text))
    for index, call in enumerate(answer.calls):
        use = {"name": call.name, "toolUseId": call_id("tooluse_", reply.number, 0, index)}
        blocks.append(({"toolUse": use}, pieces(call.arguments)))
    return blocks


def _whole(block: tuple[dict[str, Any], tuple[str, ...]]) -> dict[str, Any]:
    start, said = block
    text = "".join(said)
    if "toolUse" in start:
        return {"toolUse": {**start["toolUse"], "input": orjson.loads(text or "{}")}}
    if "reasoningContent" in start:
        return {"reasoningContent": {"reasoningText": {"text": text, "signature": sign(text)}}}
    return {"text": text}


def _converse_events(reply: Reply) -> Iterator[Event]:
    yield _event("messageStart", {"role": "assistant"})
    for index, block in enumerate(_blocks(reply)):
        yield from _spoken(index, block, reply)
    yield _event("messageStop", {"stopReason": _STOP[reply.answer.finish]})
    if reply.scenario.usage == "none":
        return
    usage = _usage(reply)
    for _ in range(2 if reply.scenario.usage == "twice" else 1):
        yield _event("metadata", {"metrics": _metrics(reply), "usage": usage}, usage=usage)


def _spoken(index: int, block: tuple[dict[str, Any], tuple[str, ...]], reply: Reply) -> Iterator[Event]:
    start, said = block

    def delta(told: dict[str, Any], tokens: int = 1) -> Event:
        return _event("contentBlockDelta", {"contentBlockIndex": index, "delta": told}, tokens=tokens)

    if "toolUse" in start:  # of the blocks only these begin with an event of their own
        frame = call_tokens(reply.answer.calls[0]) - len(pieces(reply.answer.calls[0].arguments))
        yield _event("contentBlockStart", {"contentBlockIndex": index, "start": start}, tokens=frame)
        for piece in said:
            yield delta({"toolUse": {"input": piece}})
    elif "reasoningContent" in start:
        for piece in said:
            yield delta({"reasoningContent": {"text": piece}})
        yield delta({"reasoningContent": {"signature": sign("".join(said))}}, 0)
    else:
        for piece in said:
            yield delta({"text": piece})
    yield _event("contentBlockStop", {"contentBlockIndex": index})


def _event(name: str, body: dict[str, Any], *, tokens: int = 0, usage: dict[str, Any] | None = None) -> Event:
    return Event(event_frame(name, body), tokens, usage)
