"""Runs inside a client's own interpreter: a case on each line of stdin, what came of it as JSON on stdout.

Needs nothing but the client that its first argument names.
"""

from __future__ import annotations

import asyncio
import gc
import importlib.metadata
import json
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

_MOST = 3 << 30
"""Bytes that a client may take before it is refused more: the machine is not its alone."""
MODELS = {"openai": "gpt-4o", "anthropic": "claude-sonnet-4-5"}


class Seen:
    """What a caller who looks at everything has seen of a call."""

    def __init__(self) -> None:
        self.text = ""
        self.usage: dict[str, Any] | None = None
        self.waited = 0.0
        """Seconds that were spent on looking."""

    def counts(self, prompt: Any, completion: Any) -> None:
        """The counts told last; None leaves what was told before."""
        known = self.usage or {"prompt": None, "completion": None}
        given = {"prompt": prompt, "completion": completion}
        self.usage = {name: known[name] if given[name] is None else given[name] for name in known}

    def chunk(self, chunk: Any) -> None:
        """A chunk in OpenAI's shape."""
        for choice in chunk.choices or ():
            self.text += getattr(choice.delta, "content", None) or ""
        usage = getattr(chunk, "usage", None)
        if usage is not None:
            self.counts(usage.prompt_tokens, usage.completion_tokens)


def messages() -> list[dict[str, str]]:
    return [{"role": "user", "content": "The prompt of the house"}]


async def ask_openai(case: dict[str, Any], seen: Seen) -> None:
    import openai

    client = openai.AsyncOpenAI(
        api_key=case["key"], base_url=case["base"], timeout=case["timeout"], max_retries=case["retries"]
    )
    stream = await client.chat.completions.create(
        model=MODELS["openai"], messages=messages(), stream=True, extra_headers=case["headers"],
        stream_options={"include_usage": True},
    )  # fmt: skip
    async for chunk in stream:
        seen.chunk(chunk)


async def ask_anthropic(case: dict[str, Any], seen: Seen) -> None:
    import anthropic

    client = anthropic.AsyncAnthropic(
        api_key=case["key"], base_url=case["base"], timeout=case["timeout"], max_retries=case["retries"]
    )
    async with client.messages.stream(
        model=MODELS["anthropic"], max_tokens=500, messages=messages(), extra_headers=case["headers"]
    ) as stream:
        async for event in stream:
            if event.type == "text":
                seen.text += event.text
            elif event.type == "message_start":
                seen.counts(event.message.usage.input_tokens, None)
            elif event.type == "message_delta":
                seen.counts(event.usage.input_tokens, event.usage.output_tokens)
        await stream.get_final_message()


async def ask_litellm(case: dict[str, Any], seen: Seen) -> None:
    import litellm
    from litellm.integrations.custom_logger import CustomLogger

    logged: list[dict[str, Any]] = []

    class Logger(CustomLogger):  # type: ignore[misc] - LiteLLM is not here where types are checked
        async def async_log_success_event(self, kwargs: Any, response_obj: Any, *_: Any) -> None:
            logged.append(kwargs.get("standard_logging_object") or {})

        async def async_log_failure_event(self, kwargs: Any, response_obj: Any, *_: Any) -> None:
            logged.append(kwargs.get("standard_logging_object") or {})

    litellm.callbacks = [Logger()]
    try:
        await _stream_litellm(case, seen)
    except Exception:
        for _ in range(20):  # its callbacks come later
            if not logged:
                await asyncio.sleep(0.05)
                seen.waited += 0.05
        for one in logged:
            if one.get("completion_tokens"):
                seen.counts(one.get("prompt_tokens"), one["completion_tokens"])
        raise


async def _stream_litellm(case: dict[str, Any], seen: Seen) -> None:
    import litellm

    litellm.suppress_debug_info = True
    litellm.telemetry = False
    stream = await litellm.acompletion(
        model=f"{case['wire']}/{MODELS[case['wire']]}", messages=messages(), stream=True, max_tokens=500,
        api_key=case["key"], api_base=case["base"], timeout=case["timeout"], num_retries=case["retries"],
        extra_headers=case["headers"], stream_options={"include_usage": True},
    )  # fmt: skip
    async for chunk in stream:
        seen.chunk(chunk)


async def ask_asynccache(case: dict[str, Any], seen: Seen) -> None:
    from asynccache import AsyncCacheError, Client

    async with Client(timeout=case["timeout"], max_retries=case["retries"]) as client:
        try:
            stream = await client.acompletion(
                f"{case['wire']}/{MODELS[case['wire']]}", messages(), stream=True, max_tokens=500,
                api_key=case["key"], api_base=case["base"], extra_headers=case["headers"],
            )  # fmt: skip
            async with stream:
                async for chunk in stream:
                    seen.text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
            usage = stream.usage
        except AsyncCacheError as error:
            usage = error.usage
            raise
        finally:
            if usage is not None and usage.source in {"provider", "partial"}:
                seen.counts(usage.prompt_tokens, usage.completion_tokens)


CLIENTS: dict[str, tuple[Callable[[dict[str, Any], Seen], Awaitable[None]], tuple[str, ...]]] = {
    "openai": (ask_openai, ("openai",)),
    "anthropic": (ask_anthropic, ("anthropic",)),
    "litellm": (ask_litellm, ("litellm", "openai")),
    "asynccache": (ask_asynccache, ("asynccache",)),
}


def is_own(error: BaseException, modules: tuple[str, ...]) -> bool:
    """Whether a caller who catches the client's own errors catches it."""
    return any(base.__module__.partition(".")[0] in modules for base in type(error).__mro__)


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def answered(name: str, case: dict[str, Any]) -> dict[str, Any]:
    ask, modules = CLIENTS[name]
    seen, error = Seen(), None
    gc.collect()
    before, began = megabytes(), time.monotonic()
    try:
        await ask(case, seen)
    except Exception as caught:
        error = caught
    took = time.monotonic() - began - seen.waited
    told = None if error is None else {"type": type(error).__name__, "own": is_own(error, modules)}
    shown = "" if error is None else f"{error!r} {error!s} {getattr(error, 'body', '')}"
    return {
        "text": seen.text, "usage": seen.usage, "error": told, "took": round(took, 2),
        "tells_key": case["key"] in shown, "memory": round(megabytes() - before, 1),
    }  # fmt: skip


def main() -> None:
    name = sys.argv[1]
    resource.setrlimit(resource.RLIMIT_AS, (_MOST, _MOST))
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        version = ""
    sys.stdout.write(json.dumps({"client": name, "version": version}) + "\n")
    sys.stdout.flush()
    for line in sys.stdin:
        case = json.loads(line)
        outcome = asyncio.run(answered(name, case))
        sys.stdout.write(json.dumps(outcome) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
