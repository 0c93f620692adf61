"""Without a configuration: every provider whose key is in the environment, and the simulated ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asynccache.providers.compatible import ROWS
from asynccache.proxy.settings import Config, Model
from asynccache.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["found_config", "master_key_of"]

# Any one of a provider's variables is enough to serve it. A key is looked up again when a call is made.
_VARIABLES: dict[str, tuple[str, ...]] = {
    "openai": ("OPENAI_API_KEY",),
    "anthropic": ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"),
    "deepseek": ("DEEPSEEK_API_KEY",),
    "bedrock": ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK"),
}
_BARE = {"openai": ("gpt-*", "o1*", "o3*", "o4*"), "anthropic": ("claude-*",), "deepseek": ("deepseek-*",)}
"""Names that callers write without a provider."""

_MASTER_KEY_VARIABLES = ("ASYNCCACHE_MASTER_KEY", "LITELLM_MASTER_KEY")


def master_key_of(environment: Mapping[str, str]) -> Secret | None:
    """The master key that the environment gives."""
    found = next((environment[name] for name in _MASTER_KEY_VARIABLES if environment.get(name)), None)
    return None if found is None else Secret(found)


def found_config(environment: Mapping[str, str], *, simulator: bool) -> Config:
    """What can be served as things stand: ``provider/*`` for each provider with a key, ``simulator/*`` if asked."""
    variables = {**_VARIABLES, **{name: (row[1],) for name, row in ROWS.items()}}
    names = [name for name, keys in variables.items() if any(environment.get(key) for key in keys)]
    models = [Model(name=f"{name}/*", model=f"{name}/*") for name in names]
    for name in names:
        models += [Model(name=bare, model=f"{name}/{bare}") for bare in _BARE.get(name, ())]
    if simulator:
        models += [
            Model(name=f"simulator/{name}/*", model=f"simulator/{name}/*")
            for name in ("openai", "anthropic", "deepseek", "bedrock")
        ]
    return Config(models=tuple(models), master_key=master_key_of(environment))
