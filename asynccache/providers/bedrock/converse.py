"""A request in OpenAI's terms → the body of Converse, cache marks as `cachePoint` blocks.

How what Converse cannot say is handled:

* A `cachePoint` is a block of its own: it stands after the block that is marked, after a whole `toolResult`
  and never inside it. Bedrock refuses one directly after a document, a video or reasoning, and one with nothing
  of its message before it: there it stands before them, or is left out (strands-agents/harness-sdk#1966, #3677,
  pydantic/pydantic-ai#4207, 0xPlaygrounds/rig#1673).
* Converse has no `tool_choice="none"`. Without tool calls in the history no tools are sent; with some, Bedrock
  refuses a request without tools, so they are sent and the choice is left to the model.
* For the same reason a history with tool calls but no tools of the request's gets those that it called, by name.
* User and assistant must take turns: messages in a row with one role become one, tool results first.
* Signed thoughts are Claude's, and Claude alone takes them back: other models, as those that a conversation falls
  back to, refuse them (earendil-works/pi#686), so for these they are left out.
* Bedrock refuses blank text: blank parts are left out, as are assistant messages that hold nothing else.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any, final

import orjson

from asynccache.errors import InvalidRequestError
from asynccache.providers.bedrock.content import Block, content_blocks, reasoning_blocks
from asynccache.providers.bedrock.models import cache_rules
from asynccache.request import path_text
from asynccache.shapes import is_array, is_object

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynccache.providers.bedrock.models import BedrockModel
    from asynccache.request import Path, Request

__all__ = ["conversation", "takes_tool_choice", "tool_config", "tool_id"]

_TOOL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9_-]")


def conversation(request: Request, model: BedrockModel) -> tuple[list[Block], list[Block]]:
    """The system blocks and the messages, the request's marks among them.

    Raises:
        InvalidRequestError: a message that Converse cannot say; the message names its path.
    """
    built = _Conversation(
        _Marks(request, model),
        mid_system=cache_rules(model).mid_system,
        thoughts=model.is_claude or not model.vendor,  # an ARN may hide a Claude
    )
    for index, message in enumerate(request.messages):
        built.add(message, ("messages", index))
    if not built.messages and "promptVariables" not in request.params:
        raise InvalidRequestError(
            "messages holds nothing but system messages or blank ones; Bedrock wants a user message"
        )
    return built.system, built.messages


@final
class _Marks:
    """The request's cache marks, as the checkpoints that stand behind what is marked."""

    def __init__(self, request: Request, model: BedrockModel) -> None:
        self._ttls = {mark.path: mark.ttl for mark in request.marks}
        self._tells_ttl = (
            "1h" in cache_rules(model).ttls
        )  # who knows one lifetime only knows no `ttl` field either

    def at(self, path: Path) -> list[Block]:
        """The checkpoint for what is at *path*, if it is marked."""
        if path not in self._ttls:
            return []
        ttl = self._ttls[path]
        point = {"type": "default"} if ttl is None or not self._tells_ttl else {"type": "default", "ttl": ttl}
        return [{"cachePoint": point}]

    def within(self, path: Path) -> list[Block]:
        """The checkpoint for a mark at *path* or inside of it."""
        marked = next((mark for mark in self._ttls if mark[: len(path)] == path), None)
        return [] if marked is None else self.at(marked)


