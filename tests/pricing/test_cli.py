"""The two commands on prices, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from asynccache.cli import cost as cost_module
from asynccache.cli import models as models_module
from asynccache.errors import AsyncCacheError
from tests.pricing.usages import used
from tests.shared import requires_shared, shared

MIXED = {
    "input_tokens": 86,
    "cache_read_input_tokens": 1420,
    "cache_creation_input_tokens": 500,
    "cache_creation": {"ephemeral_5m_input_tokens": 300, "ephemeral_1h_input_tokens": 200},
    "output_tokens": 300,
}


def run(command: click.Command, *arguments: str, text: Any = None) -> Result:
    stdin = text if text is None or isinstance(text, str) else json.dumps(text)
    return CliRunner().invoke(command, list(arguments), input=stdin)


def test_where_the_money_went() -> None:
    """A bucket a line: tokens, rate, amount and share; then the sum and what caching did."""
    ran = run(cost_module.cost, "-", "--model", "anthropic/claude-sonnet-4-5", text={"usage": MIXED})
    assert ran.exit_code == 0, ran.output
    assert ran.output == (
        "anthropic/claude-sonnet-4-5, standard, price since 2026-04-30\n"
        "https://platform.claude.com/docs/en/about-claude/pricing\n"
        "\n"
        "                        tokens   $/million        cost   share\n"
        "uncached input              86           3    $0.00026      3%\n"
        "cache read               1,420         0.3    $0.00043      6%\n"
        "cache write 5m             300        3.75    $0.00112     15%\n"
        "cache write 1h             200           6    $0.00120     16%\n"
        "output                     300          15    $0.00450     60%\n"
        "total                    2,306                $0.00751\n"
        "\n"
        "without caching $0.01052: saved $0.00301 (29%)\n"
    )


@pytest.mark.parametrize(
    ("model", "told", "total"),
    [
        ("claude-sonnet-4-5", MIXED, "0.007509"),
        (
            "openai/gpt-4o",
            {
                "prompt_tokens": 2006,
                "completion_tokens": 300,
                "prompt_tokens_details": {"cached_tokens": 1920},
            },
            "0.005615",
        ),
        (
            "gpt-5.6",
            {
                "created": 1_795_371_340,
                "usage": {
                    "input_tokens": 2006,
                    "input_tokens_details": {"cached_tokens": 1920},
                    "output_tokens": 300,
                },
            },
            "0.007112",
        ),
        (
            "deepseek/deepseek-chat",
            {"usage": {"prompt_tokens": 2006, "completion_tokens": 300, "prompt_cache_hit_tokens": 1920}},
            "0.00020384",
        ),
        (
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            {
                "usage": {
                    "inputTokens": 86,
                    "outputTokens": 300,
                    "totalTokens": 2306,
                    "cacheReadInputTokens": 1920,
                }
            },
            "0.0058674",
        ),
        (
            "gpt-4o",
            {"service_tier": "priority", "usage": json.loads(used(86, 1920, 300).to_json())},
            "0.0095455",
        ),
    ],
)
def test_any_providers_answer_or_usage(model: str, told: dict[str, Any], total: str) -> None:
    """Whole answers and bare usages of each provider, and our own, are understood."""
    ran = run(cost_module.cost, "-", "--model", model, "--json", text=told)
    assert ran.exit_code == 0, ran.output
    assert json.loads(ran.output)["cost"]["total"] == total


def test_date_region_tier_and_lifetime() -> None:
    """What the answer leaves out may be told."""
    told = {
        "prompt_tokens": 100,
        "completion_tokens": 0,
        "prompt_tokens_details": {"cache_write_tokens": 100},
    }

    def total(*options: str) -> str:
        ran = run(cost_module.cost, "-", "--model", "gpt-5.6", "--json", *options, text=told)
        return str(json.loads(ran.output)["cost"]["total"])

    assert total("--at", "2026-11-22") == "0.0005"
    assert total("--at", "2026-08-01") == "0.000625"
    assert total("--at", "2026-11-22", "--region", "eu") == "0.00055"
    assert total("--at", "2026-11-22", "--tier", "flex") == "0.00025"


def test_the_model_that_the_answer_names() -> None:
    """Who gives no model means the answer's; where it names none, that is told."""
    answer = {"model": "claude-sonnet-4-5-20250929", "usage": MIXED}
    ran = run(cost_module.cost, "-", text=answer)
    assert ran.output.startswith("anthropic/claude-sonnet-4-5, standard"), ran.output
    other = run(
        cost_module.cost, "-", "--model", "bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0", text=answer
    )
    assert other.output.startswith("bedrock/"), other.output
    alone = run(cost_module.cost, "-", text={"usage": MIXED})
    assert alone.exit_code == 2
    assert "the file does not say which model answered; give --model" in alone.output


