"""An Anthropic body, cut into the blocks that its cache sees: tools, then system, then messages."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from .anthropic_check import contents, last_block, version
from .loose import obj, objs
from .prompt import Block, Level, Prompt
from .rules import ANTHROPIC_TTL
from .tokens import estimate

if TYPE_CHECKING:
    from collections.abc import Iterator

_PER_MEDIUM = {"image": 1500, "document": 2000}  # tokens, about: their size says little
_PER_TOOL = 12
_PER_TURN = 4


def anthropic_prompt(body: dict[str, Any], owner: str) -> Prompt:
    """What Anthropic's cache sees of this body, marks and all."""
    model = str(body.get("model", ""))
    # each string becomes its one block here, so that a block is the same object wherever it is looked at
    body = {**body, "messages": [{**message, "content": contents(message)} for message in body["messages"]]}
    automatic = last_block(body) if body.get("cache_control") is not None else None
    blocks = [_block(tool, "tools", extra=_PER_TOOL) for tool in objs(body.get("tools"))]
    blocks += _setting(_system_settings(body), "system")
    system = body.get("system")
    if type(system) is str:
        system = [{"type": "text", "text": system}] if system else []
    blocks += [_block(block, "system") for block in objs(system)]
    blocks += _setting(_message_settings(body), "messages")

    top = ANTHROPIC_TTL[obj(body.get("cache_control")).get("ttl") or "5m"]
    role = None
    for message, kept in _kept(body["messages"], model):
        for block in kept:
            turn = message["role"] if message["role"] != role else None
            role = message["role"]
            blocks.append(_block(block, "messages", turn=turn, automatic=top if block is automatic else None))
    return Prompt(model=model, scope=owner, blocks=tuple(blocks))


def _block(
    block: dict[str, Any],
    level: Level,
    *,
    turn: str | None = None,
    automatic: int | None = None,
    extra: int = 0,
) -> Block:
    mark = obj(block.get("cache_control"))
    bare = {key: value for key, value in block.items() if key != "cache_control"}
    content = b"" if turn is None else f"<|{turn}|>".encode()
    if block.get("type") == "text":
        content += str(block.get("text", "")).encode("utf-8", "surrogatepass")
    else:
        content += orjson.dumps(_without_marks(bare))
    tokens = _PER_MEDIUM.get(str(block.get("type"))) or estimate(content)
    lifetime = ANTHROPIC_TTL[mark.get("ttl") or "5m"] if mark else automatic or _nested(block)
    return Block(
        content=content,
        tokens=tokens + extra + (_PER_TURN if turn else 0),
        level=level,
        lifetime=lifetime,
    )


def _nested(block: dict[str, Any]) -> int | None:
    """A mark inside a tool_result's content counts at the end of the whole result."""
    for nested in objs(block.get("content")):
        mark = obj(nested.get("cache_control"))
        if mark:
            return ANTHROPIC_TTL[mark.get("ttl") or "5m"]
    return None


def _without_marks(block: dict[str, Any]) -> dict[str, Any]:
    inner = block.get("content")
    if type(inner) is not list:
        return block
    bare = [
        {key: value for key, value in nested.items() if key != "cache_control"}
        for nested in objs(block["content"])
    ]
    return {**block, "content": bare}


def _setting(chosen: dict[str, Any], level: Level) -> list[Block]:
    if not chosen:
        return []
    return [Block(content=orjson.dumps(chosen), tokens=0, level=level, is_setting=True)]


def _system_settings(body: dict[str, Any]) -> dict[str, Any]:
    """What changes the prompt from the system level on: fast mode, citations, a wanted schema."""
    chosen: dict[str, Any] = {}
    if body.get("speed") not in (None, "standard"):
        chosen["speed"] = body["speed"]
    if any(_cites(block) for block in _all_blocks(body)):
        chosen["citations"] = True
    wanted = obj(body.get("output_config")).get("format")
    if wanted:
        chosen["format"] = wanted
    return chosen


def _cites(block: dict[str, Any]) -> bool:
    """A document that asks for citations; a text's own list of citations asks for nothing."""
    return bool(obj(block.get("citations")).get("enabled"))


def _message_settings(body: dict[str, Any]) -> dict[str, Any]:
    """What changes the prompt from the messages on; a value that is the default is as good as none."""
    chosen: dict[str, Any] = {}
    choice = {key: value for key, value in obj(body.get("tool_choice")).items() if value not in (None, False)}
    if choice and choice != {"type": "auto"}:
        chosen["tool_choice"] = choice
    thinking = {key: value for key, value in obj(body.get("thinking")).items() if key != "display"}
    if thinking and thinking != {"type": "disabled"}:
        chosen["thinking"] = thinking
    effort = obj(body.get("output_config")).get("effort")
    if effort not in (None, "high"):
        chosen["effort"] = effort
    if any(block.get("type") == "image" for block in _all_blocks(body)):
        chosen["images"] = True
    return chosen


def _all_blocks(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for message in body["messages"]:
        for block in contents(message):
            yield block
            yield from objs(block.get("content"))


_OPUS = re.compile(r"opus|fable|mythos")


def _keeps_thinking(model: str) -> bool:
    """Newer models keep the thinking of earlier turns in the prompt; older ones strip it."""
    least = (4, 5) if _OPUS.search(model) else (4, 6)
    return version(model) >= least


def _kept(
    messages: list[dict[str, Any]], model: str
) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Each message with the blocks that the model reads."""
    spoken = [
        index
        for index, message in enumerate(messages)
        if message["role"] == "user" and any(block["type"] != "tool_result" for block in contents(message))
    ]
    last = spoken[-1] if spoken else 0
    keeps = _keeps_thinking(model)
    for index, message in enumerate(messages):
        blocks = contents(message)
        if message["role"] == "assistant" and index < last and not keeps:
            blocks = [block for block in blocks if block["type"] not in ("thinking", "redacted_thinking")]
        yield message, blocks
