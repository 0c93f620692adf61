"""Short ways to write the bodies and prompts of these tests."""

from __future__ import annotations

from typing import Any

from asynccache.simulator.anthropic_prompt import anthropic_prompt
from asynccache.simulator.cache import PrefixCache
from asynccache.simulator.deepseek_wire import deepseek_prompt
from asynccache.simulator.openai_request import openai_prompt
from asynccache.simulator.prompt import Prompt
from asynccache.simulator.rules import CacheRule, anthropic_rule, deepseek_rule, openai_rule
from asynccache.simulator.verdict import Verdict

LONG = "All work and no play makes a long prompt. " * 400  # some 4200 tokens by the estimate
OTHER = "Quite another beginning, of about the same length. " * 330
EPHEMERAL = {"type": "ephemeral"}
HOUR = {"type": "ephemeral", "ttl": "1h"}


def text(words: str, mark: dict[str, Any] | None = None) -> dict[str, Any]:
    """An Anthropic text block."""
    return {"type": "text", "text": words, **({"cache_control": mark} if mark else {})}


def part(words: str, *, marked: bool = False, ttl: str | None = None) -> dict[str, Any]:
    """An OpenAI text part."""
    mark = {"mode": "explicit", **({"ttl": ttl} if ttl else {})}
    return {"type": "text", "text": words, **({"prompt_cache_breakpoint": mark} if marked else {})}


def claude(*messages: Any, model: str = "claude-sonnet-4-6", **more: Any) -> dict[str, Any]:
    """An Anthropic body; strings and lists are taken as user and assistant turns by turns."""
    roles = ("user", "assistant")
    turns = [{"role": roles[index % 2], "content": said} for index, said in enumerate(messages)]
    return {"model": model, "max_tokens": 100, "messages": turns, **more}


def chat(
    *messages: str | list[Any], model: str, system: str | list[Any] | None = None, **more: Any
) -> dict[str, Any]:
    """An OpenAI-shaped body."""
    roles = ("user", "assistant")
    turns = [{"role": roles[index % 2], "content": said} for index, said in enumerate(messages)]
    head = [] if system is None else [{"role": "system", "content": system}]
    return {"model": model, "messages": head + turns, **more}


class Provider:
    """One cache, asked with bodies."""

    def __init__(self) -> None:
        self.cache = PrefixCache()
        self.now = 1000.0

    def ask(self, body: dict[str, Any], key: str = "key") -> Verdict:
        """The verdict on a request that is then answered."""
        verdict = self.start(body, key)
        self.cache.begin(verdict)
        return verdict

    def start(self, body: dict[str, Any], key: str = "key") -> Verdict:
        """The verdict on a request whose answer has not begun."""
        prompt, rule = understood(body, key)
        return self.cache.ask(prompt, rule, self.now)


def understood(body: dict[str, Any], key: str) -> tuple[Prompt, CacheRule]:
    """The prompt and the rule for a body, by its model."""
    model = body["model"]
    if model.startswith("claude"):
        return anthropic_prompt(body, key), anthropic_rule(model)
    if model.startswith("deepseek"):
        return deepseek_prompt(body, key), deepseek_rule(model)
    return openai_prompt(body, key), openai_rule(model)
