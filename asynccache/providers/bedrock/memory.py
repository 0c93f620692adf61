"""What one event loop remembers of AWS: credential chains by profile, and how wrong the clock is."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, final
from weakref import WeakKeyDictionary

from asynccache.providers.bedrock.credentials import Chain
from asynccache.providers.bedrock.failures import is_expired, skew_told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynccache.errors import APIStatusError

__all__ = ["Memories", "Memory"]


@final
class Memory:
    """Of one event loop."""

    def __init__(self) -> None:
        self.signer_loaded = False
        self.skew = 0.0
        """Seconds to add to our clock, learned from a refusal of AWS's."""
        self._chains: dict[str | None, Chain] = {}

    def chain(self, profile: str | None) -> Chain:
        """The chain of *profile*."""
        chain = self._chains.get(profile)
        if chain is None:
            chain = self._chains[profile] = Chain(profile)
        return chain

    def learn(self, error: APIStatusError, headers: Mapping[str, str]) -> None:
        """What a refusal says of keys and clock is heeded from the next request on."""
        if is_expired(error):
            for chain in self._chains.values():
                chain.forget()
        elif skew_told(error):
            try:
                there = parsedate_to_datetime(headers.get("date", ""))
            except (TypeError, ValueError):
                return
            if there.tzinfo is not None:
                self.skew = (there - datetime.now(UTC)).total_seconds()


@final
class Memories:
    """Of every event loop that is alive; a loop that ends takes its own along."""

    def __init__(self) -> None:
        self._by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Memory] = WeakKeyDictionary()
        self._lock = threading.Lock()  # loops run in threads of their own

    def here(self) -> Memory:
        """Of the running loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            memory = self._by_loop.get(loop)
            if memory is None:
                memory = self._by_loop[loop] = Memory()
            return memory

    def here_if_any(self) -> Memory | None:
        """Of the running loop, if one runs and has been here."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return None
        with self._lock:
            return self._by_loop.get(loop)
