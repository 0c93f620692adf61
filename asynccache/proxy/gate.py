"""The gate: who comes in, what they may ask, what is reserved for their call, and what it took in the end."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, final

import anyio
import anyio.to_thread

from asynccache.errors import (
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    ConfigurationError,
    PermissionDeniedError,
)
from asynccache.proxy.audit import Audit, config_hash
from asynccache.proxy.budgets import BudgetRefusedError, Budgets
from asynccache.proxy.keys import check_page
from asynccache.proxy.limits import KeyLimits, RateRefusedError
from asynccache.proxy.reserving import most_cost, prompt_tokens, said_output
from asynccache.proxy.virtual_keys import KeyRing, digest_of, presented
from asynccache.proxy.yaml_source import ConfigError
from asynccache.usage.ledger_budget import picodollars

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from asynccache.errors import AsyncCacheError
    from asynccache.proxy.bodies import Body
    from asynccache.proxy.budgets import Hold
    from asynccache.proxy.deployment import Deployment
    from asynccache.proxy.limits import Place
    from asynccache.proxy.served import Served
    from asynccache.proxy.settings import Config
    from asynccache.proxy.speaking import Call
    from asynccache.reply import Usage
    from asynccache.request import Request
    from asynccache.usage.ledger import Ledger
    from asynccache.usage.ledger_keys import Key

__all__ = ["Gate", "Lease", "open_gate", "refusal_headers"]

_ANSWER: Final = 1024
"""Tokens of an answer that count for a minute's limit until it has come, where the request does not say."""


@final
class Gate:
    """Keys, limits and budgets of one process; outlives the configurations that it is given.

    Args:
        where: the ledger that holds keys and budgets; None knows the configuration's keys only, none with a budget.
        audit: where it is told who came in and who did not.

    Raises:
        ConfigurationError: the ledger cannot be used.
    """

    def __init__(self, where: str | Path | None = None, *, audit: Audit | None = None) -> None:
        self.audit = audit
        self.ring = KeyRing()
        if audit is not None:
            audit.name_of = self.ring.retired
        self.budgets = None if where is None else Budgets(where, self.ring.load)
        self._limits: dict[str, KeyLimits] = {}

    def use(self, config: Config) -> None:
        """Let the keys of *config* in from now on.

        Raises:
            ConfigError: one of them has a budget, and there is nowhere to keep it.
        """
        spender = next((key for key in config.keys if key.rights.budget is not None), None)
        if spender is not None and config.settings.ledger is None:
            msg = f"the key {spender.id!r} has a budget: set asynccache_settings.ledger, where what was spent is kept"
            raise ConfigError(msg)
        self.ring.use(config.keys, config.master_key)

    async def begin(self) -> None:
        """Know the database's keys before the first caller comes.

        Raises:
            ConfigurationError: they cannot be read.
        """
        if self.budgets is None:
            return
        try:
            await self.budgets.refresh()
        except ConnectionError as error:
            await self.aclose()
            msg = f"the keys cannot be read: {error}"
            raise ConfigurationError(msg) from error

    def admit(self, headers: Mapping[str, str]) -> Key | None:
        """The caller's key; None for any program of this machine where no key is asked for.

        Raises:
            AuthenticationError: no key, or a wrong one of any kind: the same words and the same work for all.
            PermissionDeniedError: no key is asked for, and a web page is asking.
        """
        if not self.ring.is_locked:
            try:
                check_page(headers)
            except PermissionDeniedError as error:
                self.tell_refusal(None, error)
                raise
            return None
        given = presented(headers)
        key = self.ring.find(given)
        if key is None:
            if self.audit is not None:
                self.audit.tell_stranger(digest_of(given))
            msg = "the key is missing or wrong: send `Authorization: Bearer KEY` or `x-api-key: KEY`"
            raise AuthenticationError(msg, status_code=401, code="invalid_api_key")
        return key

    async def enter(self, call: Call, body: Body, key: Key | None, *, spends: bool) -> Lease | None:
        """Reserve what *call* may take; to be released when it is over.

        Raises:
            AsyncCacheError: the key may not ask for the model, or a limit is reached; nothing was sent.
        """
        if key is None:
            return None
        call.outcome.key_id = key.id
        asked: Any = body.fields.get("model")
        if not isinstance(asked, str):
            return None  # the route says what is wrong
        try:
            lease = await self._reserve(call, body, key, asked, spends=spends)
        except (PermissionDeniedError, RateRefusedError, BudgetRefusedError) as error:
            self.tell_refusal(key, error)
            raise
        if self.audit is not None:
            self.audit.tell("key_used", key=key.id)
        call.outcome.also = (lease,)
        return lease

    def tell_refusal(self, key: Key | None, error: AsyncCacheError) -> None:
        """Tell the audit log that somebody was refused."""
        if self.audit is None:
            return
        event = "budget_stop" if isinstance(error, BudgetRefusedError) else "refused"
        self.audit.tell(event, code=error.code, key=None if key is None else key.id)

    def note(self, event: str, config: Config, **fields: str) -> None:
        """Tell the audit log of a start or a reload, and what is configured."""
        if self.audit is not None:
            self.audit.tell(event, config=config_hash(config), **fields)

    async def aclose(self) -> None:
        """Settle what is to be settled, and end the audit log. Idempotent."""
        if self.budgets is not None:
            await self.budgets.aclose()
        if self.audit is not None:
            self.audit.tell("stop")
            await anyio.to_thread.run_sync(self.audit.close)

    async def _reserve(self, call: Call, body: Body, key: Key, asked: str, *, spends: bool) -> Lease:
        rights = key.rights
        if not rights.may_ask(asked):
            msg = (
                f"this key may not ask for the model {asked[:200]!r}; it may ask for {_listed(rights.models)}"
            )
            raise PermissionDeniedError(msg, status_code=403, code="model_not_allowed")
        is_counted = rights.tpm is not None or rights.budget is not None
        prompt = prompt_tokens(body.fields) if is_counted and spends else 0
        output = said_output(body.fields)
        tokens = prompt + (_ANSWER if output is None else output) if spends else 0
        cost = None
        if spends and rights.budget is not None:
            group = _group(call.served, asked)
            cost = most_cost(group, body.fields, prompt, marked=body.says(b"cache_control"))
        limits = self._limits.get(key.id)
        if limits is None:
            limits = self._limits[key.id] = KeyLimits()
        place = limits.enter(rights, tokens)
        try:
            held = None if cost is None else await self._hold(key, cost)
        except BaseException:
            place.settle(0, counts=False)
            raise
        return Lease(call, place, tokens, held, self.budgets)

    async def _hold(self, key: Key, cost: Decimal) -> Hold:
        if self.budgets is None:
            msg = "this key has a budget, and there is no ledger to keep it; ask who runs the proxy"
            raise APIStatusError(msg, status_code=503, code="budget_unavailable")
        return await self.budgets.hold(key, cost)


