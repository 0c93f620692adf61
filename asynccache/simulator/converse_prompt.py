"""A Bedrock Converse body, cut into the blocks that its cache sees; a cachePoint marks the block before it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import orjson

from .loose import obj, objs
from .prompt import Block, Level, Prompt
from .rules import ANTHROPIC_TTL
from .tokens import estimate

if TYPE_CHECKING:
    from collections.abc import Iterable

_PER_MEDIUM = {"image": 1500, "document": 2000, "video": 5000}  # tokens, about: their size says little
_PER_TURN = 4


def converse_prompt(body: dict[str, Any], model: str, owner: str) -> Prompt:
    """What the cache of Bedrock's Converse sees of this body."""
    config = obj(body.get("toolConfig"))
    settings = _settings(body, config)
    nova = "nova" in model
    blocks = (
        settings if nova else []
    )  # seen in recordings: at Nova another toolChoice misses the system prompt too
    blocks += _marked(objs(config.get("tools")), "tools")
    blocks += _marked(objs(body.get("system")), "system")
    blocks += [] if nova else settings
    for message in body["messages"]:
        said = _marked(message["content"], "messages")
        if said:
            head = f"<|{message['role']}|>".encode()
            said[0] = msgspec.structs.replace(
                said[0], content=head + said[0].content, tokens=said[0].tokens + _PER_TURN
            )
        blocks += said
    return Prompt(model=model, scope=owner, blocks=tuple(blocks))


def _marked(members: Iterable[dict[str, Any]], level: Level) -> list[Block]:
    blocks: list[Block] = []
    for member in members:
        point = member.get("cachePoint")
        if point is None:
            blocks.append(_block(member, level))
        elif blocks:
            blocks[-1] = msgspec.structs.replace(blocks[-1], lifetime=ANTHROPIC_TTL[point.get("ttl") or "5m"])
    return blocks


def _block(member: dict[str, Any], level: Level) -> Block:
    text = member.get("text")
    content = text.encode("utf-8", "surrogatepass") if type(text) is str else orjson.dumps(member)
    medium = next((_PER_MEDIUM[kind] for kind in member if kind in _PER_MEDIUM), None)
    return Block(content=content, tokens=medium or estimate(content), level=level)


def _settings(body: dict[str, Any], config: dict[str, Any]) -> list[Block]:
    """What changes the prompt from the messages on."""
    chosen: dict[str, Any] = {}
    if config.get("toolChoice") not in (None, {"auto": {}}):
        chosen["toolChoice"] = config["toolChoice"]
    thinking = obj(obj(body.get("additionalModelRequestFields")).get("thinking"))
    if thinking and thinking.get("type") != "disabled":
        chosen["thinking"] = thinking
    return [Block(content=orjson.dumps(chosen), tokens=0, is_setting=True)] if chosen else []
