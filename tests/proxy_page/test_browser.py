"""The page in a real browser: it complains of nothing, asks for nothing else, fits, and can be used.

With ``ASYNCCACHE_SCREENSHOTS=1`` the pictures in ``docs/`` are made anew.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from asynccache.proxy.server import Server
from asynccache.simulator import Simulator
from tests.proxy.serving import KEY, serving, url
from tests.proxy_page.browser import Tab, browser, requires_chromium
from tests.proxy_page.test_access import HOSTILE, hostile_config
from tests.proxy_page.traffic import TARGETS, Traffic, config
from tests.waiting import until

pytestmark = [
    pytest.mark.anyio,
    requires_chromium,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("chromium"),
]

MASTER = {"authorization": f"Bearer {KEY}"}
TEAMS = {
    "search": "ac-search-0123456789abcdef0123456789abcdef",
    "support": "ac-support-0123456789abcdef0123456789abc",
}
KEYS = ", ".join(f"{{id: {name}, key: {key}, models: ['*']}}" for name, key in TEAMS.items())
NOW = 1795300000.0
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
DOCS = Path(__file__).resolve().parents[2] / "docs"


async def picture(tab: Tab, name: str) -> None:
    if os.environ.get("ASYNCCACHE_SCREENSHOTS"):
        await asyncio.to_thread(DOCS.mkdir, exist_ok=True)
        await tab.screenshot(DOCS / f"{name}.png")


async def check(tab: Tab, name: str | None) -> None:
    """As it is shown in each size and colour: no word beyond the edge, nothing complained of."""
    for size, (width, height) in SIZES.items():
        for dark in (False, True):
            await tab.look(width=width, height=height, dark=dark)
            assert await tab.evaluate("document.documentElement.scrollWidth") <= width
            ground = await tab.evaluate("getComputedStyle(document.body).backgroundColor")
            assert ground == ("rgb(14, 19, 25)" if dark else "rgb(245, 246, 248)")  # its style is let in
            if name is not None:
                await picture(tab, f"ui-{name}-{size}-{'dark' if dark else 'light'}")
    assert tab.complaints == []
    assert {address.partition("/ui")[1] for address in tab.requested if not address.startswith("data:")} == {
        "/ui"
    }


async def a_day(server: Server, sim: Simulator) -> None:
    """Calls of a day and of a busy last hour, on a clock that the test moves."""
    activity, dice = server.served.activity, random.Random(3)
    now = [NOW - 90_000]
    activity.clock = lambda: now[0]
    activity.began = now[0]
    teams = list(TEAMS.values())
    many = 4 if os.environ.get("ASYNCCACHE_SCREENSHOTS") else 1  # pictures are of a busier day
    for step in range(96):
        now[0] = NOW - 86_000 + step * 860
        sim.clock.advance("14m")
        busy = 1 + 3 * abs((step + 30) % 96 - 48) / 48
        traffic = Traffic(server, list(TARGETS), step, key=dice.choice(teams))
        await traffic.run(int(busy + dice.random() * 2) * many, at_once=1, leaves=False, faults=0)
    for step in range(40):
        now[0] = NOW - 3500 + step * 85
        sim.clock.advance("1m")
        traffic = Traffic(server, list(TARGETS), 1000 + step, key=dice.choice(teams))
        await traffic.run(2 + many, at_once=1, leaves=False, faults=0)
        if step % 9 == 4:
            async with aiohttp.ClientSession(headers={"x-api-key": teams[0]}) as session:
                scenario = {"status": 429} if step % 2 else {"cut_after_events": 3}
                await traffic.chat(session, "claude", scenario, stream=True)
    now[0] = NOW


@asynccontextmanager
async def talking(server: Server, many: int) -> AsyncIterator[None]:
    """Streams in progress."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(
            aiohttp.ClientSession(headers={"x-api-key": TEAMS["search"]})
        )
        for _ in range(many):
            body = {"model": "gpt-slow", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
            answer = await session.post(url(server, "/v1/chat/completions"), json=body)
            stack.callback(answer.close)
            await answer.content.readany()
        yield


async def test_empty_and_busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a link that works once; empty, and after a day of calls while three streams are in progress."""
    monkeypatch.setattr("asynccache.proxy.page.REFRESH_SECONDS", 1000)  # not under the hand of this test
    async with (
        Simulator() as sim,
        serving(sim, config(), settings=f"{{keys: [{KEYS}]}}") as server,
        browser() as tab,
    ):
        server.served.activity.clock = lambda: NOW
        server.served.activity.began = NOW - 60
        await tab.open(url(server, f"/ui?once={server.served.activity.passes.link()}"))
        assert "No calls yet" in await tab.evaluate("document.body.innerText")
        await check(tab, "empty")
        await a_day(server, sim)
        async with talking(server, 3):
            await tab.follow(tab.send("Page.reload"))
            assert await tab.evaluate("document.querySelectorAll('#live tbody tr').length") == 3
            assert await tab.evaluate("document.querySelector('#live .value data').value") == "3"
            assert await tab.evaluate("document.querySelectorAll('#failed tbody tr').length") == 4
            await check(tab, "busy")
            await tab.look(width=1280, height=800, dark=False)
            await tab.click("nav a:first-child")
            assert await tab.evaluate("document.querySelector('nav [aria-current]').innerText") == "Last hour"
            await picture(tab, "ui-hour-desktop-light")
            await tab.click("#models tbody a")
            assert await tab.evaluate("document.querySelectorAll('#models tbody tr').length") == 1
            assert await tab.evaluate("document.querySelector('.filters b').innerText")
            await tab.click(".filters a")
            await tab.click("nav .switch")
            assert await tab.evaluate("document.querySelector('meta[http-equiv]')") is None
            assert "paused" in await tab.evaluate("document.querySelector('header').innerText")
        assert tab.complaints == []


async def test_it_draws_itself_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every few seconds, in place: the history does not grow, and the pass stays good."""
    monkeypatch.setattr("asynccache.proxy.page.REFRESH_SECONDS", 1)
    async with Simulator() as sim, serving(sim, config()) as server, browser() as tab:
        await tab.open(url(server, f"/ui?once={server.served.activity.passes.link()}"))
        await tab.comes_to("document.querySelector('#requests data')?.value", "0")
        await tab.comes_to("history.length", 2)  # the empty tab, and the page
        await Traffic(server, ["gpt"], 1).run(2, leaves=False, faults=0)
        await tab.comes_to("document.querySelector('#requests data')?.value", "2")
        await tab.comes_to("history.length", 2)
        assert tab.complaints == []


async def test_hostile_names_do_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Markup in a model's name stays a word: no element, no request, no dialog, no way out of the layout."""
    monkeypatch.setattr("asynccache.proxy.page.REFRESH_SECONDS", 1000)  # not under the hand of this test
    async with Simulator() as sim, serving(sim, hostile_config()) as server, browser() as tab:
        async with aiohttp.ClientSession(headers=MASTER) as session:
            for name in HOSTILE:
                body = {"model": name, "messages": [{"role": "user", "content": "hi"}]}
                answer = await session.post(url(server, "/v1/chat/completions"), json=body)
                assert answer.status == 200
        await tab.open(url(server, "/ui"), MASTER)
        names = await tab.evaluate("[...document.querySelectorAll('#models tbody a')].map(a => a.innerText)")
        assert "<script>alert(1)</script>" in names
        assert len(names) == len(HOSTILE)
        assert await tab.evaluate("document.querySelectorAll('script, img, iframe, form').length") == 0
        await tab.look(width=1280, height=800, dark=False)
        await tab.click("#models tbody tr:nth-child(2) a")
        assert await tab.evaluate("document.querySelectorAll('#models tbody tr').length") == 1
        await tab.click(".filters a")
        await check(tab, None)


async def test_no_page_may_frame_it() -> None:
    """The browser itself refuses to show it within another page."""
    async with Simulator() as sim, serving(sim, config(), key=False) as server, browser() as tab:
        await tab.open(url(server, "/healthz"))
        await tab.evaluate(f"document.body.innerHTML = '<iframe src=\"{url(server, '/ui')}\"></iframe>'")
        await until(
            lambda: any("frame-ancestors" in one or "X-Frame-Options" in one for one in tab.complaints)
        )
