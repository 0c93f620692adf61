"""Who is asked: the deployment that holds the prompt's cache, else the least busy; then others, then fallbacks."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, final

import anyio

from asynccache.errors import (
    APITimeoutError,
    AsyncCacheError,
    BadRequestError,
    ConfigurationError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    NotFoundError,
)
from asynccache.proxy.failures import forget_frames
from asynccache.proxy.sticky import Sticky, prefixes
from asynccache.retry import is_worth_another, retry

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from asynccache.proxy.deployment import Deployment
    from asynccache.proxy.settings import Config
    from asynccache.stream import Stream

__all__ = ["Answering", "Router"]


def _anybody(_deployment: Deployment) -> bool:
    return True


@final
class Answering:
    """An answer in progress and the deployment that gives it, busy with it until `release`."""

    __slots__ = ("attempts", "deployment", "stream")

    def __init__(self, stream: Stream[Any], deployment: Deployment, attempts: int) -> None:
        self.stream = stream
        self.deployment = deployment
        self.attempts = attempts

    def release(self) -> None:
        """It is over."""
        self.deployment.in_flight -= 1


@final
class Router:
    """The deployments by the name that callers ask for."""

    def __init__(self, config: Config, deployments: Iterable[Deployment]) -> None:
        self._config = config
        self._sticky = Sticky(config.settings.sticky_seconds)
        self.groups: dict[str, list[Deployment]] = {}
        for deployment in deployments:
            self.groups.setdefault(deployment.group, []).append(deployment)
        wild = sorted((name for name in self.groups if name.endswith("*")), key=len, reverse=True)
        self._wild = [(name[:-1], name) for name in wild]

    def find(self, asked: str) -> list[Deployment]:
        """The deployments of the model that a caller calls *asked*.

        Raises:
            NotFoundError: there are none.
        """
        name = self._config.aliases.get(asked, asked)
        found = self.groups.get(name)
        if found is None:
            found = next(
                (self.groups[group] for prefix, group in self._wild if name.startswith(prefix)), None
            )
        if found is None:
            msg = f"the model {asked[:200]!r} is not served here; GET /v1/models lists those that are"
            raise NotFoundError(msg, status_code=404, code="model_not_found", model=asked[:200])
        return found

    async def ask(
        self,
        asked: str,
        fields: Mapping[str, Any],
        attempt: Callable[[Deployment, str, int], Awaitable[Stream[Any]]],
        deadline: float,
        *,
        can: Callable[[Deployment], bool] = _anybody,
    ) -> Answering:
        """The first answer that begins, by *attempt* on one deployment after the other.

        Args:
            asked: the model, as the caller calls it; one of its deployments *can*.
            fields: the request's body.
            attempt: asks one deployment.
            deadline: when it must be over, by ``time.monotonic()``.
            can: whether a deployment understands the request's format; nobody else is asked.

        Raises:
            AsyncCacheError: none did; the last one's error, or the first that another attempt cannot help.
        """
        names = [asked]
        attempts = 0
        while True:
            name = names.pop(0)
            group = [one for one in self.find(name) if can(one)]
            beginnings = prefixes(fields, self._sticky.key) if len(group) > 1 else ()
            try:
                answering = await self._ask_group(group, name, beginnings, attempt, attempts, deadline)
            except AsyncCacheError as error:
                attempts += 1
                others = names or self._fallbacks(asked, name, error)
                names = [other for other in others if any(map(can, self.find(other)))]
                if not names or time.monotonic() >= deadline:
                    raise
                forget_frames(error)
                continue
            if beginnings:
                self._sticky.remember(beginnings, answering.deployment.id)
            return answering

    async def _ask_group(
        self,
        group: list[Deployment],
        name: str,
        beginnings: tuple[bytes, ...],
        attempt: Callable[[Deployment, str, int], Awaitable[Stream[Any]]],
        before: int,
        deadline: float,
    ) -> Answering:
        failures = 0
        tried: set[str] = set()
        while True:
            deployment = self._choose(group, beginnings, tried)
            deployment.in_flight += 1
            try:
                stream = await attempt(deployment, name, before + failures)
                return Answering(stream, deployment, before + failures + 1)
            except AsyncCacheError as error:
                deployment.in_flight -= 1
                retries = deployment.model.max_retries
                most = self._config.settings.max_retries if retries is None else retries
                if _is_own_fault(error):
                    deployment.note(error, self._config.settings.cooldown_seconds)
                if failures >= most:
                    raise
                tried.add(deployment.id)
                others = _is_own_fault(error) and len(tried) < len(group)
                wait = 0.0 if others else retry.wait_after(error, failures)
                if wait is None or time.monotonic() + wait >= deadline:
                    raise
                if not others:
                    tried.clear()
                failures += 1
                forget_frames(error)
            except BaseException:
                deployment.in_flight -= 1
                raise
            if wait:
                await anyio.sleep(wait)

    def _choose(self, group: list[Deployment], beginnings: tuple[bytes, ...], tried: set[str]) -> Deployment:
        if len(group) == 1:
            return group[0]
        now = time.monotonic()
        left = [one for one in group if one.id not in tried] or group
        ready = [one for one in left if one.cool_until <= now]
        if not ready:
            return min(left, key=lambda one: one.cool_until)
        held = self._sticky.find(beginnings)
        for one in ready:
            if one.id == held:
                return one
        return min(ready, key=lambda one: one.in_flight)

    def _fallbacks(self, asked: str, name: str, error: AsyncCacheError) -> list[str]:
        """Who else is asked after *error*; nobody, once a fallback was asked."""
        if name != asked or isinstance(error, ConfigurationError):
            return []
        config = self._config
        if isinstance(error, ContextWindowExceededError):
            table = config.context_fallbacks
        elif isinstance(error, ContentPolicyViolationError):
            table = config.policy_fallbacks
        else:
            table = dict[str, tuple[str, ...]]()
        found = self._listed(table, asked)
        if found is None and not isinstance(error, BadRequestError):
            found = self._listed(config.fallbacks, asked)
        return [other for other in found or () if other != asked]

    def _listed(self, table: Mapping[str, tuple[str, ...]], asked: str) -> tuple[str, ...] | None:
        """What *table* says of a model: by the name that was asked for, by what it stands for, by a ``*``."""
        for name in (asked, self._config.aliases.get(asked, asked)):
            if name in table:
                return table[name]
        wild = [name for name in table if name.endswith("*") and asked.startswith(name[:-1])]
        return table[max(wild, key=len)] if wild else None


def _is_own_fault(error: AsyncCacheError) -> bool:
    """Whether *error* is about this deployment, so that another one may do better."""
    if isinstance(error, (BadRequestError, ConfigurationError)):
        return False
    if isinstance(error, APITimeoutError):
        return error.phase != "total"
    return is_worth_another(error) or error.status_code in {401, 402, 403, 404, 429}
