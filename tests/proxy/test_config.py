"""LiteLLM's config.yaml: what is read, what is refused, and how precisely the refusal says where."""

from __future__ import annotations

from pathlib import Path

import pytest

from asynccache.proxy.config import parse_config, read_config
from asynccache.proxy.environment import found_config
from asynccache.proxy.keys import check_address, is_local
from asynccache.proxy.settings import Config
from asynccache.proxy.yaml_source import ConfigError, parse_yaml
from asynccache.secret import Secret

FULL = """
model_list:
  - model_name: claude
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_key: os.environ/ANTHROPIC_API_KEY
      api_base: http://127.0.0.1:1
      temperature: 0.2
      num_retries: 4
      timeout: 30
      rpm: 600
      cache_control_injection_points:
        - {location: message, role: system}
    model_info:
      id: mine
      input_cost_per_token: 0.000001
      anything: goes
  - model_name: claude
    litellm_params:
      model: bedrock/anthropic.claude-sonnet-4-5-20250929-v1:0
      aws_access_key_id: os.environ/AWS_ACCESS_KEY_ID
      aws_region_name: us-east-1
litellm_settings:
  drop_params: true
  num_retries: 1
  success_callback: ["langfuse"]
  fallbacks: [{"claude": ["other"]}]
router_settings:
  routing_strategy: simple-shuffle
  model_group_alias: {sonnet: claude}
  cooldown_time: 12
general_settings:
  master_key: os.environ/MASTER
  store_model_in_db: true
asynccache_settings:
  stream_usage: always
  write_seconds: 5
"""
KEYS = {"ANTHROPIC_API_KEY": "sk-ant-canary", "AWS_ACCESS_KEY_ID": "AKIACANARY", "MASTER": "sk-1234"}


def parse(text: str, known: dict[str, str] | None = None) -> Config:
    given = KEYS if known is None else known
    return parse_config(parse_yaml(text.encode(), "config.yaml", given), given)


def test_everything_is_read() -> None:
    """Every key that means something here arrives; those that do not are listed once."""
    config = parse(FULL.replace('["other"]', '["claude"]'))
    first, second = config.models
    assert first.model == "anthropic/claude-sonnet-4-5"
    assert first.api_key == Secret("sk-ant-canary")
    assert first.defaults == {"temperature": 0.2}
    assert (first.max_retries, first.timeout, first.drop_params) == (4, 30.0, True)
    assert first.prices == {"input_cost_per_token": 1e-6}
    assert first.info["anything"] == "goes"
    assert first.injection_points == ({"location": "message", "role": "system"},)
    assert second.options == {"aws_access_key_id": Secret("AKIACANARY"), "aws_region_name": "us-east-1"}
    assert config.master_key == Secret("sk-1234")
    assert config.aliases == {"sonnet": "claude"}
    assert config.fallbacks == {"claude": ("claude",)}
    assert config.settings.cooldown_seconds == 12
    assert config.settings.max_retries == 1
    assert config.settings.stream_usage == "always"
    assert config.ignored == (
        "litellm_settings.success_callback",
        "router_settings.routing_strategy",
        "general_settings.store_model_in_db",
        "litellm_params.rpm",
    )
    assert "canary" not in repr(config).lower()


