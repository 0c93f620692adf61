"""What the simulated model says: filler made from the prompt, so that equal prompts get equal answers."""

from __future__ import annotations

import re
from hashlib import blake2b
from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, Literal, final

import msgspec
import orjson

from .invention import invent
from .loose import obj

if TYPE_CHECKING:
    from .question import Question, Tool

Finish = Literal["stop", "length", "tool_calls", "stop_sequence"]

_SENTENCES = (
    "This is a simulated answer, made without a model.",
    "What was read before need not be computed again.",
    "The prompt was cut where it first differs, and only the rest was new.",
    "Equal prompts get equal answers here.",
    "Each word counts as one token.",
)
_PIECE = re.compile(r"\s*\S{1,12}|\s+")
_CALL_WORDS = ("tool", "call", "function")
_SEVERAL = ("parallel", "both", "each", "several")


@final
class Call(msgspec.Struct, frozen=True):
    """A well-formed call of one of the tools."""

    name: str
    arguments: str


@final
class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer in pieces; each piece counts as one token."""

    thinking: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    finish: Finish = "stop"
    stopped_by: str | None = None

    @property
    def tokens(self) -> int:
        """Everything the model produced, thinking included."""
        return len(self.thinking) + len(self.text) + sum(call_tokens(call) for call in self.calls)


def call_tokens(call: Call) -> int:
    """What a call costs: its arguments, and as much again for the frame around them."""
    return len(pieces(call.arguments)) + 8


def pieces(text: str) -> tuple[str, ...]:
    """The text cut as it is streamed; joined, it is the text again."""
    return tuple(_PIECE.findall(text))


def compose(question: Question, *, text: str | None, words: int, thoughts: int) -> Answer:
    """The answer to this question.

    Args:
        question: What is asked.
        text: A scripted answer; None = filler.
        words: How long filler is, in tokens.
        thoughts: How long the model thinks first, where it thinks.
    """
    thinking = _filler(f"thinking {question.text}", thoughts) if question.thinks else ()
    calls = _calls(question) if text is None else ()
    if calls:
        return _limited(Answer(thinking=thinking, calls=calls, finish="tool_calls"), question.max_tokens)

    if text is None:
        text = _said(question, words)
    said, stopped_by = _stopped(text, question.stop)
    answer = Answer(
        thinking=thinking,
        text=pieces(said),
        finish="stop_sequence" if stopped_by else "stop",
        stopped_by=stopped_by,
    )
    return _limited(answer, question.max_tokens)


def _said(question: Question, words: int) -> str:
    if question.schema is not None:
        return orjson.dumps(invent(question.schema, question.text)).decode()
    return "".join(_filler(question.text, words))


def _filler(seed: str, words: int) -> tuple[str, ...]:
    start = int.from_bytes(blake2b(seed.encode(), digest_size=4).digest(), "big") % len(_SENTENCES)
    spoken = " ".join(_SENTENCES[start:] + _SENTENCES[:start]).split()
    chosen = islice(cycle(spoken), words)
    return tuple(word if number == 0 else f" {word}" for number, word in enumerate(chosen))


def _stopped(text: str, stops: tuple[str, ...]) -> tuple[str, str | None]:
    found = min(((text.find(stop), stop) for stop in stops if stop and stop in text), default=None)
    return (text, None) if found is None else (text[: found[0]], found[1])


def _limited(answer: Answer, limit: int | None) -> Answer:
    """The answer cut at max_tokens, thinking counted first; a call that does not fit is left out."""
    if limit is None or answer.tokens <= limit:
        return answer
    thinking = answer.thinking[:limit]
    left = limit - len(thinking)
    calls: list[Call] = []
    for call in answer.calls:
        left -= call_tokens(call)
        if left < 0:
            break
        calls.append(call)
    return Answer(thinking=thinking, text=answer.text[: max(left, 0)], calls=tuple(calls), finish="length")


def _calls(question: Question) -> tuple[Call, ...]:
    if not question.tools or not question.may_call:
        return ()
    chosen = _chosen(question)
    if not question.parallel:
        chosen = chosen[:1]
    return tuple(
        Call(tool.name, orjson.dumps(_arguments(tool, question.text, number)).decode())
        for number, tool in enumerate(chosen)
    )


def _chosen(question: Question) -> list[Tool]:
    """The tools that are forced, or that the user's words ask for."""
    lowered = question.text.lower()
    named = [tool for tool in question.tools if _asks_for(lowered, tool.name)]
    if question.must_call and question.must_call != "*":
        return [tool for tool in question.tools if tool.name == question.must_call]
    if question.must_call is None and question.answers_tools:
        return []
    if not named and (question.must_call or any(word in lowered for word in _CALL_WORDS)):
        named = [question.tools[0]]
    if len(named) == 1 and any(word in lowered for word in _SEVERAL):
        others = [tool for tool in question.tools if tool is not named[0]]
        return [*named, *(others or named)]
    return named


def _asks_for(lowered: str, name: str) -> bool:
    words = [word for word in re.split(r"[^a-z0-9]+", name.lower()) if len(word) > 3]
    return name.lower() in lowered or any(word in lowered for word in words if word not in _CALL_WORDS)


def _arguments(tool: Tool, text: str, number: int) -> dict[str, Any]:
    return obj(invent(tool.schema, text, number))
