"""Configurations as LiteLLM's users have them: taken as they are meant, or refused with what to write instead."""

from __future__ import annotations

from typing import Any

import pytest

from asynccache.proxy.config import parse_config
from asynccache.proxy.settings import Config
from asynccache.proxy.yaml_source import ConfigError, parse_yaml
from asynccache.simulator import Simulator

from .serving import ai, serving
from .test_passing import post
from .upstream import WHOLE, upstream

pytestmark = pytest.mark.anyio

KNOWN = {
    "KEY": "sk-canary",
    "EMPTY": "",
    "YES": "true",
    "MOST": "100",
    "OPENAI_API_KEY": "sk-o",
    "ANTHROPIC_API_KEY": "sk-a",
}
ROW = "model_list:\n- model_name: m\n  litellm_params:\n    model: openai/gpt-4o\n"
PARAMS = "model_list[0].litellm_params."


def parse(text: str | bytes) -> Config:
    blob = text if isinstance(text, bytes) else text.encode()
    return parse_config(parse_yaml(blob, "config.yaml", KNOWN), KNOWN)


def with_model(model: str, more: str = "") -> str:
    return f"model_list:\n- model_name: m\n  litellm_params: {{model: {model}{more}}}\n"


# What a file says, and how the refusal begins.
REFUSED: dict[str, tuple[str | bytes, str]] = {
    "azure": (
        with_model("azure/mine", ", api_base: https://x.openai.azure.com, api_version: '2024-10-21'"),
        f"config.yaml:3: {PARAMS}model: there is no provider 'azure' here; write openai/DEPLOYMENT with api_base",
    ),
    "vertex, whose own keys come first": (
        "model_list:\n- model_name: m\n  litellm_params:\n    vertex_project: p\n    model: vertex_ai/gemini-2.5-pro\n",
        f"config.yaml:5: {PARAMS}model: there is no provider 'vertex_ai' here",
    ),
    "ollama": (with_model("ollama/llama3"), f"config.yaml:3: {PARAMS}model: there is no provider 'ollama' here"),
    "by custom_llm_provider": (
        with_model("llama3", ", custom_llm_provider: hosted_vllm"),
        f"config.yaml:3: {PARAMS}model: there is no provider 'hosted_vllm' here",
    ),
    "a star in the middle": (
        "model_list:\n- model_name: 'bedrock/*claude*'\n  litellm_params: {model: 'bedrock/*'}\n",
        "config.yaml:2: model_list[0].model_name: 'bedrock/*claude*': a * can stand at the end alone",
    ),
    "a bare star for one name": (
        with_model("'*'"),
        f"config.yaml:3: {PARAMS}model: a * stands for names of one provider, as in 'openai/*'",
    ),
    "a file beside it": (
        "include: [more.yaml]\n" + ROW,
        "config.yaml:1: include: other files are not read; their rows belong into this one",
    ),
    "an answer made up": (ROW + "    mock_response: hi\n", f"config.yaml:5: {PARAMS}mock_response: no answer is made up"),
    "a credential by name": (
        ROW + "    litellm_credential_name: c\n",
        f"config.yaml:5: {PARAMS}litellm_credential_name: credential_list is not read",
    ),
    "prices by time": (
        ROW + "    input_cost_per_second: 0.01\n",
        f"config.yaml:5: {PARAMS}input_cost_per_second: prices are by the token here",
    ),
    "parameters to leave out": (
        ROW + "    additional_drop_params: [temperature]\n",
        f"config.yaml:5: {PARAMS}additional_drop_params: is not known here; drop_params: true",
    ),
    "a role to take": (
        with_model("bedrock/amazon.nova-pro-v1:0", ", aws_role_name: r"),
        f"config.yaml:3: {PARAMS}aws_role_name: is not known here; name a profile",
    ),
    "a threshold without its rates": (
        ROW + "    input_cost_per_token_above_200k_tokens: 0.000006\n",
        f"config.yaml:5: {PARAMS}input_cost_per_token_above_200k_tokens: means nothing without",
    ),
    "a base model that nobody knows": (
        ROW + "  model_info: {base_model: gpt-4oo}\n",
        "config.yaml:5: model_list[0].model_info.base_model: 'gpt-4oo' is in no price book, so it says nothing of prices",
    ),
    "an address that is empty": (
        ROW + "    api_base: os.environ/EMPTY\n",
        f"config.yaml:5: {PARAMS}api_base: is empty",
    ),
    "a key that is empty": (ROW + "    api_key: ' '\n", f"config.yaml:5: {PARAMS}api_key: is empty"),
    "no time at all": (ROW + "    timeout: 0\n", f"config.yaml:5: {PARAMS}timeout: 0 is not above 0 seconds"),
    "a default of the wrong kind": (
        ROW + "    temperature: hot\n",
        f"config.yaml:5: {PARAMS}temperature: expected `int | float | null`, got `str`",
    ),
    "no time for streams": (
        ROW + "router_settings: {stream_timeout: -1}\n",
        "config.yaml:5: router_settings.stream_timeout: -1 is not above 0 seconds",
    ),
    "fewer retries than none": (ROW + "    num_retries: -1\n", f"config.yaml:5: {PARAMS}num_retries: -1 is below 0"),
    "a name of nothing": (ROW.replace(": m\n", ": ''\n"), "config.yaml:2: model_list[0].model_name: is empty"),
    "a place to mark that is none": (
        ROW + "    cache_control_injection_points: [{location: mesage, role: system}]\n",
        f"config.yaml:5: {PARAMS}cache_control_injection_points: the point.location is 'mesage'",
    ),
    "a place without a role": (
        ROW + "    cache_control_injection_points: [{location: message, rol: system}]\n",
        f"config.yaml:5: {PARAMS}cache_control_injection_points: the point names neither a role nor an index",
    ),
    "a fallback from nothing": (
        ROW + "litellm_settings:\n  fallbacks: [{mm: [m]}]\n",
        "config.yaml:6: litellm_settings.fallbacks: 'mm' is the model_name of no row of model_list; did you mean 'm'?",
    ),
    "a tab": ("model_list:\n\t- model_name: m\n", "config.yaml:2: is no YAML: found character '\\t'"),
    "Latin-1": (ROW.encode() + b"# caf\xe9\n", "config.yaml:5: is no YAML: invalid continuation byte; it must be text in UTF-8"),
    "two documents": (ROW + "---\n" + ROW, "config.yaml:5: is no YAML: "),
    "a star without quotes": (with_model("openai/gpt-4o").replace(": m\n", ": *\n"), "config.yaml:2: is no YAML: "),
    "a name twice": (ROW + "model_list: []\n", "config.yaml:5: model_list: stands twice"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name: str) -> None:
    """File, line, path and remedy, before anything is served."""
    text, begins = REFUSED[name]
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert caught.value.message.startswith(begins), caught.value.message
    assert "\n" not in caught.value.message


REAL = """
environment_variables: {LANGFUSE_KEY: os.environ/NOT_SET}
model_list:
- model_name: gpt
  litellm_params: {model: openai/gpt-4o, api_key: os.environ/KEY, api_base: "http://127.0.0.1:9/v1/", rpm: 60, tpm: 9000,
    tags: [free], max_tokens: os.environ/MOST, temperature: 1, stream_timeout: 5, timeout: 30, max_retries: 1, weight: 2, drop_params: os.environ/YES}
  model_info: {base_model: gpt-4o-mini, mode: chat, output_cost_per_image: 0.01, supports_vision: true}
- model_name: gpt
  litellm_params: {model: openai/gpt-4o-mini, extra_headers: {x-team: os.environ/KEY}}
- {model_name: anthropic/*, litellm_params: {model: anthropic/*}}
litellm_settings:
  drop_params: os.environ/YES
  cache: true
  cache_params: {type: redis, host: os.environ/NOT_SET}
  callbacks: [prometheus]
  success_callback: [langfuse]
  num_retries: 3
  request_timeout: 600
  fallbacks: [{gpt: [anthropic/claude-sonnet-4-5]}, {"anthropic/*": [gpt]}]
  context_window_fallbacks: [{gpt: [big]}]
  default_fallbacks: [gpt]
router_settings:
  routing_strategy: usage-based-routing-v2
  redis_host: os.environ/NOT_SET
  model_group_alias: {big: anthropic/claude-opus-4-8}
  enable_pre_call_checks: true
general_settings:
  master_key: os.environ/KEY
  database_url: os.environ/NOT_SET
  alerting: [slack]
"""


def test_a_real_file_is_read() -> None:
    """Redis, callbacks, a database and limits are known and told once, their unset variables need not be set; what
    decides who answers and what it costs is read."""
    config = parse(REAL)
    first, second, wild = config.models
    assert (first.timeout, first.max_retries, first.drop_params, first.base_model) == (
        30,
        1,
        True,
        "gpt-4o-mini",
    )
    assert repr(dict(sorted(first.defaults.items()))) == "{'max_tokens': 100, 'temperature': 1}"
    assert second.headers == {"x-team": "sk-canary"}
    assert second.drop_params
    assert (wild.name, wild.model) == ("anthropic/*", "anthropic/*")
    assert config.fallbacks == {
        "gpt": ("anthropic/claude-sonnet-4-5",),
        "anthropic/*": ("gpt",),
        "*": ("gpt",),
    }
    assert config.context_fallbacks == {"gpt": ("big",)}
    assert (first.stream_timeout, second.timeout, second.stream_timeout) == (5, 600, 600)
    assert config.settings.max_retries == 3
    assert len(set(config.ignored)) == len(config.ignored)
    assert {
        "environment_variables",
        "litellm_params.rpm",
        "litellm_params.tpm",
        "litellm_params.tags",
        "litellm_params.weight",
        "model_info.output_cost_per_image",
        "litellm_settings.cache",
        "litellm_settings.cache_params",
        "litellm_settings.callbacks",
        "litellm_settings.success_callback",
        "router_settings.routing_strategy",
        "router_settings.redis_host",
        "router_settings.enable_pre_call_checks",
        "general_settings.database_url",
        "general_settings.alerting",
    } == set(config.ignored)


def test_a_star_for_everything() -> None:
    """`*` for `*` serves every provider whose key is set, with and without its name in front."""
    config = parse("model_list:\n- {model_name: '*', litellm_params: {model: '*', drop_params: true}}\n")
    names = {model.name: model.model for model in config.models}
    assert names["openai/*"] == "openai/*"
    assert names["claude-*"] == "anthropic/claude-*"
    assert not any(name.startswith("deepseek") for name in names)
    assert all(model.drop_params for model in config.models)
    source = parse_yaml(
        b"model_list:\n- {model_name: '*', litellm_params: {model: '*'}}\n", "config.yaml", {}
    )
    with pytest.raises(ConfigError, match="no provider's key is set"):
        parse_config(source, {})


@pytest.mark.parametrize(
    "blob", [b"\xef\xbb\xbf" + ROW.encode(), ROW.encode("utf-16"), ROW.replace("\n", "\r\n").encode()]
)
def test_spellings_of_a_text_file(blob: bytes) -> None:
    """Byte order marks, UTF-16 and Windows' line ends are text."""
    assert [model.name for model in parse(blob).models] == ["m"]


@pytest.mark.parametrize("text", ["", "# nothing\n", "model_list:\n", "---\n"])
def test_an_empty_file(text: str) -> None:
    """Nothing is served, and nothing is wrong."""
    assert parse(text).models == ()


def test_a_file_of_thousands_of_rows() -> None:
    """The bound on aliases counts what aliases add, and a long file has none: two thousand rows and their values."""
    row = "- model_name: m{}\n  litellm_params: {{model: openai/gpt-4o, {}}}\n"
    more = ", ".join(
        f"{name}: 1" for name in ("temperature", "top_p", "max_tokens", "seed", "rpm", "tpm", "top_k")
    )
    config = parse("model_list:\n" + "".join(row.format(number, more) for number in range(2500)))
    assert len(config.models) == 2500


RATES = "    input_cost_per_token: 1.0e-6\n    output_cost_per_token: 2.0e-6\n    cache_read_input_token_cost: 1.0e-7\n"
OWN = 976 * 1e-6 + 1024 * 1e-7 + 10 * 2e-6
BOOK = 976 * 2.5e-6 + 1024 * 1.25e-6 + 10 * 10e-6
# name, model, litellm_params, model_info, the model that the answer names, dollars for 976 + 1024 cached + 10
PRICED: dict[str, tuple[str, str, str, str, str, float]] = {
    "the book": ("m", "gpt-4o", "", "", "gpt-4o-2024-08-06", BOOK),
    "a row's own, though the answer names a model of the book": ("m", "mine", RATES, "", "gpt-4o-2024-08-06", OWN),
    "a row's own, by the book's name": ("m", "gpt-4o", RATES, "", "gpt-4o-2024-08-06", OWN),
    "a wildcard's own": ("gpt-*", "gpt-*", RATES, "", "gpt-4o", OWN),
    "a base model": ("m", "mine", "", "{base_model: gpt-4o}", "mine", BOOK),
    "a base model with its provider": ("m", "mine", "", "{base_model: openai/gpt-4o}", "other", BOOK),
    "one rate on top of a base model": (
        "m", "mine", "    cache_read_input_token_cost: 1.0e-7\n", "{base_model: gpt-4o}", "mine",
        976 * 2.5e-6 + 1024 * 1e-7 + 10 * 10e-6,
    ),
    "one rate on top of the book": (
        "m", "gpt-4o", "    cache_read_input_token_cost: 1.0e-7\n", "", "gpt-4o",
        976 * 2.5e-6 + 1024 * 1e-7 + 10 * 10e-6,
    ),
    "in model_info": ("m", "mine", "", "{input_cost_per_token: 1.0e-6, output_cost_per_token: 2.0e-6, cache_read_input_token_cost: 1.0e-7}", "mine", OWN),
    "above a threshold": (
        "m", "mine", RATES + "    input_cost_per_token_above_1k_tokens: 4.0e-6\n    cache_read_input_token_cost_above_1k_tokens: 3.0e-7\n", "", "mine",
        976 * 4e-6 + 1024 * 3e-7 + 10 * 2e-6,
    ),
    "for nothing": (
        "m", "gpt-4o", "    input_cost_per_token: 0\n    output_cost_per_token: 0\n    cache_read_input_token_cost: 0\n", "", "gpt-4o", 0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PRICED)
async def test_what_a_row_says_of_prices_counts(case: str) -> None:
    """Own rates and base models decide the cost, whatever the server calls its models."""
    name, model, params, info, answered, dollars = PRICED[case]
    async with upstream() as up:
        up.answer(WHOLE.replace(b'"gpt-4o"', b'"%b"' % answered.encode()))
        text = up.config("openai", model, name=f"'{name}'", more=params)
        if info:
            text += f"  model_info: {info}\n"
        async with serving(None, text) as proxy:
            asked = name.replace("gpt-*", "gpt-4o").encode()
            _, _, headers = await post(proxy, "/v1/chat/completions", b'{"model":"%b","messages":[]}' % asked)
    assert float(headers["x-litellm-response-cost"]) == pytest.approx(dollars)


async def test_own_prices_of_a_bedrock_row(sim: Simulator) -> None:
    """How Bedrock is asked is no part of a model's name in the book: a row's own rates are found."""
    rates = "input_cost_per_token: 0.0001, output_cost_per_token: 0.0002"
    for way in ("", "converse/", "invoke/"):
        model = f"simulator/bedrock/{way}anthropic.claude-sonnet-4-5-20250929-v1:0"
        text = f"model_list:\n- model_name: m\n  litellm_params: {{model: '{model}', {rates}}}\n"
        async with serving(sim, text) as proxy, ai(proxy) as client:
            messages: Any = [{"role": "user", "content": "hi"}]
            answer: Any = await client.chat.completions.create(model="m", messages=messages, max_tokens=5)
        expected = answer.usage.prompt_tokens * 1e-4 + answer.usage.completion_tokens * 2e-4
        assert answer.usage.cost == pytest.approx(expected)


FALLBACKS = """
model_list:
- {model_name: good, litellm_params: {model: simulator/openai/gpt-4o}}
- {model_name: "wild/*", litellm_params: {model: simulator/openai/*, extra_headers: {x-simulator: '{"status":500}'}}}
- {model_name: dead, litellm_params: {model: simulator/openai/gpt-4o, extra_headers: {x-simulator: '{"status":500}'}}}
litellm_settings: {fallbacks: [{"wild/*": [good]}, {dead: [best]}], num_retries: 0}
router_settings: {model_group_alias: {nick: dead, best: good}}
"""


@pytest.mark.parametrize("name", ["wild/gpt-4o", "dead", "nick"])
async def test_fallbacks_of_wildcards_and_aliases(name: str, sim: Simulator) -> None:
    """A fallback written for `wild/*`, or for what an alias stands for, is one for whoever asks so."""
    async with serving(sim, FALLBACKS) as proxy, ai(proxy) as client:
        answer = await client.chat.completions.create(
            model=name, messages=[{"role": "user", "content": "hi"}]
        )
    assert answer.choices[0].message.content
    assert [record.status for record in sim.log] == [500, 200]
