"""What Anthropic refuses with 400 before a model sees it: cache rules, message order, parameters that a model no longer takes."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from .loose import obj, objs
from .rules import ANTHROPIC_TTL
from .wire import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_BREAKPOINTS = 4
_VERSION = re.compile(r"(fable|mythos|opus|sonnet|haiku)-(\d)(?:-(\d)(?!\d))?")
_SYSTEM_INSIDE = re.compile(r"fable-5|mythos-5|opus-4-8|opus-[5-9]|(?:sonnet|haiku)-5-5")
_UNMARKABLE = ("thinking", "redacted_thinking")
_SIGNED = "SimSigned"  # only our own signatures can be checked; others are taken as they come


def version(model: str) -> tuple[int, int]:
    """(4, 6) for claude-opus-4-6; Fable and Mythos begin at (5, 0); (0, 0) for names of the old order."""
    found = _VERSION.search(model.replace(".", "-"))
    return (int(found[2]), int(found[3] or 0)) if found else (0, 0)


def sign(thinking: str) -> str:
    """The signature under a thinking block."""
    return _SIGNED + blake2b(thinking.encode(), digest_size=24).hexdigest()


def check_anthropic(body: dict[str, Any]) -> None:
    """Raises `Refusal` for a body that Anthropic does not take."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise Refusal(400, "model: Field required")
    limit = body.get("max_tokens")
    if limit is None:
        raise Refusal(400, "max_tokens: Field required")
    if type(limit) is not int or limit < 0:
        raise Refusal(400, "max_tokens: Input should be a valid integer of at least 0")
    if type(body.get("messages")) is not list:
        raise Refusal(400, "messages: Field required")
    said: list[dict[str, Any]] = body["messages"]
    if not said:
        raise Refusal(400, "messages: at least one message is required")
    for index, message in enumerate(said):
        _check_message(message, index, model)
    _check_pairs(said)
    for index, tool in enumerate(objs(body.get("tools"))):
        if "input_schema" in tool and type(tool["input_schema"]) is not dict:
            raise Refusal(400, f"tools.{index}.custom.input_schema: Input should be a valid dictionary")
    if said[-1]["role"] == "assistant" and version(model) >= (4, 6):
        raise Refusal(
            400,
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        )
    _check_thinking(body, model)
    _check_sampling(body, model)
    if limit == 0:
        _check_warming(body)
    check_marks(body)


def check_marks(body: dict[str, Any]) -> None:
    """At most four breakpoints, 1h before 5m, never on thinking or on empty text."""
    ttls: list[str] = []
    for where, block in marked_blocks(body):
        kind = block.get("type")
        if kind in _UNMARKABLE:
            raise Refusal(400, f"{where}.{kind}.cache_control: Extra inputs are not permitted")
        if kind == "text" and not block.get("text"):
            raise Refusal(400, f"{where}.text: cache_control cannot be set for empty text blocks")
        ttls.append(_ttl(block["cache_control"], where))

    top = body.get("cache_control")
    if top is not None:
        ttl = _ttl(top, "cache_control")
        last = last_block(body)
        same = last is not None and last.get("cache_control") is not None
        if same and last is not None and _ttl(last["cache_control"], "cache_control") != ttl:
            raise Refusal(
                400, "cache_control: the last block already carries a cache_control with a different ttl"
            )
        if not same:
            ttls.append(ttl)

    if len(ttls) > MOST_BREAKPOINTS:
        raise Refusal(400, f"A maximum of 4 blocks with cache_control may be provided. Found {len(ttls)}.")
    if "1h" in ttls[ttls.index("5m") if "5m" in ttls else len(ttls) :]:
        raise Refusal(
            400,
            "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. "
            "Note that blocks are processed in the following order: `tools`, `system`, `messages`.",
        )