@pytest.mark.parametrize(
    ("model", "text", "words"),
    [
        ("gpt-99", '{"prompt_tokens": 1, "completion_tokens": 1}', "'gpt-99' names no provider"),
        ("gpt-4o", "{", "the file is not JSON"),
        ("gpt-4o", "[]", "the file holds no JSON object"),
        ("gpt-4o", '{"tokens": 5}', "holds no token counts"),
        (
            "openai/gpt-99",
            '{"prompt_tokens": 1, "completion_tokens": 1}',
            "the cost is not known: no price is known",
        ),
        ("gpt-4o", '{"prompt_tokens": -1, "completion_tokens": 1}', "the provider's usage is invalid"),
    ],
)
def test_what_cannot_be_priced(model: str, text: str, words: str) -> None:
    """A failure is told in words and by the exit code."""
    ran = run(cost_module.cost, "-", "--model", model, text=text)
    assert ran.exit_code != 0
    said = ran.exception.message if isinstance(ran.exception, AsyncCacheError) else ran.output
    assert words in said


@requires_shared
def test_a_recorded_answer_with_a_bill_of_its_own(tmp_path: Path) -> None:
    """What the provider says that it billed stands below ours."""
    case = json.loads(shared("recordings", "_conformance", "cost", "provider_billed.json").read_bytes())[2]
    path = tmp_path / "answer.json"
    path.write_text(json.dumps({"usage": case["raw_usage"]}))
    ran = run(cost_module.cost, str(path), "--model", f"openrouter/{case['model']}")
    assert f"the provider says that it billed ${case['billed']:.5f}" in ran.output


def test_the_list_of_models() -> None:
    """A line a model with its rates, found by a part of the name."""
    ran = run(models_module.models, "haiku-5-5", "--provider", "anthropic")
    assert ran.exit_code == 0
    heading, line = ran.output.splitlines()
    assert heading.split() == [
        "model",
        "context",
        "input",
        "read",
        "write",
        "output",
        "caching",
        "from",
        "lifetimes",
    ]
    assert line.split() == [
        "anthropic/claude-haiku-5-5",
        "1,000,000",
        "0.1",
        "0.01",
        "0.125",
        "0.5",
        "explicit",
        "512",
        "5m",
        "1h",
    ]


def test_the_list_for_programs() -> None:
    """JSON holds the same facts; without a provider the four main ones are listed."""
    ran = run(models_module.models, "--json")
    rows = json.loads(ran.output)
    assert {row["provider"] for row in rows} == {"anthropic", "openai", "deepseek", "bedrock"}
    assert len(rows) > 250
    by_key = {row["key"]: row for row in rows}
    assert by_key["openai/gpt-6.2-sol"]["cache_lifetimes"] == ["30m", "12h"]


def test_other_providers_models() -> None:
    """Any provider of the book may be named; an unknown one is an error, and so is a name that nothing holds."""
    assert "xai/grok-4" in run(models_module.models, "--provider", "x-ai").output
    unknown = run(models_module.models, "--provider", "nobody")
    assert isinstance(unknown.exception, AsyncCacheError)
    nothing = run(models_module.models, "no-such-name")
    assert nothing.exit_code != 0
    assert "no model's name holds 'no-such-name'" in nothing.output
