"""What Converse refuses before a model sees it: blank text, checkpoints out of place, tools that are missing."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from .loose import obj, objs
from .rules import ANTHROPIC_TTL
from .wire import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_CHECKPOINTS = 4
NO_CACHING = (
    "You invoked an unsupported model or your request did not allow prompt caching. "
    "See the documentation for more information."
)
# [aws] prompt-caching: Claude since 3.5 v2 and 3.5 Haiku, Nova; all others answer checkpoints with 403.
_CACHES = re.compile(
    r"anthropic\.claude-(?!v|instant|3-(?:opus|sonnet|haiku)|3-5-sonnet-20240620)|amazon\.nova-"
)
_UNKNOWN = ("nonexistent", "not-found", "does-not-exist")
_ROLES = ("user", "assistant", "system")
_TEXTS = ("text",)
_NOT_BEFORE = ("document", "video", "reasoningContent")  # strands-agents/harness-sdk#1966, #3677


def check_model_id(model: str) -> None:
    """Some names no account knows."""
    if any(word in model for word in _UNKNOWN):
        raise Refusal(400, "The provided model identifier is invalid.")


def check_converse(body: dict[str, Any], model: str) -> None:
    """Raises `Refusal` for a body that Converse does not take."""
    messages = body.get("messages")
    if type(messages) is not list or not messages:
        raise Refusal(400, "The conversation must start with a user message. Try again with one.")
    roles: list[str] = []
    for index, message in enumerate(objs(messages)):
        role = message.get("role")
        if role not in _ROLES:
            raise Refusal(
                400, f"messages.{index}.role: {role!r} failed to satisfy enum value set: [user, assistant]"
            )
        if not objs(message.get("content")):
            raise Refusal(400, f"The content field in the Message object at messages.{index} is empty.")
        roles.append(str(role))
    if roles[0] != "user":
        raise Refusal(400, "A conversation must start with a user message. Try again with one.")
    if any(one == next_ for one, next_ in pairwise(roles)):
        raise Refusal(400, "A conversation must alternate between user and assistant roles.")
    limit = obj(body.get("inferenceConfig")).get("maxTokens")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise Refusal(400, f"inferenceConfig.maxTokens: {limit!r} is no integer of at least 1")
    _check_texts(body)
    _check_thoughts(body, model)
    _check_tools(body)
    _check_checkpoints(body, model)


def lists_of(body: dict[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Every list that may hold checkpoints, in the order in which the prompt is rendered."""
    yield "toolConfig.tools", objs(obj(body.get("toolConfig")).get("tools"))
    yield "system", objs(body.get("system"))
    for index, message in enumerate(objs(body.get("messages"))):
        yield f"messages.{index}.content", objs(message.get("content"))


def _check_texts(body: dict[str, Any]) -> None:
    for where, blocks in lists_of(body):
        for number, block in enumerate(blocks):
            text = block.get("text")
            if type(text) is str and not text.strip():
                raise Refusal(400, f"The text field in the ContentBlock object at {where}.{number} is blank.")


def _check_thoughts(body: dict[str, Any], model: str) -> None:
    """Only Claude signs its thoughts, and only Claude takes signed ones (earendil-works/pi#686)."""
    if "anthropic." in model or model.startswith("arn:"):
        return
    for message in objs(body.get("messages")):
        for block in objs(message.get("content")):
            if obj(obj(block.get("reasoningContent")).get("reasoningText")).get("signature"):
                raise Refusal(
                    400,
                    "This model doesn't support the reasoningContent.reasoningText.signature field. "
                    "Remove reasoningContent.reasoningText.signature and try again.",
                )


def _check_tools(body: dict[str, Any]) -> None:
    blocks = [block for where, listed in lists_of(body) if where.startswith("messages") for block in listed]
    if any("toolUse" in block or "toolResult" in block for block in blocks) and not body.get("toolConfig"):
        raise Refusal(
            400, "The toolConfig field must be defined when using toolUse and toolResult content blocks."
        )
    for block in blocks:
        for inner in objs(obj(block.get("toolResult")).get("content")):
            if "cachePoint" in inner:
                raise Refusal(400, "Unknown parameter in toolResult.content: cachePoint")


def _check_checkpoints(body: dict[str, Any], model: str) -> None:
    nova = "amazon.nova" in model
    ttls: list[str] = []
    for where, blocks in lists_of(body):
        for number, block in enumerate(blocks):
            point = block.get("cachePoint")
            if point is None:
                continue
            before = blocks[number - 1] if number else {}
            if nova and (where.startswith("toolConfig") or not any(name in before for name in _TEXTS)):
                raise Refusal(
                    400,
                    "Malformed input request: extraneous key [cachePoint] is not permitted, please reformat",
                )
            if not before or any(name in before for name in _NOT_BEFORE):
                raise Refusal(
                    400, "There is nothing available to cache. Please remove the invalid cache point."
                )
            ttl = obj(point).get("ttl") or "5m"
            if obj(point).get("type") != "default" or ttl not in ANTHROPIC_TTL or (nova and ttl != "5m"):
                raise Refusal(400, f"{where}.{number}.cachePoint: {point!r} is not supported by this model")
            ttls.append(str(ttl))
    if ttls and not _CACHES.search(model) and not model.startswith("arn:"):
        raise Refusal(403, NO_CACHING)
    if len(ttls) > MOST_CHECKPOINTS:
        raise Refusal(400, f"A maximum of 4 cachePoint blocks may be provided. Found {len(ttls)}.")
    if "1h" in ttls[ttls.index("5m") if "5m" in ttls else len(ttls) :]:
        raise Refusal(400, "A cachePoint with ttl 1h must not come after one with ttl 5m.")
