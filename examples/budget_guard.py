"""A stage that adds up what answers cost, and refuses the call that would begin over the limit."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from asynccache import AsyncCacheError, CallNext, Client, Emit, Event, Request, Stream, Usage, default_stages
from asynccache.testing import simulator


class BudgetExceededError(AsyncCacheError):
    """The money for this budget is spent; nothing was sent."""


class BudgetGuard:
    """A stage around the call, and the machine that it pipes into the stream to see the priced usage pass."""

    name = "budget_guard"
    takes = frozenset({Usage})

    def __init__(self, limit: Decimal) -> None:
        self.limit = limit
        self.spent = Decimal(0)

    async def __call__(self, request: Request, call_next: CallNext, /) -> Stream[Event]:
        """Let the request pass while there is money left."""
        if self.spent >= self.limit:
            msg = f"${self.spent:.4f} of ${self.limit} are spent; raise the limit to go on"
            raise BudgetExceededError(msg)
        return (await call_next(request)).pipe(self)

    def feed(self, item: Event, emit: Emit[Event], /) -> None:
        """Take note of what the answer cost."""
        if type(item) is Usage and item.cost_details is not None:
            self.spent += item.cost_details.total or 0
        emit(item)

    def flush(self, emit: Emit[Event], /) -> None:
        """Nothing is held back."""


async def main() -> None:
    """Spend until it is refused."""
    guard = BudgetGuard(Decimal("0.001"))
    question = [{"role": "user", "content": "How do I fold a paper crane? " * 20}]
    async with simulator() as sim, Client(stages=[guard, *default_stages()]) as client:
        print(client.pipeline)
        try:
            for _ in range(10):
                await client.acompletion("openai/gpt-4o", question, api_base=sim.openai_base, api_key="")
                print(f"spent ${guard.spent:.4f}")
        except BudgetExceededError as error:
            print(f"refused: {error}")


asyncio.run(main())
