"""OpenAI's Responses, the answer: items, its many events, usage in the last one; errors are those of its chat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import orjson

from .answer import pieces
from .chat_answer import call_id, message
from .chat_prompt import spoken_blocks
from .loose import obj
from .oddities import odd
from .openai_wire import OpenAIWire
from .responses_input import read_responses, turns
from .rules import OPENAI_TTL
from .wire import Arrival, Asked, Event, Refusal, Reply

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .prompt import Block

_MOST_KEPT = 1000  # responses that later ones may continue
_PADDING = "Qm8wT2xLr6Kd"
# what a response tells of its request, and what stands there where the request says nothing
_ECHO: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
}
# what is not said yet when an item begins
_BEGINNINGS: dict[str, dict[str, Any]] = {
    "reasoning": {},
    "message": {"content": [], "status": "in_progress"},
    "function_call": {"arguments": "", "status": "in_progress"},
}


@final
class ResponsesWire:
    """POST /openai/v1/responses. Keeps the turns of what it answered, unless `store` is false."""

    name = "openai-responses"
    routes = ("/openai/v1/responses",)
    side_routes: Mapping[tuple[str, str], str] = {}
    content_type = "text/event-stream; charset=utf-8"

    def __init__(self) -> None:
        self._chat = OpenAIWire()
        self._kept: dict[tuple[str, str], list[dict[str, Any]]] = {}

    def read(self, arrival: Arrival) -> Asked:
        """The request understood."""
        return read_responses(arrival, lambda name: self._kept.get((arrival.owner, name)))

    def aside(self, name: str, arrival: Arrival) -> dict[str, Any]:
        """There is nothing else."""
        del arrival
        raise Refusal(404, f"There is no {name} here.")

    def events(self, reply: Reply) -> Iterator[Event]:
        """created, in_progress, each item from its beginning to its end, then completed or incomplete."""
        yield from _Stream(reply).all()

    def whole(self, reply: Reply) -> Event:
        """One response."""
        usage = None if reply.scenario.usage == "none" else usage_of(reply)
        body = _response(reply, _items(reply), _status(reply), usage)
        return Event(orjson.dumps(body, option=orjson.OPT_INDENT_2), reply.answer.tokens, usage)

    def output(self, reply: Reply) -> tuple[Block, ...]:
        """The answer as a later request repeats it; kept for those who only name it."""
        made = message(reply.answer, _calls(reply))
        if reply.body.get("store") is not False:
            owner = reply.asked.prompt.scope.partition("/")[0]
            before = turns(reply.body, lambda name: self._kept.get((owner, name)))
            self._kept[owner, _id(reply)] = [*before, made]
            while len(self._kept) > _MOST_KEPT:
                del self._kept[next(iter(self._kept))]
        return spoken_blocks(made)

    def headers(self, number: int) -> dict[str, str]:
        """As for chat."""
        return self._chat.headers(number)

    def refuse(self, refusal: Refusal, number: int) -> bytes:
        """As for chat."""
        return self._chat.refuse(refusal, number)

    def refuse_in_stream(self, number: int) -> bytes:
        """An event of its own kind; the status stays 200."""
        del number
        error = {
            "type": "error",
            "code": "server_error",
            "message": "The server had an error while processing your request. Sorry about that!",
            "param": None,
            "sequence_number": 0,
        }
        return b"event: error\ndata: %b\n\n" % orjson.dumps(error)


class _Stream:
    """The events of one answer, numbered."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._number = 0
        options = obj(reply.body.get("stream_options"))
        self._pads = options.get("include_obfuscation") is not False

    def all(self) -> Iterator[Event]:
        reply = self._reply
        begun = _response(reply, [], "in_progress", None)
        yield self._event("response.created", response=begun)
        yield self._event("response.in_progress", response=begun)
        items = _items(reply)
        for index, item in enumerate(items):
            yield from self._item(index, item)
        status = _status(reply)
        usage = None if reply.scenario.usage == "none" else usage_of(reply)
        last = _response(reply, items, status, usage)
        yield self._event(f"response.{status}", usage=usage, response=last)

    def _item(self, index: int, item: dict[str, Any]) -> Iterator[Event]:
        kind = item["type"]
        added = {**item, **_BEGINNINGS[kind]}
        added.pop("encrypted_content", None)  # OpenAI's is whole only when the item is done
        yield self._event("response.output_item.added", output_index=index, item=added)
        if kind == "message":
            yield from self._text(index, item)
        elif kind == "function_call":
            yield from self._call(index, item)
        thoughts = len(self._reply.answer.thinking) if kind == "reasoning" else 0
        yield self._event("response.output_item.done", tokens=thoughts, output_index=index, item=item)

    def _text(self, index: int, item: dict[str, Any]) -> Iterator[Event]:
        place: dict[str, Any] = {"item_id": item["id"], "output_index": index, "content_index": 0}
        [part] = item["content"]
        yield self._event("response.content_part.added", **place, part={**part, "text": ""})
        for piece in self._reply.answer.text:
            kind = "response.output_text.delta"
            yield self._event(kind, tokens=1, pads=self._pads, **place, delta=piece, logprobs=[])
        yield self._event("response.output_text.done", **place, text=part["text"], logprobs=[])
        yield self._event("response.content_part.done", **place, part=part)

    def _call(self, index: int, item: dict[str, Any]) -> Iterator[Event]:
        place: dict[str, Any] = {"item_id": item["id"], "output_index": index}
        said = item["arguments"]
        frame = 8
        for piece in pieces(said):
            kind = "response.function_call_arguments.delta"
            yield self._event(kind, tokens=1 + frame, pads=self._pads, **place, delta=piece)
            frame = 0
        kind = "response.function_call_arguments.done"
        yield self._event(kind, tokens=frame, **place, name=item["name"], arguments=said)

    def _event(
        self,
        kind: str,
        *,
        tokens: int = 0,
        usage: dict[str, Any] | None = None,
        pads: bool = False,
        **fields: Any,
    ) -> Event:
        body: dict[str, Any] = {"type": kind, "sequence_number": self._number, **fields}
        if pads:
            body["obfuscation"] = _PADDING[: 1 + self._number % len(_PADDING)]
        self._number += 1
        return Event(b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps(body)), tokens, usage)


