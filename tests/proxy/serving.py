"""A proxy in front of simulated providers, all in the test's own loop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import anthropic
import openai

from asynccache.proxy.config import parse_config
from asynccache.proxy.served import Served
from asynccache.proxy.server import Server
from asynccache.proxy.yaml_source import parse_yaml
from asynccache.simulator import Simulator
from asynccache.usage.ledger import Ledger

KEY = "sk-proxy-5f1c8a2be07d4963b1f0c7d2a9e84635"
MODELS = """
model_list:
- model_name: gpt
  litellm_params: {model: simulator/openai/gpt-4o}
- model_name: claude
  litellm_params: {model: simulator/anthropic/claude-sonnet-4-5}
- model_name: deepseek
  litellm_params: {model: simulator/deepseek/deepseek-v4-flash}
- model_name: bedrock
  litellm_params: {model: "simulator/bedrock/converse/anthropic.claude-sonnet-4-5-20250929-v1:0"}
- model_name: invoke
  litellm_params: {model: "simulator/bedrock/invoke/anthropic.claude-sonnet-4-5-20250929-v1:0"}
"""


def bases(sim: Simulator | None) -> dict[str, str]:
    """The simulated providers by name."""
    names = ("openai", "anthropic", "deepseek", "bedrock")
    return {} if sim is None else {name: getattr(sim, f"{name}_base") for name in names}


def served(
    sim: Simulator | None,
    text: str = MODELS,
    *,
    settings: str = "",
    environment: Mapping[str, str] | None = None,
    ledger: Ledger | None = None,
    key: bool = True,
) -> Served:
    """What *text* asks for, behind the key of the tests."""
    known = {"ASYNCCACHE_MASTER_KEY": KEY} if key else {}
    if settings:
        text += f"\nasynccache_settings: {settings}\n"
    source = parse_yaml(text.encode(), "config.yaml", {**known, **(environment or {})})
    return Served(parse_config(source, known), simulators=bases(sim), ledger=ledger)


@asynccontextmanager
async def serving(sim: Simulator | None, text: str = MODELS, **options: Any) -> AsyncIterator[Server]:
    """A running proxy."""
    async with await Server(served(sim, text, **options)).start(port=0) as server:
        yield server


def url(server: Server, path: str = "") -> str:
    return f"http://127.0.0.1:{server.port}{path}"


def ai(server: Server, key: str = KEY, *, base: str = "/v1") -> openai.AsyncOpenAI:
    """OpenAI's own client, unchanged, but that it waits more than 5 seconds for a connection."""
    return openai.AsyncOpenAI(api_key=key, base_url=url(server, base), max_retries=0, timeout=120.0)


def claude(server: Server, key: str = KEY) -> anthropic.AsyncAnthropic:
    """Anthropic's own client, unchanged, but that it waits more than 5 seconds for a connection."""
    return anthropic.AsyncAnthropic(api_key=key, base_url=url(server), max_retries=0, timeout=120.0)


def scenario(text: str, provider: str = "openai", model: str = "gpt-4o") -> str:
    """A configuration whose one model, `m`, behaves as *text* says."""
    return f"""
model_list:
- model_name: m
  litellm_params:
    model: simulator/{provider}/{model}
    extra_headers: {{x-simulator: '{text}'}}
"""
