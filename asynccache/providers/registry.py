"""A provider is found by its name: a row of ``compatible.py``, or a module of this folder."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import lru_cache
from typing import TYPE_CHECKING

from asynccache.errors import UnknownProviderError

if TYPE_CHECKING:
    from asynccache.providers.base import Provider

__all__ = ["get", "names"]

_NOT_PROVIDERS = frozenset(
    {
        "access",
        "base",
        "compatible",
        "in_band",
        "mending",
        "openai_calls",
        "openai_decode",
        "openai_wire",
        "registry",
        "statuses",
    }
)


@lru_cache(maxsize=1)
def names() -> tuple[str, ...]:
    """Every provider's name, sorted."""
    import asynccache.providers as folder
    from asynccache.providers.compatible import ROWS

    modules = {module.name for module in pkgutil.iter_modules(folder.__path__)} - _NOT_PROVIDERS
    return tuple(sorted(modules | set(ROWS)))


@lru_cache(maxsize=128)
def get(name: str) -> Provider:
    """The provider named *name*.

    Raises:
        UnknownProviderError: there is none; the message names the nearest.
    """
    from asynccache.providers.compatible import ROWS, compatible

    if name in ROWS:
        return compatible(name)
    if name not in names():
        near = difflib.get_close_matches(name.lower(), names(), n=1, cutoff=0.7)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        msg = f"no provider named {name!r}{hint} Known: {', '.join(names())}"
        raise UnknownProviderError(msg, provider=name)
    provider: Provider = importlib.import_module(f"asynccache.providers.{name}").provider
    return provider
