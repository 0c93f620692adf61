"""The proxy tabs of the page that this project grew from: its configurations, its scripts, its curl."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from openai.types.completion_usage import CompletionUsage, PromptTokensDetails

from asynccache.simulator import Simulator
from asynccache.testing import environment as addresses
from asynccache.testing import simulator
from tests.cli.command import environment
from tests.proxy.process import running
from tests.shared import requires_shared, shared
from tests.test_seed_page import indented

pytestmark = requires_shared


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """A simulator in a thread of its own."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(simulator()) as running_one:
        yield running_one


def page() -> list[str]:
    return shared("seed", "prompt-caching.txt").read_text(encoding="utf-8").splitlines()


def configs() -> list[str]:
    """The page's configurations, with the indentation that it lost."""
    lines = page()
    found: list[str] = []
    for number, line in enumerate(lines):
        if line == "model_list:":
            _, name, params, model, key = lines[number : number + 5]
            found.append(f"model_list:\n  {name}\n    {params}\n      {model}\n      {key}\n")
    return found


def scripts() -> list[str]:
    """The page's programs for OpenAI's client, word for word."""
    lines = page()
    found: list[str] = []
    for number, line in enumerate(lines):
        if line == "from openai import OpenAI":
            code: list[str] = []
            for following in lines[number:]:
                if re.search("[\u4e00-\u9fff]", following):
                    break
                code.append(following)
            found.append(indented(code))
    return found


SLIP = 'assert "prompt_tokens_details" in response.usage'
"""Holds for LiteLLM's usage, which reads like a dict; never for OpenAI's, whatever a server answers."""


def test_the_slip_is_the_pages_own() -> None:
    """The one line of the page that is left out here is false for every usage object of OpenAI's SDK."""
    usage = CompletionUsage(
        prompt_tokens=2,
        completion_tokens=1,
        total_tokens=3,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=1),
    )
    assert usage.prompt_tokens_details
    assert "prompt_tokens_details" not in usage
    assert sum(script.count(SLIP) for script in scripts()) == 1


def run(script: str, base: str) -> str:
    """What the program prints, with the page's two placeholders filled in."""
    code = (
        script.replace(SLIP, "").replace("LITELLM_PROXY_KEY", "sk-1234").replace("LITELLM_PROXY_BASE", base)
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_has_what_is_tested() -> None:
    """Three configurations and three programs stand on the page."""
    assert len(configs()) == 3
    assert len(scripts()) == 3


def test_openai_tab(sim: Simulator, tmp_path: Path) -> None:
    """The first program's own assertion holds: its second call reads from the cache."""
    file = tmp_path / "config.yaml"
    file.write_text(configs()[0])
    with running(tmp_path, "--config", str(file), **addresses(sim)) as proxy:
        printed = run(scripts()[0], proxy.url)
    first, second = (
        record.usage["prompt_tokens_details"]["cached_tokens"] for record in sim.log if record.usage
    )
    assert first == 0
    assert f"cached_tokens={second}" in printed
    assert all(record.path == "/openai/v1/chat/completions" for record in sim.log)


def test_anthropic_tab(sim: Simulator, tmp_path: Path) -> None:
    """The second program's mark reaches Anthropic, and what was written is told."""
    file = tmp_path / "config.yaml"
    file.write_text(configs()[1])
    with running(tmp_path, "--config", str(file), **addresses(sim)) as proxy:
        printed = run(scripts()[1], proxy.url)
    [record] = sim.log
    assert record.body["system"][1]["cache_control"] == {"type": "ephemeral"}
    written = (record.usage or {})["cache_creation_input_tokens"]
    assert written > 1024
    assert f"cache_creation_input_tokens={written}" in printed


def test_cost_tab(sim: Simulator, tmp_path: Path) -> None:
    """The third program reads its cost from the header, with no configuration at all."""
    with running(tmp_path, **addresses(sim)) as proxy:
        printed = run(scripts()[2], proxy.url)
    usage = sim.log[-1].usage or {}
    millionths = usage["prompt_tokens"] * 0.5 + usage["completion_tokens"] * 1.5  # gpt-3.5-turbo
    assert float(printed.splitlines()[0]) == pytest.approx(millionths / 1e6)
    assert "ChatCompletion(" in printed


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_model_info_tab(sim: Simulator, tmp_path: Path) -> None:
    """The page's curl shows that the model supports prompt caching."""
    file = tmp_path / "config.yaml"
    file.write_text(configs()[2])
    text = "\n".join(page())
    command = re.search(r"curl -L -X GET '(http://0\.0\.0\.0:4000)(/v1/model/info)' \\\n-H '([^']*)'", text)
    assert command is not None
    with running(tmp_path, "--config", str(file), **addresses(sim)) as proxy:
        arguments = ["curl", "-sS", "-L", "-X", "GET", proxy.url + command[2], "-H", command[3]]
        done = subprocess.run(arguments, capture_output=True, check=True, timeout=60)
    [row] = json.loads(done.stdout)["data"]
    assert row["model_name"] == "claude-3-5-sonnet-20240620"
    assert row["litellm_params"] == {"model": "anthropic/claude-3-5-sonnet-20240620"}
    assert row["model_info"]["key"] == "claude-3-5-sonnet-20240620"
    assert row["model_info"]["supports_prompt_caching"] is True
    assert addresses(sim)["ANTHROPIC_API_KEY"].encode() not in done.stdout
