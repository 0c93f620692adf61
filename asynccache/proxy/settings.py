"""What a configuration says: the rows that are served, who may ask, and how the proxy behaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, final

import msgspec

from asynccache.proxy.yaml_source import Source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynccache.request import Path
    from asynccache.secret import Secret
    from asynccache.usage.ledger_keys import Key

__all__ = ["Config", "Model", "Settings", "keep_fixed"]

_FIXED = ("ledger", "audit", "header_seconds", "idle_seconds", "tls_certificate", "tls_key")
"""Settings of what is opened once: the database, the log, the listener."""


@final
class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``asynccache_settings``: what LiteLLM's file has no word for."""

    stream_usage: Literal["asked", "always"] = "asked"
    """When a stream of chunks ends in usage: where the caller asked for it, as OpenAI's contract says, or always."""
    cost_in_bodies: bool = True
    """Whether usage objects in answers carry ``cost``."""
    on_disconnect: Literal["close", "drain"] = "close"
    """What becomes of an answer whose caller has gone: closed at once, or read to its end for exact usage."""
    shutdown_seconds: float = 30.0
    """How long streams may go on after SIGTERM."""
    write_seconds: float = 30.0
    """How long one write may wait for a caller who does not read."""
    header_seconds: float = 10.0
    idle_seconds: float = 30.0
    """How long a connection without a request stays open."""
    max_body_bytes: int = 16 * 1024 * 1024
    sticky_seconds: float = 300.0
    """How long a prompt's beginning stays with the deployment that has it cached."""
    cooldown_seconds: float = 5.0
    """How long a deployment that failed is asked last."""
    max_retries: int = 2
    request_seconds: float = 3600.0
    ledger: str | None = None
    """Where usage is kept, and keys and budgets with it: a file name or a URL; None keeps none."""
    traces: bool = False
    """Whether every attempt is a span of OpenTelemetry's."""
    traces_older_names: bool = False
    """Whether spans tell cache writes and cost also by the names that Langfuse, Datadog and Sentry read."""
    audit: str | None = None
    """A file that is told who came in and who did not; None keeps none."""
    tls_certificate: str | None = None
    """A PEM file with the listener's certificate and those that vouch for it; None listens without TLS."""
    tls_key: str | None = None
    """The PEM file with its key, where the certificate's holds none."""


@final
class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One row of ``model_list``: a deployment, and the name that callers ask for."""

    name: str
    model: str
    """``provider/model``, or ``simulator/provider/model``; a ``*`` at its end stands for the caller's own."""
    api_key: Secret | None = None
    api_base: str | None = None
    options: Mapping[str, str | Secret] = {}
    """AWS's routing arguments."""
    headers: Mapping[str, str] = {}
    defaults: Mapping[str, Any] = {}
    """Parameters for callers who give none."""
    timeout: float | None = None
    """Seconds until an answer in one piece, or between two events of a stream; also until its first."""
    stream_timeout: float | None = None
    """The same for streams alone."""
    max_retries: int | None = None
    drop_params: bool = False
    keep_cache_control: bool = False
    injection_points: tuple[Any, ...] = ()
    prices: Mapping[str, float] = {}
    base_model: str | None = None
    """The model whose prices hold, where it goes by a name that no price book knows."""
    info: Mapping[str, Any] = {}
    """``model_info`` as written, for those who ask for it."""
    path: Path = ()


@final
class Config(msgspec.Struct, frozen=True, kw_only=True):
    """What the proxy serves and how."""

    models: tuple[Model, ...] = ()
    master_key: Secret | None = None
    keys: tuple[Key, ...] = ()
    """What callers may bring beside the master key, as digests."""
    settings: Settings = Settings()
    fallbacks: Mapping[str, tuple[str, ...]] = {}
    """By model name; ``*`` stands for all that are not named."""
    context_fallbacks: Mapping[str, tuple[str, ...]] = {}
    policy_fallbacks: Mapping[str, tuple[str, ...]] = {}
    aliases: Mapping[str, str] = {}
    ignored: tuple[str, ...] = ()
    """Keys of LiteLLM's that mean nothing here."""
    source: Source = Source("(no config file)", None, {})


def keep_fixed(config: Config, before: Config) -> tuple[Config, list[str]]:
    """*config* for a process that serves *before*: what takes a restart stays, and is named where it was changed."""
    new, old = config.settings, before.settings
    fixed = {name: getattr(old, name) for name in _FIXED if getattr(old, name) != getattr(new, name)}
    settings = msgspec.structs.replace(new, **fixed)
    kept = msgspec.structs.replace(config, settings=settings)
    return kept, [f"asynccache_settings.{name}" for name in fixed]
