"""The README tells the truth: every snippet runs, and prints what it is said to print."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

import asynccache
from asynccache.cli.group import COMMANDS
from asynccache.providers.registry import names
from asynccache.simulator import Simulator
from asynccache.testing import environment, simulator
from tests.cli.command import ROOT
from tests.cli.command import environment as clean_environment

README = (ROOT / "README.md").read_text(encoding="utf-8")
LITELLM = (ROOT / "docs" / "litellm.md").read_text(encoding="utf-8")
SNIPPET = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SNIPPETS = SNIPPET.findall(README)

RUN = """
import ast, asyncio, inspect, sys
code = compile(sys.stdin.read(), "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
async def main():
    found = eval(code, {})
    if inspect.isawaitable(found):
        await found
if code.co_flags & inspect.CO_COROUTINE:
    asyncio.run(main())
else:
    eval(code, {"__name__": "__main__"})
"""
"""Runs a snippet as `python -m asyncio` does: `await` may stand at the top level."""


@pytest.fixture
def sim() -> Iterator[Simulator]:
    """A simulator with an empty cache, in a thread of its own."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(simulator()) as running:
        yield running


def run(snippet: str, sim: Simulator) -> str:
    """What a snippet prints; every warning is an error."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", RUN],
        input=snippet,
        env=clean_environment(**environment(sim)),
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def masked(chunk: dict[str, Any]) -> dict[str, Any]:
    """A chunk without what differs from run to run."""
    return {**chunk, "id": "", "created": 0}


def test_code_comes_early() -> None:
    """What it is comes in three lines, and code that runs begins by line 25."""
    lines = README.splitlines()
    assert lines.index("```python") < 25
    assert lines[0] == "# asynccache"
    assert [bool(line) for line in lines[1:6]] == [False, True, True, True, False]


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_every_snippet_runs(number: int, sim: Simulator) -> None:
    """A snippet runs as it stands, against the simulator, and prints something, if it prints at all."""
    printed = run(SNIPPETS[number], sim)
    assert bool(printed) == ("print(" in SNIPPETS[number])


@pytest.mark.parametrize("snippet", [*SNIPPETS[1:], *SNIPPET.findall(LITELLM)])
def test_a_snippet_may_be_pasted(snippet: str) -> None:
    """`python -m asyncio` ends a block at the first empty line, and only there."""
    lines = snippet.splitlines()
    statements = ast.parse("async def pasted():\n" + textwrap.indent(snippet, " ")).body[0]
    assert isinstance(statements, ast.AsyncFunctionDef)
    for statement in statements.body:
        if hasattr(statement, "body"):
            end = (statement.end_lineno or 0) - 1  # the line of the `async def` above is not in the snippet
            assert all(lines[statement.lineno - 2 : end]), (
                f"an empty line within {lines[statement.lineno - 2]!r}"
            )
            assert not any(lines[end : end + 1]), f"no empty line before {lines[end]!r}"


def test_the_usage_chunk_as_printed(sim: Simulator) -> None:
    """The chunk shown is the chunk that the first snippet prints, number by number."""
    (shown,) = re.findall(r"^```json\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    *_, saved, last = run(SNIPPETS[0], sim).splitlines()
    assert masked(json.loads(last)) == masked(json.loads(shown))
    assert re.fullmatch(r"cost \$0\.\d+, saved \$0\.\d+", saved)


def test_the_custom_stage(sim: Simulator) -> None:
    """The stage of six lines does what its name says, and stands in the picture of the pipeline."""
    (snippet,) = (snippet for snippet in SNIPPETS if "class Shout" in snippet)
    stage = snippet[snippet.index("class Shout") : snippet.index("async with")].split("\n")
    assert len([line for line in stage if line]) == 6
    answer, request, _ = run(snippet, sim).splitlines()
    assert answer == answer.upper()
    assert "caller ──► shout ──► retry" in request


def test_the_cache_report(sim: Simulator) -> None:
    """The report tells of every provider what became of the mark, with a reason where it was dropped."""
    (snippet,) = (snippet for snippet in SNIPPETS if "cache_report" in snippet)
    anthropic, openai, deepseek = run(snippet, sim).splitlines()
    assert anthropic.startswith("anthropic/claude-sonnet-5-5 messages[0] sent")
    assert openai.startswith("openai/gpt-6.2-sol messages[0] sent")
    assert re.match(r"deepseek/deepseek-flash messages\[0\] dropped \S", deepseek)


def test_the_errors(sim: Simulator) -> None:
    """The error of the snippet is the provider's, with its status."""
    (snippet,) = (snippet for snippet in SNIPPETS if "APIStatusError" in snippet)
    assert run(snippet, sim).startswith("404 openai ")


def test_its_providers_are_providers() -> None:
    """Every one that the table names can be asked."""
    named = set(re.findall(r"`(\w+)/…`", README))
    assert {"openai", "anthropic", "deepseek", "bedrock", "groq"} <= named <= set(names())


@pytest.mark.parametrize("page", [README, LITELLM])
def test_its_commands_and_links_exist(page: str) -> None:
    """Every command that is named is a command, and every file that is linked is there."""
    assert set(re.findall(r"`asynccache (\w+)", page)) <= set(COMMANDS)
    folder = ROOT if page is README else ROOT / "docs"
    links = re.findall(r"\]\((?!http)([^)#]+)", page)
    assert links
    assert [link for link in links if not (folder / link).exists()] == []


def test_the_page_on_litellm(sim: Simulator) -> None:
    """Its loop runs, and every error that it names for one of LiteLLM's is one of ours."""
    (snippet,) = SNIPPET.findall(LITELLM)
    assert run(snippet, sim).splitlines()[-1].endswith(" stop")
    ours = re.findall(r"^\|.*\| `(\w+Error)`", LITELLM, re.MULTILINE)
    assert len(ours) == 8
    for name in ours:
        assert issubclass(getattr(asynccache, name), asynccache.AsyncCacheError)
