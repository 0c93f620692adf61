"""An OpenAI-shaped chat body, cut into the blocks that a prefix cache sees: settings, tools, then messages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from .loose import obj, objs
from .prompt import Block, Level
from .tokens import estimate
from .wire import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_PER_MESSAGE = 4  # tokens of the frame around a message, about
_PER_MEDIUM = {"image_url": 765, "input_audio": 400, "file": 1500}  # tokens, about: their size says little


# a prompt ends where the answer begins, and what follows in the next request is that answer
PRIMER = Block(content=b"<|assistant|>", tokens=_PER_MESSAGE)


def unmarked(_part: dict[str, Any]) -> int | None:
    """No part carries a breakpoint."""
    return None


def chat_blocks(
    body: dict[str, Any],
    *,
    settings: tuple[str, ...] = (),
    lifetime: Callable[[dict[str, Any]], int | None] = unmarked,
    reasoning: bool = False,
) -> list[Block]:
    """Every block of the request, in the order in which the model reads them.

    Args:
        body: The request.
        settings: Parameters that are part of the prompt's beginning: changed, nothing is found again.
        lifetime: The breakpoint on a content part, if it carries one.
        reasoning: Replayed `reasoning_content` of turns with tool calls is part of the prompt.
    """
    blocks: list[Block] = []
    chosen = {name: body[name] for name in settings if body.get(name) is not None}
    if chosen:
        blocks.append(Block(content=orjson.dumps(chosen), tokens=0, is_setting=True, level="tools"))
    for tool in objs(body.get("tools")):
        content = orjson.dumps(tool)
        blocks.append(Block(content=content, tokens=estimate(content), level="tools"))

    messages: list[dict[str, Any]] = body["messages"]
    for index, message in enumerate(messages):
        parts = list(message_blocks(message, lifetime=lifetime, reasoning=reasoning))
        if _ends_here(messages, index):
            parts[-1] = msgspec.structs.replace(parts[-1], ends_message=True)
        blocks.extend(parts)
    return [*blocks, PRIMER]


def message_blocks(
    message: dict[str, Any],
    *,
    lifetime: Callable[[dict[str, Any]], int | None] = unmarked,
    reasoning: bool = False,
) -> Iterator[Block]:
    """The blocks of one message; a string and a list with one text part are the same prompt."""
    level: Level = "system" if message["role"] in ("system", "developer") else "messages"
    head = f"<|{message['role']}|>{message.get('tool_call_id') or ''}".encode()
    yield Block(content=head, tokens=_PER_MESSAGE, level=level)

    calls = objs(message.get("tool_calls"))
    thought = message.get("reasoning_content")
    if reasoning and calls and thought:
        content = f"<think>{thought}</think>".encode()
        yield Block(content=content, tokens=estimate(content), level=level)
    for part in _parts(message):
        content, tokens = _rendered(part)
        yield Block(content=content, tokens=tokens, level=level, lifetime=lifetime(part))
    for call in calls:
        content = _called(call)
        yield Block(content=content, tokens=estimate(content), level=level)


def spoken_blocks(message: dict[str, Any], *, reasoning: bool = False) -> tuple[Block, ...]:
    """An answer as it continues the prompt that it answers, which ends in the answer's own head already."""
    return tuple(message_blocks(message, reasoning=reasoning))[1:]


_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    **dict.fromkeys(("max_tokens", "max_completion_tokens", "n", "seed", "max_output_tokens"), ((int,), "an integer")),
    **dict.fromkeys(("temperature", "top_p", "presence_penalty", "frequency_penalty"), ((int, float), "a decimal")),
    **dict.fromkeys(("stream", "parallel_tool_calls", "logprobs", "store"), ((bool,), "a boolean")),
    **dict.fromkeys(("response_format", "stream_options", "reasoning", "text"), ((dict,), "an object")),
    "tools": ((list,), "an array of objects"),
    "stop": ((str, list), "a string or an array of strings"),
    "tool_choice": ((str, dict), "a string or an object"),
}  # fmt: skip


