"""One wire format each: how it is asked, what it answers, its errors, its cache rules."""

from asynccache.providers.base import CacheRules, HttpCall, Provider
from asynccache.providers.registry import get, names

__all__ = ["CacheRules", "HttpCall", "Provider", "get", "names"]
