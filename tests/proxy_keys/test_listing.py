"""What a key is told of: the models that it may ask for, and no others."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import openai
import pytest

from asynccache.proxy.virtual_keys import new_key
from asynccache.simulator import Simulator
from tests.proxy.serving import KEY, MODELS, serving, url

pytestmark = pytest.mark.anyio

MORE = """
- model_name: "wild/*"
  litellm_params: {model: "simulator/openai/*"}
- model_name: claude
  litellm_params: {model: simulator/anthropic/claude-haiku-4-5}
router_settings:
  model_group_alias: {nickname: gpt}
"""
NAMES = {
    "one": ["claude"],
    "wild": ["wild/gpt-4o", "nickname"],
    "gone": ["gpt-5-that-was", "deepseek"],
    "every": ["*"],
}


async def ask(session: aiohttp.ClientSession, address: str, key: str) -> Any:
    async with session.get(address, headers={"x-api-key": key}) as answer:
        return answer.status, await answer.json()


async def test_each_key_is_told_of_its_own_models(sim: Simulator) -> None:
    """Both lists, under every address, hold what the key may ask for; every name that is listed can be asked."""
    keys = {name: new_key() for name in NAMES}
    rows = [{"id": name, "key": keys[name], "models": models} for name, models in NAMES.items()]
    async with (
        serving(sim, MODELS + MORE, settings=json.dumps({"keys": rows})) as server,
        aiohttp.ClientSession() as session,
    ):
        everything = ["gpt", "claude", "deepseek", "bedrock", "invoke", "wild/*"]
        listed = {"one": ["claude"], "wild": NAMES["wild"], "gone": ["deepseek"], "every": everything}
        for name, key in {**keys, "master": KEY}.items():
            for path in ("/v1/models", "/models"):
                _, told = await ask(session, url(server, path), key)
                assert [row["id"] for row in told["data"]] == listed.get(name, everything)
        _, told = await ask(session, url(server, "/v1/models"), keys["one"])
        assert (told["first_id"], told["last_id"]) == ("claude", "claude")
        many = {"one": 2, "wild": 2, "gone": 1, "every": 7}
        for name, key in keys.items():
            for path in ("/v1/model/info", "/model/info"):
                _, told = await ask(session, url(server, path), key)
                assert len(told["data"]) == many[name]
        _, told = await ask(session, url(server, "/model/info"), keys["gone"])
        other = told["data"][0]["model_info"]["id"]
        status, _ = await ask(session, url(server, f"/model/info?litellm_model_id={other}"), keys["one"])
        assert status == 400
        status, told = await ask(session, url(server, f"/model/info?litellm_model_id={other}"), keys["gone"])
        assert (status, told["data"][0]["model_name"]) == (200, "deepseek")
        for name in ("one", "wild", "gone"):
            async with openai.AsyncOpenAI(
                api_key=keys[name], base_url=url(server, "/v1"), timeout=120.0
            ) as client:
                async for model in client.models.list():
                    reply = await client.chat.completions.create(
                        model=model.id, messages=[{"role": "user", "content": "hi"}]
                    )
                    assert reply.choices


async def test_without_keys_everybody_is_told_of_all(sim: Simulator) -> None:
    """Where no key is asked for, both lists are whole."""
    async with serving(sim, key=False) as server, aiohttp.ClientSession() as session:
        for path in ("/v1/models", "/v1/model/info"):
            status, told = await ask(session, url(server, path), "")
            assert (status, len(told["data"])) == (200, 5)
