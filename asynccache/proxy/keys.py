"""What must be so before anybody may ask: a strong key wherever others reach the proxy, no web pages where there is none."""

from __future__ import annotations

import math
from ipaddress import ip_address
from typing import TYPE_CHECKING

from asynccache.errors import APIStatusError, PermissionDeniedError
from asynccache.proxy.yaml_source import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynccache.secret import Secret

__all__ = ["check_address", "check_page", "is_local"]

_LEAST_CHARACTERS = 32
_LEAST_BITS = 128
# Keys that stand in examples and templates; docs.litellm.ai and the page that this project grew from.
_EXAMPLES = frozenset(
    [
        "sk-1234",
        "sk-12345",
        "sk-123456",
        "sk-1234567890",
        "sk-master-key",
        "sk-my-master-key",
        "my-master-key",
        "changeme",
        "litellm_proxy_key",
        "anything",
    ]
)

_LOCAL = frozenset({"127.0.0.1", "::1", "[::1]", "localhost"})


def check_address(host: str, master_key: Secret | None) -> str | None:
    """A warning for a weak key on loopback, None where all is well.

    Raises:
        ConfigError: *host* can be reached from other machines, and the key is missing, known or weak.
    """
    key = "" if master_key is None else master_key.reveal()
    known = key.lower() in _EXAMPLES
    if is_local(host):
        return (
            "the master key is one that stands in examples; anybody on this machine knows it"
            if known
            else None
        )
    how = "set general_settings.master_key, or ASYNCCACHE_MASTER_KEY, to the output of `openssl rand -hex 32`"
    if not key:
        msg = f"{host} can be reached from other machines, and there is no master key; {how}"
        raise ConfigError(msg)
    if known:
        msg = f"{host} can be reached from other machines, and the master key stands in examples; {how}"
        raise ConfigError(msg)
    bits = len(key) * math.log2(max(len(set(key)), 1))
    if len(key) < _LEAST_CHARACTERS or bits < _LEAST_BITS:
        msg = (
            f"{host} can be reached from other machines, and the master key is too easy to guess: it needs "
            f"{_LEAST_CHARACTERS} characters and {_LEAST_BITS} bits; {how}"
        )
        raise ConfigError(msg)
    return None


def is_local(host: str) -> bool:
    """Whether *host* names this machine alone."""
    if host in _LOCAL:  # nearly always: what follows costs fifty times as much
        return True
    if not host or host.endswith(".localhost"):
        return host != ""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_page(headers: Mapping[str, str]) -> None:
    """Where no key is asked for, refuse web pages: in the browser of whoever runs this, they could ask too.

    Raises:
        PermissionDeniedError: by its origin, or by a name of its own, it is one.
    """
    host = headers.get("host", "")
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    if "origin" in headers or (name and not is_local(name) and name not in {"0.0.0.0", "[::]"}):  # noqa: S104 - compared
        msg = "web pages may not ask here while there is no master key"
        error: APIStatusError = PermissionDeniedError(msg, status_code=403, code="forbidden")
        raise error
