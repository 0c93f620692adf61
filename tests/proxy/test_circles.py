"""An answer that is over leaves nothing to the garbage collector: its bytes go with its last reference."""

from __future__ import annotations

import gc
from collections import Counter

import aiohttp
import pytest

from .serving import KEY, serving, url
from .upstream import STREAM, WHOLE, upstream

pytestmark = pytest.mark.anyio

ROUNDS = 5


@pytest.mark.parametrize("streamed", [False, True])
async def test_no_circles_are_left(*, streamed: bool) -> None:
    """Without a collection no object of a call's outlives it: under load circles held megabytes of answers."""
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}]%s}' % (
        b',"stream":true' if streamed else b""
    )
    headers = {"authorization": f"Bearer {KEY}", "content-type": "application/json"}
    async with upstream() as up:
        if streamed:
            up.answer(STREAM, media="text/event-stream")
        else:
            up.answer(WHOLE)
        async with serving(None, up.config()) as proxy, aiohttp.ClientSession() as session:

            async def ask() -> None:
                async with session.post(
                    url(proxy, "/v1/chat/completions"), data=body, headers=headers
                ) as answer:
                    assert answer.status == 200
                    await answer.read()

            await ask()  # makes what stays
            gc.collect()
            gc.disable()
            try:
                for _ in range(ROUNDS):
                    await ask()
                gc.set_debug(gc.DEBUG_SAVEALL)
                gc.collect()
                left = Counter(type(found).__module__ for found in gc.garbage)
            finally:
                gc.set_debug(0)
                gc.garbage.clear()
                gc.enable()
    assert {name: count for name, count in left.items() if name.startswith("asynccache")} == {}