@final
class Lease:
    """What is reserved for one call; a recorder that hears what its attempts took. `release` it in the end."""

    def __init__(
        self, call: Call, place: Place, tokens: int, held: Hold | None, budgets: Budgets | None
    ) -> None:
        self._call = call
        self._place = place
        self._reserved = tokens
        self._held = held
        self._budgets = budgets
        self._open = 0
        self._tokens = 0
        self._spent = Decimal(0)
        self._is_known = True

    def open(self, _attempt_id: str, _request: Request, /) -> None:
        """An attempt is about to be sent."""
        self._open += 1

    def settle(
        self, _attempt_id: str, usage: Usage, _model: str | None, error: BaseException | None, /
    ) -> None:
        """It is over."""
        self._open -= 1
        total = None if usage.cost_details is None else usage.cost_details.total
        if usage.source == "provider" and total is not None:
            self._tokens += usage.total_tokens or 0
            self._spent += total
        elif usage.source != "missing" or not self._is_free(error):
            self._tokens += usage.total_tokens or 0
            self._spent += total or 0
            self._is_known = False

    def release(self) -> None:
        """The call is over; where an attempt broke off, what was reserved counts, or more where that is known."""
        is_known = self._is_known and self._open <= 0
        self._place.settle(self._tokens if is_known else max(self._tokens, self._reserved))
        held, self._held = self._held, None
        if held is not None and self._budgets is not None:
            spent = picodollars(self._spent)
            self._budgets.settle(held, spent if is_known else max(spent, held.amount))

    def _is_free(self, error: BaseException | None) -> bool:
        """Whether the provider cannot have charged for an attempt that ended so."""
        if self._call.said:
            return False
        if isinstance(error, APITimeoutError):
            return error.phase in {"connect", "pool"}
        if isinstance(error, (APIStatusError, ConfigurationError)):
            return True
        return error is not None and isinstance(error.__cause__, OSError) and _is_unreached(error.__cause__)


async def open_gate(config: Config, ledger: Ledger | None) -> Gate:
    """The gate of a process that begins: it knows the database's keys before the first caller comes.

    Raises:
        ConfigurationError: the ledger cannot be read, or the audit log not be written.
    """
    file = config.settings.audit
    audit = None if file is None else Audit(file)
    try:
        gate = Gate(None if ledger is None else ledger.source, audit=audit)
    except BaseException:
        if audit is not None:
            audit.close()
        raise
    await gate.begin()
    return gate


def refusal_headers(error: AsyncCacheError) -> dict[str, str]:
    """The limit that was reached and when it is over."""
    return error.headers if isinstance(error, (RateRefusedError, BudgetRefusedError)) else {}


def _is_unreached(error: OSError) -> bool:
    from aiohttp import ClientConnectorError

    return isinstance(error, (ClientConnectorError, ConnectionRefusedError))


def _group(served: Served, asked: str) -> list[tuple[str, Deployment]]:
    """Everybody who may answer a caller who asks for *asked*, fallbacks included."""
    names = dict.fromkeys([asked])
    config = served.config
    for table in (config.fallbacks, config.context_fallbacks, config.policy_fallbacks):
        names.update(dict.fromkeys(table.get(asked) or table.get("*") or ()))
    return [(name, deployment) for name in names for deployment in served.router.find(name)]


def _listed(models: tuple[str, ...]) -> str:
    return ", ".join(models[:8]) + (" and others" if len(models) > 8 else "")
