"""What is served, asked by both SDKs: all names, one name, a name that nobody serves."""

from __future__ import annotations

from typing import Any

import aiohttp
import anthropic
import openai
import pytest

from asynccache.simulator import Simulator

from .serving import KEY, ai, claude, serving, url

pytestmark = pytest.mark.anyio

MODELS = """
model_list:
- {model_name: gpt, litellm_params: {model: simulator/openai/gpt-4o}}
- {model_name: team/claude, litellm_params: {model: simulator/anthropic/claude-sonnet-4-5}}
- {model_name: anthropic/*, litellm_params: {model: simulator/anthropic/*}}
router_settings: {model_group_alias: {fast: gpt}}
"""


@pytest.mark.parametrize("name", ["gpt", "team/claude", "anthropic/claude-opus-4-8", "fast", "anthropic/*"])
async def test_one_model(name: str, sim: Simulator) -> None:
    """Both SDKs retrieve a name as it is listed or asked for, slashes, aliases and wildcards included."""
    async with serving(sim, MODELS) as proxy, ai(proxy) as theirs, claude(proxy) as other:
        by_openai = await theirs.models.retrieve(name)
        by_anthropic = await other.models.retrieve(name)
    assert (by_openai.id, by_openai.object) == (name, "model")
    assert by_openai.owned_by == ("anthropic" if "claude" in name or "*" in name else "openai")
    assert (by_anthropic.id, by_anthropic.type, by_anthropic.display_name) == (name, "model", name)
    assert by_anthropic.created_at.year > 2020


async def test_all_models(sim: Simulator) -> None:
    """Both SDKs list the names, in the configuration's order, and come to the list's end."""
    async with serving(sim, MODELS) as proxy, ai(proxy) as theirs, claude(proxy) as other:
        names = [model.id async for model in theirs.models.list()]
        again = [model.id async for model in other.models.list(limit=2)]
    assert names == again == ["gpt", "team/claude", "anthropic/*"]


async def test_a_model_that_nobody_serves(sim: Simulator) -> None:
    """It is the SDK's own class of error, and the words say where names are listed."""
    async with serving(sim, MODELS) as proxy, ai(proxy) as theirs, claude(proxy) as other:
        with pytest.raises(openai.NotFoundError, match="GET /v1/models lists"):
            await theirs.models.retrieve("gpt-9")
        with pytest.raises(anthropic.NotFoundError, match="GET /v1/models lists"):
            await other.models.retrieve("gpt-9")


async def test_addresses_beside_it(sim: Simulator) -> None:
    """Another method is a 405; no name, or a deeper folder, is a 404; without the key it is a 401."""
    asked: Any = [
        ("DELETE", "/v1/models/gpt", 405),
        ("GET", "/v1/models/", 404),
        ("GET", "/v2/models/gpt", 404),
        ("GET", "/models/gpt?x=1", 200),
        ("GET", "/v1/models/team%2Fclaude", 200),
    ]
    async with serving(sim, MODELS) as proxy, aiohttp.ClientSession(headers={"x-api-key": KEY}) as session:
        for method, path, status in asked:
            assert (path, (await session.request(method, url(proxy, path))).status) == (path, status)
        stranger = await session.get(url(proxy, "/v1/models/gpt"), headers={"x-api-key": "no"})
    assert stranger.status == 401
