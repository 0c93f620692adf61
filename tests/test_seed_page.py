"""The page on prompt caching that this project grew from: its SDK examples run with `asynccache` for `litellm`."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from anyio.from_thread import start_blocking_portal

from asynccache.simulator import Simulator
from asynccache.testing import environment, simulator
from tests.cli.command import environment as clean_environment
from tests.shared import requires_shared, shared

OPENAI = """
from asynccache import completion
import os

os.environ["OPENAI_API_KEY"] = ""

for _ in range(2):
    response = completion(
        model="gpt-4o",
        messages=[
            {"role": "system", "content": [{"type": "text", "text": "Every clause of a long contract. " * 400}]},
            {"role": "user", "content": [{"type": "text", "text": "Which clauses are new?"}]},
            {"role": "assistant", "content": "The third and the ninth."},
            {"role": "user", "content": [{"type": "text", "text": "And which are gone?"}]},
        ],
        temperature=0.2,
        max_tokens=10,
    )

print("response=", response)
print("response.usage=", response.usage)
assert "prompt_tokens_details" in response.usage
assert response.usage.prompt_tokens_details.cached_tokens > 0
"""

ANTHROPIC = """
from asynccache import completion, completion_cost
import asynccache
import os

asynccache.set_verbose = True
os.environ["ANTHROPIC_API_KEY"] = ""
model = "anthropic/claude-3-5-sonnet-20240620"
response = completion(
    model=model,
    messages=[
        {
            "role": "system",
            "content": [
                {"type": "text", "text": "You read contracts."},
                {
                    "type": "text",
                    "text": "Every clause of a long contract. " * 400,
                    "cache_control": {"type": "ephemeral"},
                },
            ],
        },
        {"role": "user", "content": "Which clauses are new?"},
    ],
)
print(response.usage)
cost = completion_cost(completion_response=response, model=model)
print(f"${float(cost):.10f}")
"""

DEEPSEEK = """
from asynccache import completion
import asynccache
import os

os.environ["DEEPSEEK_API_KEY"] = ""
asynccache.set_verbose = True
history = [{"role": "system", "content": "You answer in one word. " * 100}]
for year in range(1900, 1905):
    history += [{"role": "user", "content": f"What happened in {year}?"}, {"role": "assistant", "content": "Much."}]
response_1 = asynccache.completion(
    model="deepseek/deepseek-chat", messages=[*history, {"role": "user", "content": "And in 1905?"}]
)
response_2 = asynccache.completion(
    model="deepseek/deepseek-chat", messages=[*history, {"role": "user", "content": "And in 1906?"}]
)
print(response_2.usage)
"""

SUPPORT = """
from asynccache import supports_prompt_caching

supports_pc: bool = supports_prompt_caching(model="anthropic/claude-3-5-sonnet-20240620")
assert supports_pc
"""

OURS = {"OpenAI": OPENAI, "Anthropic and cost": ANTHROPIC, "DeepSeek": DEEPSEEK, "model support": SUPPORT}
PAGE = ("OpenAI", "Anthropic", "DeepSeek", "cost", "model support")
"""The examples of the page for the SDK, in its order; those for the proxy begin with another import."""


def page_examples() -> list[str]:
    """The code of the page's SDK examples, word for word, with the indentation that the page lost."""
    lines = shared("seed", "prompt-caching.txt").read_text(encoding="utf-8").splitlines()
    found: list[str] = []
    for number, line in enumerate(lines):
        if line.startswith("from litellm"):
            code: list[str] = []
            for following in lines[number:]:
                if following.startswith("- ") or re.search("[\u4e00-\u9fff]", following):
                    break
                code.append(following)
            found.append(indented(code))
    return found


def indented(code: list[str]) -> str:
    """*code* with the first statement after each ``for`` as its body; within brackets nothing is needed."""
    lines: list[str] = []
    depth, inside = 0, False
    for line in code:
        lines.append(f"    {line}" if inside else line)
        plain = re.sub(r'"[^"]*"|#.*', "", line)
        depth += sum(plain.count(mark) for mark in "([{") - sum(plain.count(mark) for mark in ")]}")
        inside = plain.startswith("for ") or (inside and depth > 0)
    return "\n".join(lines)


def for_asynccache(code: str) -> str:
    """*code* with `asynccache` where it says `litellm`."""
    return code.replace("litellm.utils", "asynccache").replace("litellm", "asynccache")


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """A simulator with an empty cache, in a thread of its own."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(simulator()) as running:
        yield running


def run(code: str, sim: Simulator) -> tuple[str, str]:
    """What *code* prints and logs, run with the simulator's addresses and without a key; warnings are errors."""
    addresses = {name: value for name, value in environment(sim).items() if not name.endswith("_KEY")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env=clean_environment(**addresses),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    return done.stdout, done.stderr


def check_openai(printed: str, sim: Simulator) -> None:
    """The first call misses, the second one hits."""
    first, second = (
        record.usage["prompt_tokens_details"]["cached_tokens"] for record in sim.log if record.usage
    )
    assert first == 0
    assert second > 1024
    assert f"cached_tokens={second}" in printed


def check_anthropic(printed: str, sim: Simulator) -> None:
    """The marked text is written to the cache, and the usage says so."""
    (record,) = sim.log
    written = (record.usage or {})["cache_creation_input_tokens"]
    assert written > 1024
    assert f"cache_creation_input_tokens={written}" in printed


def check_deepseek(printed: str, sim: Simulator) -> None:
    """Both conversations are answered; the usage has the same keys as everywhere."""
    assert [record.finished for record in sim.log] == [True, True]
    assert "cached_tokens=" in printed


@pytest.mark.parametrize("name", OURS)
def test_examples_like_those_of_the_page(name: str, sim: Simulator) -> None:
    """Examples in the manner of the page run, and tell what the simulator truly did."""
    printed, logged = run(OURS[name], sim)
    if name == "OpenAI":
        check_openai(printed, sim)
    elif name == "Anthropic and cost":
        check_anthropic(printed, sim)
        check_cost(printed, sim)
        check_raw_request(logged, sim)
    elif name == "DeepSeek":
        check_deepseek(printed, sim)
        check_raw_request(logged, sim)


def check_cost(printed: str, sim: Simulator) -> None:
    """The last line is the cost: Claude 3.5 Sonnet's $3 a million in, a quarter more for writing, $15 out."""
    usage = sim.log[-1].usage or {}
    millionths = (
        usage["input_tokens"] * 3 + usage["cache_creation_input_tokens"] * 3.75 + usage["output_tokens"] * 15
    )
    assert printed.splitlines()[-1] == f"${millionths / 1e6:.10f}"


def check_raw_request(logged: str, sim: Simulator) -> None:
    """`set_verbose` shows where each request went and what was in it, without its key."""
    assert logged.count("POST http://127.0.0.1:") == len(sim.log)
    assert '"model":' in logged
    assert "Bearer" not in logged


@requires_shared
@pytest.mark.parametrize("name", PAGE)
def test_the_page_itself(name: str, sim: Simulator) -> None:
    """The page's own example runs as it stands, its assertions included."""
    examples = page_examples()
    assert len(examples) == len(PAGE)
    printed, logged = run(for_asynccache(examples[PAGE.index(name)]), sim)
    if name == "OpenAI":
        check_openai(printed, sim)
    elif name in {"Anthropic", "cost"}:
        check_anthropic(printed, sim)
        check_raw_request(logged, sim)
    elif name == "DeepSeek":
        check_deepseek(printed, sim)
        check_raw_request(logged, sim)
    if name == "cost":
        check_cost(printed, sim)