def check_kinds(body: dict[str, Any]) -> None:
    """Refuses a parameter of another kind than it has, in OpenAI's words."""
    for name, (kinds, told) in _KINDS.items():
        value = body.get(name)
        if value is not None and type(value) not in kinds:
            raise Refusal(
                400,
                f"Invalid type for '{name}': expected {told}, but got {type(value).__name__} instead.",
                param=name,
                code="invalid_type",
            )


def check_chat(body: dict[str, Any]) -> None:
    """Refuses a body that no provider of this shape takes, in OpenAI's words."""
    check_kinds(body)
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise Refusal(400, "you must provide a model parameter")
    if type(body.get("messages")) is not list:
        raise Refusal(
            400,
            "Missing required parameter: 'messages'.",
            param="messages",
            code="missing_required_parameter",
        )
    said: list[Any] = body["messages"]
    if not said:
        raise Refusal(
            400,
            "Invalid 'messages': empty array. Expected an array with minimum length 1.",
            param="messages",
            code="empty_array",
        )
    called: set[str] = set()
    for index, message in enumerate(said):
        _check_message(obj(message), index, called)


def _check_message(message: dict[str, Any], index: int, called: set[str]) -> None:
    where = f"messages[{index}]"
    role = message.get("role")
    if role not in ROLES:
        raise Refusal(
            400,
            f"Invalid value: {role!r}. Supported values are: {', '.join(map(repr, ROLES))}.",
            param=f"{where}.role",
            code="invalid_value",
        )
    content = message.get("content")
    if content is not None and not isinstance(content, str | list):
        raise Refusal(
            400,
            f"Invalid type for '{where}.content': expected one of a string or array of objects.",
            param=f"{where}.content",
            code="invalid_type",
        )
    if content is None and role != "assistant":
        raise Refusal(
            400,
            f"Invalid value for 'content': expected a string, got null in {where}.",
            param=f"{where}.content",
        )
    called.update(str(call.get("id")) for call in objs(message.get("tool_calls")))
    if role == "tool" and message.get("tool_call_id") not in called:
        raise Refusal(
            400,
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
            param=f"{where}.role",
        )


def last_user_text(messages: list[dict[str, Any]]) -> str:
    """What the user said last, all its text parts together."""
    for message in reversed(messages):
        if message["role"] == "user":
            return "\n".join(
                str(part.get("text", "")) for part in _parts(message) if part.get("type") == "text"
            )
    return ""


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    if type(content) is str:
        return [{"type": "text", "text": content}] if content else []
    return objs(content)


def _called(call: dict[str, Any]) -> bytes:
    """A tool call as the model reads it again: neither its id, nor the order of its keys, nor spaces in the arguments.

    Recorded conversations are read on beyond calls that the client wrote anew with other spaces.
    """
    said = obj(call.get("function") or call.get("custom"))
    arguments = str(said.get("arguments") or said.get("input") or "")
    try:
        plain = orjson.dumps(orjson.loads(arguments))
    except orjson.JSONDecodeError:
        plain = arguments.encode("utf-8", "surrogatepass")
    return str(said.get("name")).encode() + b"(" + plain + b")"


def _rendered(part: dict[str, Any]) -> tuple[bytes, int]:
    kind = part.get("type")
    if kind in {"text", "refusal"}:
        content = str(part.get("text") or part.get("refusal") or "").encode("utf-8", "surrogatepass")
        return content, estimate(content)
    bare = {
        key: value for key, value in part.items() if key not in ("prompt_cache_breakpoint", "cache_control")
    }
    return orjson.dumps(bare), _PER_MEDIUM.get(str(kind), 100)


def _ends_here(messages: list[dict[str, Any]], index: int) -> bool:
    """Where an implicit breakpoint may stand: after a user message, the last of the tool outputs, the first system block."""
    role = messages[index]["role"]
    after = messages[index + 1]["role"] if index + 1 < len(messages) else None
    if role == "user":
        return True
    if role == "tool":
        return after != "tool"
    opening = all(message["role"] in ("system", "developer") for message in messages[: index + 1])
    return opening and after not in ("system", "developer")