@final
class _Conversation:
    """The messages so far."""

    def __init__(self, marks: _Marks, *, mid_system: bool, thoughts: bool) -> None:
        self.system: list[Block] = []
        self.messages: list[Block] = []
        self._marks = marks
        self._mid_system = mid_system
        self._thoughts = thoughts

    def add(self, message: Mapping[str, Any], path: Path) -> None:
        """Take the next message of the caller's."""
        role = message.get("role")
        if role in {"system", "developer"}:
            self._add_system(message, path)
        elif role == "user":
            blocks = self._said(message, path)
            if not blocks:
                raise InvalidRequestError(f"{path_text(path)} holds no text; Bedrock takes no blank messages")
            self._append("user", blocks)
        elif role == "assistant":
            self._append("assistant", self._assistant(message, path))
        elif role == "tool":
            self._append("user", self._tool_result(message, path))
        elif role == "function":
            raise InvalidRequestError(
                f"{path_text(path)}.role='function' has no place in Converse; use 'tool' with a tool_call_id"
            )
        else:
            raise InvalidRequestError(
                f"{path_text(path)}.role is {role!r}; it is one of system, developer, user, assistant, tool"
            )

    def _said(self, message: Mapping[str, Any], path: Path) -> list[Block]:
        """A message's content, with the checkpoints of its parts and of its whole."""
        made: list[Block] = []
        for where, block in content_blocks(message.get("content"), path):
            made.append(block)
            _place(made, self._marks.at(where))
        _place(made, self._marks.at(path))
        return made

    def _append(self, role: str, blocks: list[Block]) -> None:
        if not blocks:
            return
        last = self.messages[-1] if self.messages else None
        if last is not None and last["role"] == role:
            last["content"] += blocks
        else:
            self.messages.append({"role": role, "content": blocks})

    def _add_system(self, message: Mapping[str, Any], path: Path) -> None:
        blocks = self._said(message, path)
        if not self.messages:
            self.system += blocks
        else:
            self._append("system" if self._mid_system else "user", blocks)

    def _assistant(self, message: Mapping[str, Any], path: Path) -> list[Block]:
        own = message.get("provider_blocks")
        if is_array(own) and own and all(is_object(block) and "type" not in block for block in own):
            # an answer of Converse's, as it came
            blocks = self._without_thoughts([block for block in own if _may_return(block)])
            _place(blocks, self._marks.within(path))
            return blocks
        if message.get("function_call"):
            raise InvalidRequestError(
                f"{path_text(path)}.function_call has no place in Converse; use tool_calls"
            )
        said = self._said(message, path)
        if not said and message.get("refusal"):
            said = [{"text": message["refusal"]}]
        if not said and message.get("audio") and not message.get("tool_calls"):
            raise InvalidRequestError(
                f"{path_text(path)}.audio has no place in Converse; write its transcript as content"
            )
        blocks = self._without_thoughts(reasoning_blocks(message) + said)
        for number, call in enumerate(message.get("tool_calls") or ()):
            where = (*path, "tool_calls", number)
            blocks.append(_tool_use(call, where))
            blocks += self._marks.at(where)
        if not said:
            _place(blocks, self._marks.at(path))
        return blocks

    def _without_thoughts(self, blocks: list[Block]) -> list[Block]:
        if self._thoughts:
            return blocks
        return [block for block in blocks if "reasoningContent" not in block]

    def _tool_result(self, message: Mapping[str, Any], path: Path) -> list[Block]:
        content = [block for _, block in content_blocks(message.get("content"), path)]
        result: Block = {"toolUseId": tool_id(str(message.get("tool_call_id") or "")), "content": content}
        if message.get("is_error") or message.get("status") == "error":
            result["status"] = "error"
        return [{"toolResult": result}, *self._marks.within(path)]


def _may_return(block: Block) -> bool:
    """Reasoning without a signature is taken back by no model (langchain-ai/langchain-aws#401)."""
    spoken = block["reasoningContent"].get("reasoningText") if "reasoningContent" in block else None
    return spoken is None or bool(spoken.get("signature"))


_NO_CHECKPOINT_BEHIND = frozenset({"document", "video", "reasoningContent"})


def _place(blocks: list[Block], points: list[Block]) -> None:
    """Add the checkpoint at the end of *blocks*, or as near to it as Bedrock takes one."""
    at = len(blocks)
    while at and not _NO_CHECKPOINT_BEHIND.isdisjoint(blocks[at - 1]):
        at -= 1
    if at and "cachePoint" not in blocks[at - 1]:
        blocks[at:at] = points


def tool_config(request: Request, model: BedrockModel, messages: list[Block]) -> Block | None:
    """The tools with their marks, and the choice among them; None where there are none to send.

    Raises:
        InvalidRequestError: a tool that Converse cannot say.
    """
    choice = request.params.get("tool_choice")
    if not request.tools:
        return _called_tools(messages)
    if choice == "none" and not _has_tool_blocks(messages):
        return None
    marks = _Marks(request, model)
    tools: list[Block] = []
    for index, tool in enumerate(request.tools):
        path = ("tools", index)
        tools.append(_tool(tool, path))
        tools += marks.at(path)
    config: Block = {"tools": tools}
    chosen = _tool_choice(choice)
    if chosen is not None and model.vendor not in _NO_TOOL_CHOICE:
        config["toolChoice"] = chosen
    return config


