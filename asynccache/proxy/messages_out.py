"""Events to Anthropic's format: its stream of blocks, or one whole message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, final

import orjson

from asynccache.aggregate import Aggregator
from asynccache.events import (
    Finished,
    ReasoningDelta,
    RedactedReasoning,
    RefusalDelta,
    SignatureDelta,
    Started,
    TextDelta,
    ToolCallFragment,
    Usage,
)
from asynccache.proxy.message_blocks import Blocks, framed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asynccache.proxy.message_blocks import Kind
    from asynccache.reply import ToolCall

__all__ = ["MessageVoice", "WholeMessageVoice", "message_usage"]

# Why it stopped, where the provider's own word is not Anthropic's.
_STOPS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_OWN_STOPS = frozenset(
    [
        "end_turn",
        "max_tokens",
        "stop_sequence",
        "tool_use",
        "pause_turn",
        "refusal",
        "model_context_window_exceeded",
    ]
)


def message_usage(usage: Usage | None, *, cost: bool) -> dict[str, Any]:
    """*usage* in Anthropic's words; its SDK wants both counts, so what is not known is left out only elsewhere."""
    if usage is None:
        return {"input_tokens": 0, "output_tokens": 0}
    details = usage.prompt_tokens_details
    uncached = details.uncached_tokens
    told: dict[str, Any] = {
        "input_tokens": (usage.prompt_tokens if uncached is None else uncached) or 0,
        "output_tokens": usage.completion_tokens or 0,
    }
    for name in ("cache_creation_input_tokens", "cache_read_input_tokens"):
        value = getattr(usage, name)
        if value is not None:
            told[name] = value
    if usage.source not in {"provider", "estimated"}:
        told["source"] = usage.source
    if cost and usage.cost is not None:
        told["cost"] = usage.cost
    return told


def stop_reason(reason: str | None, native: str | None) -> str | None:
    """Why it stopped, in Anthropic's words."""
    if native in _OWN_STOPS:
        return native
    return None if reason is None else _STOPS.get(reason, "end_turn")


@final
class MessageVoice:
    """Anthropic's events, made of this library's."""

    def __init__(self, model: str, *, cost: bool) -> None:
        self.streamed = True
        self.usage: Usage | None = None
        self._model = model
        self._cost = cost
        self._begun = False
        self._blocks = Blocks()
        self._stop: str | None = None

    def write(self, item: Any, /) -> bytes:
        """The events that *item* stands for."""
        writer = self._writers.get(type(item))
        if writer is None or getattr(item, "index", None):  # Anthropic's format has one answer
            return b""
        return writer(self, item)

    def last(self) -> bytes:
        """The end of the last block, why it stopped and what it used, the end."""
        delta = {"stop_reason": self._stop or "end_turn", "stop_sequence": None}
        usage = message_usage(self.usage, cost=self._cost)
        return b"".join(
            (
                self._begin() if not self._begun else b"",
                self._blocks.close(),
                framed("message_delta", {"delta": delta, "usage": usage}),
                framed("message_stop", {}),
            )
        )

    def _start(self, event: Started) -> bytes:
        return b"" if self._begun else self._begin(event.id, event.model)

    def _begin(self, name: str = "", model: str = "") -> bytes:
        self._begun = True
        message: dict[str, Any] = {
            "id": name if name.startswith("msg_") else f"msg_{name or 'asynccache'}",
            "type": "message",
            "role": "assistant",
            "content": [],
            "model": model or self._model,
            "stop_reason": None,
            "stop_sequence": None,
            "usage": message_usage(None, cost=False),
        }
        return framed("message_start", {"message": message})

    def _text(self, event: Any) -> bytes:
        return self._add(
            ("text", 0), {"type": "text", "text": ""}, {"type": "text_delta", "text": event.text}
        )

    def _reasoning(self, event: ReasoningDelta) -> bytes:
        block = {"type": "thinking", "thinking": "", "signature": ""}
        delta = {"type": "thinking_delta", "thinking": event.text}
        return self._add(("thinking", event.block or 0), block, delta)

    def _signature(self, event: SignatureDelta) -> bytes:
        block = {"type": "thinking", "thinking": "", "signature": ""}
        delta = {"type": "signature_delta", "signature": event.signature}
        return self._add(("thinking", event.block), block, delta)

    def _redacted(self, event: RedactedReasoning) -> bytes:
        return self._add(("redacted", event.block), {"type": "redacted_thinking", "data": event.data})

    def _call(self, event: ToolCallFragment) -> bytes:
        block: dict[str, Any] = {
            "type": "tool_use",
            "id": event.id or f"toolu_{event.call}",
            "name": event.name or "",
            "input": {},
        }
        delta = {"type": "input_json_delta", "partial_json": event.arguments} if event.arguments else None
        return self._add(("call", event.call), block, delta)

    def _finish(self, event: Finished) -> bytes:
        self._stop = stop_reason(event.reason, event.native)
        return b""

    def _hear(self, usage: Usage) -> bytes:
        self.usage = usage
        return b""

    def _add(self, kind: Kind, start: dict[str, Any], delta: dict[str, Any] | None = None) -> bytes:
        said = self._blocks.add(kind, start, delta)
        return said if self._begun else self._begin() + said

    # Of the class, not bound: an object that holds its own methods is a circle, which would outlive the answer.
    _writers: ClassVar[Mapping[Any, Callable[[Any, Any], bytes]]] = {
        Started: _start,
        TextDelta: _text,
        RefusalDelta: _text,
        ReasoningDelta: _reasoning,
        SignatureDelta: _signature,
        RedactedReasoning: _redacted,
        ToolCallFragment: _call,
        Finished: _finish,
        Usage: _hear,
    }


@final
class WholeMessageVoice:
    """One message of Anthropic's, made of events."""

    def __init__(self, model: str, *, cost: bool) -> None:
        self.streamed = False
        self._whole = Aggregator()
        self._model = model
        self._cost = cost

    @property
    def usage(self) -> Usage | None:
        """The answer's usage, once it has come."""
        return self._whole.usage

    def write(self, item: Any, /) -> bytes:
        """Nothing is said before the end."""
        self._whole.add(item)
        return b""

    def last(self) -> bytes:
        """The message."""
        completion = self._whole.completion()
        choice = completion.choices[0] if completion.choices else None
        name = completion.id or "asynccache"
        return orjson.dumps(
            {
                "id": name if name.startswith("msg_") else f"msg_{name}",
                "type": "message",
                "role": "assistant",
                "model": completion.model or self._model,
                "content": [] if choice is None else _blocks(choice.message),
                "stop_reason": None
                if choice is None
                else stop_reason(choice.finish_reason, choice.native_finish_reason),
                "stop_sequence": None,
                "usage": message_usage(completion.usage, cost=self._cost),
            }
        )


def _blocks(message: Any) -> list[dict[str, Any]]:
    if message.provider_blocks:
        return list(message.provider_blocks)
    blocks: list[dict[str, Any]] = list(message.thinking_blocks or ())
    if not blocks and message.reasoning_content:
        blocks.append({"type": "thinking", "thinking": message.reasoning_content, "signature": ""})
    text = message.content or message.refusal
    if text:
        blocks.append({"type": "text", "text": text})
    return blocks + [_call(call) for call in message.tool_calls or ()]


def _call(call: ToolCall) -> dict[str, Any]:
    function = call.function
    return {"type": "tool_use", "id": call.id, "name": function.name, "input": _input(function.arguments)}


def _input(text: str) -> Any:
    try:
        return orjson.loads(text or "{}")
    except orjson.JSONDecodeError:  # cut by the limit of tokens
        return {"unfinished": text}
