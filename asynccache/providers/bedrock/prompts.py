"""Conversations as the one text that older families on InvokeModel were trained on: a function for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from asynccache.errors import InvalidRequestError
from asynccache.request import path_text
from asynccache.shapes import is_object

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from asynccache.providers.bedrock.content import Block

__all__ = ["PROMPTS", "Turn", "cohere_chat", "turn_of"]

Turn: TypeAlias = tuple[str, str]


def turn_of(message: Mapping[str, Any], index: int) -> Turn:
    """A message as who speaks and what; the families that take a prompt know text only."""
    role = str(message.get("role"))
    where = ("messages", index)
    if role in {"tool", "function"} or message.get("tool_calls"):
        msg = f"{path_text(where)}: this model knows no tools over InvokeModel; ask it as bedrock/converse/…"
        raise InvalidRequestError(msg, provider="bedrock")
    role = "system" if role == "developer" else role
    content = message.get("content")
    if content is None or isinstance(content, str):
        return role, content or ""
    texts: list[str] = []
    for number, part in enumerate(content):
        if not is_object(part) or not isinstance(part.get("text"), str):
            msg = f"{path_text((*where, 'content', number))}: this model takes text only over InvokeModel"
            raise InvalidRequestError(msg, provider="bedrock")
        texts.append(part["text"])
    return role, "\n".join(texts)


def _single(turns: list[Turn]) -> str | None:
    """The text of a lone user message: it goes as it is where a model was not trained on turns."""
    return turns[0][1] if len(turns) == 1 and turns[0][0] == "user" else None


def cohere_chat(turns: list[Turn]) -> Block:
    """https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-cohere-command-r-plus.html."""
    systems = [text for role, text in turns if role == "system"]
    *history, last = [turn for turn in turns if turn[0] != "system"] or [("user", "")]
    body: Block = {"message": last[1]}
    if history:
        body["chat_history"] = [
            {"role": "USER" if role == "user" else "CHATBOT", "message": text} for role, text in history
        ]
    if systems:
        body["preamble"] = "\n".join(systems)
    return body


def _deepseek(turns: list[Turn]) -> str:
    """https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-deepseek.html."""
    heads = {"user": _token("User"), "assistant": _token("Assistant")}
    ends = {"assistant": _token("end\u2581of\u2581sentence")}
    said = "".join(heads.get(role, "") + text + ends.get(role, "") for role, text in turns)
    begin = _token("begin\u2581of\u2581sentence")
    return f"{begin}{said}{heads['assistant']}<think>\n"


def _token(name: str) -> str:
    """A word of DeepSeek's that is a token of its own, in the wide bars that it is written with."""
    return f"<\uff5c{name}\uff5c>"


def _titan(turns: list[Turn]) -> str:
    """https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-text.html."""
    alone = _single(turns)
    if alone is not None:
        return alone
    said = [
        text if role == "system" else f"{'User' if role == 'user' else 'Bot'}: {text}" for role, text in turns
    ]
    return "\n".join([*said, "Bot:"])


def _llama2(turns: list[Turn]) -> str:
    """https://www.llama.com/docs/model-cards-and-prompt-formats/meta-llama-2."""
    return _in_brackets(turns, system=lambda text: f"<<SYS>>\n{text}\n<</SYS>>\n\n")


def _mistral(turns: list[Turn]) -> str:
    """https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-mistral-text-completion.html."""
    return _in_brackets(turns, system=lambda text: f"{text}\n\n")


def _in_brackets(turns: list[Turn], *, system: Callable[[str], str]) -> str:
    prompt, asked = "", ""
    for role, text in turns:
        if role == "assistant":
            prompt += f"<s>[INST] {asked} [/INST] {text}</s>"
            asked = ""
        else:
            asked += ("" if not asked or asked.endswith("\n\n") else "\n") + (
                system(text) if role == "system" else text
            )
    return prompt + (f"<s>[INST] {asked} [/INST]" if asked else "")


def _llama3(turns: list[Turn]) -> str:
    """https://www.llama.com/docs/model-cards-and-prompt-formats/meta-llama-3."""
    return _headed(
        turns, begin="<|begin_of_text|>", head="<|start_header_id|>{}<|end_header_id|>\n\n", end="<|eot_id|>"
    )


def _llama4(turns: list[Turn]) -> str:
    """https://www.llama.com/docs/model-cards-and-prompt-formats/llama4."""
    return _headed(
        turns, begin="<|begin_of_text|>", head="<|header_start|>{}<|header_end|>\n\n", end="<|eot|>"
    )


def _headed(turns: list[Turn], *, begin: str, head: str, end: str) -> str:
    return begin + "".join(head.format(role) + text + end for role, text in turns) + head.format("assistant")


PROMPTS: dict[str, Callable[[list[Turn]], str]] = {
    "command": _titan,
    "deepseek": _deepseek,
    "jurassic": _titan,
    "llama2": _llama2,
    "llama3": _llama3,
    "llama4": _llama4,
    "mistral": _mistral,
    "titan": _titan,
}
