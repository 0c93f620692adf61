"""An answer in OpenAI's chat shape: the deltas of a stream, and the one message of an answer that is not streamed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .answer import call_tokens, pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .answer import Answer, Call

FINISH = {"stop": "stop", "stop_sequence": "stop", "length": "length", "tool_calls": "tool_calls"}


def call_id(prefix: str, number: int, choice: int, index: int) -> str:
    """An id that no other call of this simulator has."""
    return f"{prefix}{number:06d}{choice:02d}{index:02d}{'Sim' * 5}"[: len(prefix) + 24]


def text_deltas(answer: Answer, *, reasoning: bool) -> Iterator[tuple[dict[str, Any], int]]:
    """Reasoning where the wire shows it, then text; each with its weight in tokens."""
    hidden = 0 if reasoning else len(answer.thinking)
    if reasoning:
        for piece in answer.thinking:
            yield {"content": None, "reasoning_content": piece}, 1
    for piece in answer.text:
        delta = {"content": piece, "reasoning_content": None} if reasoning else {"content": piece}
        yield delta, 1 + hidden
        hidden = 0


def call_deltas(answer: Answer, ids: list[str]) -> Iterator[tuple[dict[str, Any], int]]:
    """Each call: id and name first, then its arguments in fragments."""
    for index, (call, name) in enumerate(zip(answer.calls, ids, strict=True)):
        first = {
            "index": index,
            "id": name,
            "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }
        yield {"tool_calls": [first]}, call_tokens(call) - len(pieces(call.arguments))
        for piece in pieces(call.arguments):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}, 1


def message(answer: Answer, ids: list[str]) -> dict[str, Any]:
    """The assistant's message, whole."""
    made: dict[str, Any] = {"role": "assistant", "content": "".join(answer.text)}
    if answer.calls:
        made["content"] = made["content"] or None
        made["tool_calls"] = whole_calls(answer.calls, ids)
    return made


def whole_calls(calls: tuple[Call, ...], ids: list[str]) -> list[dict[str, Any]]:
    """The calls as they stand in a message."""
    return [
        {"id": name, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call, name in zip(calls, ids, strict=True)
    ]