def marked_blocks(body: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every block that carries a mark, in render order, with its place."""
    for index, tool in enumerate(objs(body.get("tools"))):
        if tool.get("cache_control") is not None:
            yield f"tools.{index}", tool
    for index, block in enumerate(objs(body.get("system"))):
        if block.get("cache_control") is not None:
            yield f"system.{index}", block
    for number, message in enumerate(body["messages"]):
        for index, block in enumerate(contents(message)):
            where = f"messages.{number}.content.{index}"
            if block.get("cache_control") is not None:
                yield where, block
            for nested in objs(block.get("content")):
                if nested.get("cache_control") is not None:
                    yield where, nested


def last_block(body: dict[str, Any]) -> dict[str, Any] | None:
    """The last block that may be marked, walking backwards: what automatic caching marks."""
    eligible = [block for message in body["messages"] for block in contents(message) if _markable(block)]
    return eligible[-1] if eligible else None


def _markable(block: dict[str, Any]) -> bool:
    kind = block.get("type")
    return kind not in _UNMARKABLE and (kind != "text" or bool(block.get("text")))


def contents(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The blocks of a message; a string is one text block."""
    content: Any = message.get("content")
    return [{"type": "text", "text": content}] if type(content) is str else objs(content)


def _ttl(mark: Any, where: str) -> str:
    found = obj(mark)
    ttl = found.get("ttl") or "5m"
    if ttl not in ANTHROPIC_TTL or found.get("type") != "ephemeral":
        raise Refusal(
            400, f"{where}.cache_control: expected {{type: 'ephemeral', ttl: '5m' or '1h'}}, got {mark!r}"
        )
    return str(ttl)


def _check_message(message: Any, index: int, model: str) -> None:
    where = f"messages.{index}"
    role = obj(message).get("role")
    if role not in ("user", "assistant", "system"):
        raise Refusal(400, f"{where}.role: Input should be 'user' or 'assistant'")
    if role == "system" and (index == 0 or not _SYSTEM_INSIDE.search(model)):
        raise Refusal(400, f"{where}.role: system messages are not supported here by {model}")
    if not isinstance(message.get("content"), str | list):
        raise Refusal(400, f"{where}.content: Input should be a valid string or list")
    if role == "user" and not message["content"]:
        raise Refusal(400, f"{where}: user messages must have non-empty content")
    for number, block in enumerate(contents(message)):
        if type(block.get("type")) is not str:
            raise Refusal(400, f"{where}.content.{number}.type: Field required")
        signature = str(block.get("signature") or "")
        if signature.startswith(_SIGNED) and signature != sign(str(block.get("thinking", ""))):
            raise Refusal(400, f"{where}.content.{number}: Invalid `signature` in `thinking` block")


def _check_pairs(messages: list[dict[str, Any]]) -> None:
    """Every tool_use is answered in the next message, and nothing else is."""
    waiting: set[str] = set()
    for index, message in enumerate(messages):
        blocks = contents(message)
        results = {str(block.get("tool_use_id")) for block in blocks if block["type"] == "tool_result"}
        if waiting - results:
            raise Refusal(
                400,
                f"messages.{index}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(sorted(waiting - results))}.",
            )
        if results - waiting:
            raise Refusal(
                400,
                f"messages.{index}: unexpected `tool_use_id` found in `tool_result` blocks: "
                f"{', '.join(sorted(results - waiting))}.",
            )
        waiting = {str(block.get("id")) for block in blocks if block["type"] == "tool_use"}


def _check_thinking(body: dict[str, Any], model: str) -> None:
    thinking = obj(body.get("thinking"))
    kind = thinking.get("type")
    if kind == "enabled":
        if version(model) >= (4, 7):
            raise Refusal(400, f"thinking.type: 'enabled' is not supported by {model}; use 'adaptive'")
        budget = thinking.get("budget_tokens")
        if type(budget) is not int or budget < 1024:
            raise Refusal(
                400, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024"
            )
        if budget >= body["max_tokens"]:
            raise Refusal(400, "`max_tokens` must be greater than `thinking.budget_tokens`")
    if kind == "disabled" and ("fable" in model or "mythos" in model):
        raise Refusal(400, f"thinking.type: 'disabled' is not supported by {model}")
    if kind == "enabled" and obj(body.get("tool_choice")).get("type") in ("any", "tool"):
        raise Refusal(400, "Thinking may not be enabled when tool_choice forces tool use.")


def _check_sampling(body: dict[str, Any], model: str) -> None:
    if version(model) < (4, 7):
        return
    for name, default in (("temperature", 1), ("top_p", None), ("top_k", None)):
        value = body.get(name)
        if value is not None and value != default:
            raise Refusal(400, f"{name}: {model} accepts only the default value")


def _check_warming(body: dict[str, Any]) -> None:
    """max_tokens: 0 warms the cache and says nothing; what asks for an answer contradicts it."""
    forced = obj(body.get("tool_choice")).get("type") in ("any", "tool")
    thinks = obj(body.get("thinking")).get("type") in ("enabled", "adaptive")
    formatted = obj(body.get("output_config")).get("format") is not None
    if body.get("stream") or forced or thinks or formatted:
        raise Refusal(
            400, "max_tokens: 0 cannot be used with stream, thinking, output_config.format or a forced tool"
        )
