"""Anthropic's Messages API: requests, answers, errors and cache rules."""

from asynccache.providers.anthropic.api import Anthropic

__all__ = ["provider"]

provider = Anthropic()