HEAD = "model_list:\n- model_name: m\n  litellm_params:\n    model: openai/gpt-4o\n"
WRONG = {
    "unknown, with the nearest": (
        HEAD + "    tempurature: 1\n",
        "config.yaml:5: model_list[0].litellm_params.tempurature: no such key; did you mean 'temperature'?",
    ),
    "unknown at the top": (
        "modellist: []\n",
        "config.yaml:1: modellist: no such key; did you mean 'model_list'?",
    ),
    "unknown setting": (
        "asynccache_settings:\n  stream_usages: always\n",
        "config.yaml:2: asynccache_settings.stream_usages: no such key; did you mean 'stream_usage'?",
    ),
    "a variable that is not set": (
        HEAD + "    api_key: os.environ/NOT_THERE\n",
        "config.yaml:5: model_list[0].litellm_params.api_key: the variable NOT_THERE is not set in the environment",
    ),
    "a wrong type": (
        HEAD + "    api_base: [1]\n",
        "config.yaml:5: model_list[0].litellm_params.api_base: expected `str | null`, got `array`",
    ),
    "a wrong value": (
        "asynccache_settings:\n  stream_usage: never\n",
        "config.yaml:2: asynccache_settings.stream_usage: invalid enum value 'never'",
    ),
    "a negative time": (
        "asynccache_settings: {write_seconds: -1}\n",
        "config.yaml:1: asynccache_settings.write_seconds: -1.0 is below 0",
    ),
    "a key twice": (
        HEAD + "    api_key: a\n    api_key: b\n",
        "config.yaml:6: model_list[0].litellm_params.api_key: stands twice; only one of the two can be meant",
    ),
    "no model": (
        "model_list:\n- model_name: m\n  litellm_params: {}\n",
        "config.yaml:3: model_list[0].litellm_params: has no model",
    ),
    "no params": (
        "model_list:\n- model_name: m\n",
        "config.yaml:2: model_list[0]: has no litellm_params: {model: provider/name}",
    ),
    "a fallback to nothing": (
        HEAD + "litellm_settings:\n  fallbacks: [{m: [n]}]\n",
        "config.yaml:6: litellm_settings.fallbacks: 'n' is the model_name of no row of model_list",
    ),
    "a list at the top": ("- a\n- b\n", "config.yaml:1: is not a mapping with a model_list"),
    "no YAML": ("model_list: [\n", "config.yaml:2: is no YAML: "),
    "an object constructor": (
        HEAD + "    api_key: !!python/object/apply:os.system [id]\n",
        "config.yaml:5: model_list[0].litellm_params.api_key: is no YAML: ",
    ),
    "an empty master key": (
        "general_settings: {master_key: ''}\n",
        "config.yaml:1: general_settings.master_key: is empty; leave it out or give a key",
    ),
    "a price like a million": (
        HEAD + "    input_cost_per_token: 3\n",
        "config.yaml:5: model_list[0].litellm_params.input_cost_per_token: 3.0 is no price in dollars per token",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_say_where(name: str) -> None:
    """A configuration that cannot be used is refused with file, line, path and remedy."""
    text, message = WRONG[name]
    with pytest.raises(ConfigError) as caught:
        parse(text, {})
    assert caught.value.message.startswith(message)


def laughs() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 12)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (laughs(), "the file's aliases stand for more than 50000 values"),
        ("a: &a [*a]\n", ""),
        ("[" * 200 + "]" * 200, "is nested deeper than 32 levels"),
        ("a: " + "[" * 20_000, "is no YAML"),
        ("\x00", "is no YAML"),
    ],
)
def test_hostile_files_are_refused(text: str, message: str) -> None:
    """Aliases, nesting and bytes that would cost memory or the stack are refused at once."""
    with pytest.raises(ConfigError) as caught:
        parse(text, {})
    assert message in caught.value.message


def test_merge_keys_and_anchors_are_fine() -> None:
    """Honest anchors work: they are what shares parameters between rows."""
    config = parse(
        "model_list:\n- model_name: a\n  litellm_params: &shared {model: openai/gpt-4o, temperature: 1}\n"
        "- model_name: b\n  litellm_params:\n    <<: *shared\n    temperature: 0\n",
        {},
    )
    assert [model.defaults["temperature"] for model in config.models] == [1, 0]


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    """A configuration is a few kilobytes; a megabyte is somebody's mistake."""
    (tmp_path / "c.yaml").write_text("a: " + "x" * 1_100_000)
    with pytest.raises(ConfigError, match="is larger than"):
        read_config(tmp_path / "c.yaml", {})
    with pytest.raises(ConfigError, match="cannot be read"):
        read_config(tmp_path / "none.yaml", {})


STRONG = "f2b7c1d09e8a4b6532c1a0fedcba98765432100123456789"


@pytest.mark.parametrize(
    ("host", "key", "outcome"),
    [
        ("127.0.0.1", None, None),
        ("127.0.0.1", STRONG, None),
        ("127.0.0.1", "sk-1234", "warning"),
        ("::1", None, None),
        ("localhost", "short", None),
        ("127.8.9.1", None, None),
        ("0.0.0.0", None, "error"),
        ("0.0.0.0", "sk-1234", "error"),
        ("0.0.0.0", "short-but-unknown", "error"),
        ("0.0.0.0", "a" * 64, "error"),
        ("0.0.0.0", "ab" * 32, "error"),
        ("0.0.0.0", STRONG, None),
        ("::", STRONG[:31], "error"),
        ("192.168.1.5", None, "error"),
        ("", None, "error"),
        ("proxy.example.com", STRONG, None),
    ],
)
def test_a_key_wherever_others_can_reach(host: str, key: str | None, outcome: str | None) -> None:
    """On loopback anything goes, example keys with a warning; elsewhere only a key that cannot be guessed."""
    secret = None if key is None else Secret(key)
    if outcome == "error":
        with pytest.raises(ConfigError) as caught:
            check_address(host, secret)
        assert key is None or key not in caught.value.message
        return
    assert (check_address(host, secret) is not None) == (outcome == "warning")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "a.localhost", "[::1]"])
def test_loopback_names(host: str) -> None:
    """Names of this machine alone."""
    assert is_local(host)


def test_without_a_file() -> None:
    """Every provider whose key is there is served under its own name, bare names and the simulator too."""
    config = found_config({"OPENAI_API_KEY": "x", "GROQ_API_KEY": "y"}, simulator=True)
    names = [model.name for model in config.models]
    assert names[:2] == ["openai/*", "groq/*"]
    assert "gpt-*" in names
    assert "simulator/anthropic/*" in names
    assert not any("claude" in name for name in names)