# Vendors whose models refuse `toolChoice`, "auto" included.
_NO_TOOL_CHOICE = frozenset({"ai21", "cohere", "meta"})


def takes_tool_choice(model: BedrockModel, choice: Any) -> bool:
    """Whether *choice* can be sent to the model, or need not be."""
    return model.vendor not in _NO_TOOL_CHOICE or choice in (None, "auto", "none")


def _tool_choice(choice: Any) -> Block | None:
    if choice is None or choice == "none":
        return None
    if choice in ("auto", "required", "any"):
        return {"auto": {}} if choice == "auto" else {"any": {}}
    if is_object(choice):
        function = choice.get("function")
        name = function.get("name") if is_object(function) else choice.get("name")
        if isinstance(name, str) and name:
            return {"tool": {"name": name}}
        if choice.get("type") in {"auto", "any"}:
            return {str(choice["type"]): {}}
        if len(choice) == 1 and next(iter(choice)) in {"auto", "any", "tool"}:
            return dict(choice)
    raise InvalidRequestError(
        f"tool_choice is {choice!r}; it is 'auto', 'none', 'required' or {{'type': 'function', 'function': {{'name': …}}}}"
    )


def _tool(tool: Any, path: Path) -> Block:
    if not is_object(tool):
        raise InvalidRequestError(f"{path_text(path)} is {type(tool).__name__}; a tool is an object")
    if len(tool) == 1 and next(iter(tool)) in {"toolSpec", "systemTool", "cachePoint"}:
        return dict(tool)  # Converse's own, as it is
    function = tool.get("function")
    schema_of = "parameters"
    if not is_object(function) and "input_schema" in tool:
        function, schema_of = tool, "input_schema"  # Anthropic's spelling
    if not is_object(function) or not function.get("name"):
        raise InvalidRequestError(
            f"{path_text(path)}: Converse takes functions, not a tool of type {tool.get('type')!r}"
        )
    spec: Block = {"name": function["name"]}
    if str(function.get("description") or "").strip():
        spec["description"] = function["description"]
    spec["inputSchema"] = {"json": function.get(schema_of) or {"type": "object", "properties": {}}}
    if function.get("strict") is not None:
        spec["strict"] = function["strict"]
    return {"toolSpec": spec}


def _tool_use(call: Mapping[str, Any], path: Path) -> Block:
    function = call.get("function")
    if not is_object(function):
        raise InvalidRequestError(f"{path_text(path)}: Converse takes calls of functions only")
    use = {"toolUseId": tool_id(str(call.get("id") or "")), "name": function.get("name")}
    return {"toolUse": {**use, "input": _arguments(function.get("arguments"), path)}}


def _arguments(arguments: Any, path: Path) -> Any:
    """The arguments as an object; the model's own JSON text stays byte for byte, so that the prefix does."""
    if is_object(arguments):
        return arguments
    text = arguments if isinstance(arguments, str) else ""
    if not text.strip():
        return {}
    try:
        is_fine = is_object(orjson.loads(text))
    except orjson.JSONDecodeError:
        is_fine = False
    if not is_fine:
        raise InvalidRequestError(f"{path_text(path)}.function.arguments is no JSON object: {text[:80]!r}")
    return orjson.Fragment(text)


def tool_id(told: str) -> str:
    """*told* as Bedrock takes ids: at most 64 letters, digits, `_` and `-`; the same for the same, always."""
    if _TOOL_ID.fullmatch(told):
        return told
    short = hashlib.sha256(told.encode()).hexdigest()[:12]
    return f"{_NOT_IN_IDS.sub('_', told)[:51]}_{short}"


def _called_tools(messages: list[Block]) -> Block | None:
    """The tools that the history calls, by name alone: Bedrock takes no tool calls where no tools are told."""
    blocks = [block for message in messages for block in message["content"]]
    names = dict.fromkeys(block["toolUse"]["name"] for block in blocks if "toolUse" in block)
    tools = [{"toolSpec": {"name": name, "inputSchema": {"json": {"type": "object"}}}} for name in names]
    return {"tools": tools} if tools else None


def _has_tool_blocks(messages: list[Block]) -> bool:
    return any(
        "toolUse" in block or "toolResult" in block for message in messages for block in message["content"]
    )
