"""What one configuration serves: its deployments, one pool of connections, the ledger; swapped as a whole."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, final

from asynccache.proxy.activity import Activity
from asynccache.proxy.deployment import Deployment, Order, deployment
from asynccache.proxy.gate import Gate
from asynccache.proxy.router import Router
from asynccache.proxy.writing import Watch
from asynccache.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynccache.events import Recorder
    from asynccache.proxy.settings import Config
    from asynccache.proxy.telling import Outcome
    from asynccache.usage.ledger import Ledger

__all__ = ["Served"]

_MAX_CONNECTIONS = 10_000
_LEDGER_SECONDS = 2.0


@final
class Served:
    """A configuration at work.

    Args:
        config: what is served.
        simulators: the simulated providers' addresses, by provider.
        ledger: where every attempt gets its row; None keeps none.
        transport: the pool of connections, where a former configuration has one.
        gate: who checks callers, where one is there already; it is told of the new configuration.
        activity: what went on so far, where a former configuration was served.

    Raises:
        ConfigError: a row of ``model_list`` names nothing that can be asked.
    """

    def __init__(
        self,
        config: Config,
        *,
        simulators: Mapping[str, str] | None = None,
        ledger: Ledger | None = None,
        transport: Transport | None = None,
        gate: Gate | None = None,
        activity: Activity | None = None,
    ) -> None:
        self.config = config
        self.activity = activity or Activity()
        self.settings = config.settings
        self.simulators = dict(simulators or {})
        self.ledger = ledger
        self.transport = transport or Transport(max_connections=_MAX_CONNECTIONS, log_requests=False)
        self.deployments = [
            deployment(model, config, self.transport, self.simulators, ledger) for model in config.models
        ]
        _check_ids(config, self.deployments)
        self.router = Router(config, self.deployments)
        self.watch = Watch(config.settings.write_seconds)
        self.gate = gate or Gate()
        self.gate.use(config)  # last: whatever cannot be used was refused before

    def order(
        self, call_id: str, attempt: int, deployed: Deployment, outcome: Outcome, deadline: float
    ) -> Order:
        """What belongs to one attempt."""
        watching = self.activity.watch(deployed, outcome.key_id, outcome.began)
        recorders: tuple[Recorder, ...] = (outcome, watching, *outcome.also)
        if self.ledger is not None:
            labelled = self.ledger.labelled(key_id=outcome.key_id, deployment_id=deployed.label)
            recorders = (labelled, *recorders)
        return Order(call_id=call_id, attempt=attempt, deadline=deadline, recorders=recorders)

    def deadline(self) -> float:
        """When a call that begins now must be over, by ``time.monotonic()``."""
        return time.monotonic() + self.settings.request_seconds

    async def durable(self, outcome: Outcome) -> None:
        """Wait until the rows of a call's attempts are safe."""
        if self.ledger is not None:
            for attempt_id in outcome.attempt_ids:
                await self.ledger.wait_settled(attempt_id, timeout=_LEDGER_SECONDS)

    async def aclose(self) -> None:
        """Close every connection."""
        await self.transport.aclose()

    def describe(self) -> list[str]:
        """One line for each name that is served."""
        lines: list[str] = []
        for name, group in self.router.groups.items():
            targets: dict[str, Any] = dict.fromkeys(one.model.model for one in group)
            lines.append(f"{name} → {', '.join(targets)}")
        return lines


def _check_ids(config: Config, deployments: list[Deployment]) -> None:
    """Refuse two rows of one id: callers, the router and the ledger tell them apart by it."""
    seen: set[str] = set()
    for one in deployments:
        if one.id in seen:
            raise config.source.error(
                (*one.model.path, "model_info", "id"), f"{one.id!r} is another row's id"
            )
        seen.add(one.id)
