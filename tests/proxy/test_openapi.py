"""The proxy keeps to its own OpenAPI document, whatever schemathesis makes of it; and says no secret while it does.

``ASYNCCACHE_EXAMPLES=2000 pytest tests/proxy/test_openapi.py --timeout=0`` is the long run.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, settings

from asynccache.proxy.openapi import document
from asynccache.proxy.routes import ROUTES
from asynccache.simulator import Record, Simulator

from .serving import KEY, serving, url

schemathesis = pytest.importorskip("schemathesis")
from schemathesis.checks import not_a_server_error  # noqa: E402
from schemathesis.specs.openapi.checks import (  # noqa: E402
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

EXAMPLES = int(os.environ.get("ASYNCCACHE_EXAMPLES", "15"))
UPSTREAM_KEY = "sk-upstream-canary-5c1d"
MODELS = ("gpt", "claude", "deepseek", "bedrock")
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

schema = schemathesis.openapi.from_dict(json.loads(document(ROUTES)))
generated = settings(
    max_examples=EXAMPLES, deadline=None, derandomize=EXAMPLES <= 15, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


class Proxy(NamedTuple):
    """What runs in a thread of its own."""

    url: str
    sim: Simulator


def config_of(sim: Simulator) -> str:
    bases = {"gpt": "openai", "claude": "anthropic", "deepseek": "deepseek"}
    rows = "".join(
        f"- model_name: {name}\n  litellm_params: {{model: {provider}/{name}-m, api_key: {UPSTREAM_KEY}, "
        f"api_base: '{getattr(sim, f'{provider}_base')}'}}\n"
        for name, provider in bases.items()
    )
    model = "simulator/bedrock/converse/anthropic.claude-sonnet-4-5-20250929-v1:0"
    return f"model_list:\n{rows}- model_name: bedrock\n  litellm_params: {{model: '{model}'}}\n"


@pytest.fixture(scope="module")
def proxy() -> Iterator[Proxy]:
    """A proxy in front of simulated providers, for callers who wait."""
    runs: list[Proxy] = []
    began, ends = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        async with Simulator() as sim, serving(sim, config_of(sim)) as server:
            runs.append(Proxy(url(server), sim))
            loops.append(asyncio.get_running_loop())
            began.set()
            await ends.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert began.wait(60)
    yield runs[0]
    loops[0].call_soon_threadsafe(ends.set)
    thread.join(60)


def with_known_model(case: Any) -> None:
    """Most requests name a model that is served, or none of them would come far."""
    if type(case.body) is dict and type(case.body.get("model")) is str:
        case.body["model"] = MODELS[len(json.dumps(case.body, default=str)) % len(MODELS)]


def call(case: Any, proxy: Proxy, key: str) -> tuple[Any, list[Record]]:
    """The answer, checked, and what was asked upstream for it."""
    before = len(proxy.sim.log)
    response = case.call(
        base_url=proxy.url, headers={"authorization": f"Bearer {key}", "x-api-key": key}, timeout=60
    )
    case.validate_response(response, checks=CHECKS)
    shown = f"{response.headers} {response.content.decode('utf-8', 'replace')}"
    assert UPSTREAM_KEY not in shown
    assert KEY not in shown
    return response, proxy.sim.log[before:]


@schema.parametrize()
@generated
def test_the_document_is_kept(case: Any, proxy: Proxy) -> None:
    """No 500, no status, media type or shape beyond the document; what the proxy refuses is not asked upstream."""
    with_known_model(case)
    response, asked = call(case, proxy, KEY)
    if 400 <= response.status_code < 500:
        assert all((record.status or 0) >= 400 for record in asked), "refused after the provider had answered"


@schema.parametrize()
@settings(generated, phases=[Phase.generate])
def test_without_a_key(case: Any, proxy: Proxy) -> None:
    """Nothing is asked upstream, whatever the request; every address but those that are open answers 401."""
    response, asked = call(case, proxy, "sk-wrong")
    assert not asked
    assert response.status_code in (
        {200} if (case.method, case.path) == ("GET", "/healthz") else {400, 401, 403, 405}
    )
