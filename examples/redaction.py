"""A stage that blots out card numbers in an answer, also where one is split over two chunks."""

from __future__ import annotations

import asyncio
import re

from msgspec.structs import replace

from asynccache import CallNext, Client, Emit, Event, Request, Stream, Usage, default_stages
from asynccache.events import Finished, Started, TextDelta
from asynccache.testing import simulator

CARD = re.compile(r"\d(?:[ -]?\d){12,18}")
MAYBE = re.compile(r"\d[\d -]*$")  # an end that the next chunk may make a card number


class Redact:
    """Lets text through once it is clean; what could repeat the text elsewhere does not pass at all."""

    def __init__(self) -> None:
        self.held: dict[int, str] = {}

    def feed(self, item: Event, emit: Emit[Event], /) -> None:
        """Hold back the end of the text until it is clear what becomes of it."""
        if type(item) is TextDelta:
            text = self.held.get(item.index, "") + item.text
            end = MAYBE.search(text)
            cut = end.start() if end else len(text)
            self.held[item.index] = text[cut:]
            emit(TextDelta(CARD.sub("[card]", text[:cut]), item.index))
        elif type(item) in {Started, Finished}:
            if type(item) is Finished:
                emit(TextDelta(CARD.sub("[card]", self.held.pop(item.index, "")), item.index))
            emit(replace(item, raw=None))
        elif type(item) is Usage:
            emit(item)  # all else is dropped: provider blocks, log-probabilities, reasoning

    def flush(self, emit: Emit[Event], /) -> None:
        """Nothing: every answer ends with its `Finished`."""


async def redact(request: Request, call_next: CallNext) -> Stream[Event]:
    """Stage: the machine, along every answer."""
    return (await call_next(request)).pipe(Redact())


async def main() -> None:
    """Print the chunks that arrive, a bar between them."""
    said = "Charged to 4111 1111 1111 1111 on 3 May, as in 2024, 2025 and 2026."
    messages = [{"role": "user", "content": "What did I pay with?"}]
    async with simulator(answer=said) as sim, Client(stages=[redact, *default_stages()]) as client:
        stream = await client.acompletion(
            "openai/gpt-4o", messages, stream=True, api_base=sim.openai_base, api_key=""
        )
        async with stream:
            print("|".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]))


asyncio.run(main())