def usage_of(reply: Reply) -> dict[str, Any]:
    """The usage of a response; writes, with their lifetimes, are told only since GPT-5.6."""
    verdict, answer = reply.verdict, reply.answer
    read: dict[str, Any] = {"cached_tokens": verdict.read}
    if reply.asked.rule.kind == "breakpoints":
        read["cache_write_tokens"] = verdict.write_total
        read["cache_write_tokens_details"] = {
            f"ttl_{ttl}_tokens": verdict.written.get(seconds, 0) for ttl, seconds in OPENAI_TTL.items()
        }
    usage = {
        "input_tokens": verdict.total,
        "input_tokens_details": read,
        "output_tokens": answer.tokens,
        "output_tokens_details": {"reasoning_tokens": len(answer.thinking)},
        "total_tokens": verdict.total + answer.tokens,
    }
    return odd(usage, reply.scenario)


def _items(reply: Reply) -> list[dict[str, Any]]:
    """What was thought, said and called, in this order."""
    answer, number = reply.answer, reply.number
    cut = "incomplete" if answer.finish == "length" else "completed"
    items: list[dict[str, Any]] = []
    if answer.thinking:
        thought: dict[str, Any] = {"id": f"rs_sim{number:021d}", "type": "reasoning", "summary": []}
        if "reasoning.encrypted_content" in (reply.body.get("include") or ()):
            thought["encrypted_content"] = f"gAAAAASim{number:021d}"
        items.append(thought)
    if answer.text or not (answer.calls or answer.thinking):
        text: dict[str, Any] = {"type": "output_text", "text": "".join(answer.text)}
        text |= {"annotations": [], "logprobs": []}
        said: dict[str, Any] = {"id": f"msg_sim{number:021d}", "type": "message", "status": cut}
        items.append({**said, "role": "assistant", "content": [text]})
    for index, (call, name) in enumerate(zip(answer.calls, _calls(reply), strict=True)):
        item: dict[str, Any] = {"id": call_id("fc_", number, 0, index), "type": "function_call"}
        item |= {"status": "completed", "arguments": call.arguments, "call_id": name, "name": call.name}
        items.append(item)
    return items


def _response(
    reply: Reply, items: list[dict[str, Any]], status: str, usage: dict[str, Any] | None
) -> dict[str, Any]:
    body = reply.body
    told = {name: body[name] if body.get(name) is not None else usual for name, usual in _ECHO.items()}
    reason = {"reason": "max_output_tokens"} if status == "incomplete" else None
    return {
        "id": _id(reply),
        "object": "response",
        "created_at": reply.created,
        "status": status,
        "background": False,
        "error": None,
        "incomplete_details": reason,
        "model": reply.asked.model,
        "output": items,
        "service_tier": "auto" if status == "in_progress" else "default",
        "usage": usage,
        **told,
    }


def _status(reply: Reply) -> str:
    return "incomplete" if reply.answer.finish == "length" else "completed"


def _id(reply: Reply) -> str:
    return f"resp_Sim{reply.number:026d}"


def _calls(reply: Reply) -> list[str]:
    return [call_id("call_", reply.number, 0, index) for index in range(len(reply.answer.calls))]
