"""Who may look, what a look gives away, and what a browser may do with it."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import pytest

pytest.importorskip("prometheus_client", reason="prometheus-client is not installed")

from asynccache.proxy.activity import MOST_SERIES, Activity, Label
from asynccache.proxy.passes import IDLE_SECONDS, LINK_SECONDS, LONGEST_SECONDS, Passes
from asynccache.proxy.routes import ROUTES
from asynccache.simulator import Simulator
from asynccache.usage.ledger import open_ledger
from tests.proxy.serving import KEY, MODELS, ai, served, serving, url
from tests.proxy_page.test_agreement import Scraped

pytestmark = pytest.mark.anyio

MASTER = {"authorization": f"Bearer {KEY}"}
TEAM = "ac-team-key-0123456789abcdef0123456789abcdef"
OWN_KEYS = f"{{keys: [{{id: team, key: {TEAM}, models: ['*']}}]}}"
CANARY = "canary-91be"


async def get(server: Any, path: str, headers: Any = None) -> tuple[int, str, Any]:
    async with aiohttp.ClientSession() as session:
        answer = await session.get(url(server, path), headers=headers, allow_redirects=False)
        return answer.status, await answer.text(), answer.headers


@pytest.mark.parametrize("path", ["/metrics", "/ui", "/ui/link"])
async def test_only_the_master_key_looks(path: str, sim: Simulator) -> None:
    """No key and a wrong one are 401, a caller's own key is 403, the master's is an answer that nobody keeps."""
    async with serving(sim, settings=OWN_KEYS) as server:
        assert (await get(server, path))[0] == 401
        assert (await get(server, path, {"x-api-key": "wrong"}))[0] == 401
        status, body, _ = await get(server, path, {"x-api-key": TEAM})
        assert (status, "master_key_needed" in body) == (403, True)
        status, _, headers = await get(server, path, MASTER)
        assert (status, headers["cache-control"]) == (200, "no-store")


async def test_a_link_works_once(sim: Simulator) -> None:
    """It leads to the page with a pass in its address, which opens the page alone; nothing is set in the browser."""
    async with serving(sim) as server:
        link = (await get(server, "/ui/link", MASTER))[1].strip()
        assert (await get(server, "/ui?pass=" + link.partition("=")[2]))[0] == 401
        status, body, headers = await get(server, link)
        assert (status, body) == (303, "")
        assert "set-cookie" not in headers
        assert headers["referrer-policy"] == "no-referrer"
        address = headers["location"]
        assert (await get(server, link))[0] == 401
        status, page, _ = await get(server, address)
        assert status == 200
        word = address.partition("pass=")[2]
        links = re.findall(r'href="(/ui[^"]*)"', page)
        assert len(links) >= 5
        for other in links:  # all of the page's own links lead on with the pass
            assert f"pass={word}" in other
            assert (await get(server, other.replace("&amp;", "&")))[0] == 200
        for path in ("/metrics", "/ui/link", "/v1/models", "/model/info"):
            assert (await get(server, f"{path}?pass={word}"))[0] == 401
        for wrong in ("", "x", word[:-1], word + "x", "%00", "%ff", "&pass=" * 40):
            assert (await get(server, f"/ui?pass={wrong}"))[0] == 401
            assert (await get(server, f"/ui?once={wrong}"))[0] == 401


async def test_a_new_master_key_ends_all_passes(sim: Simulator) -> None:
    """After a reload with another key, and only then, old passes open nothing."""
    async with serving(sim) as server:
        passes = server.served.activity.passes
        word = passes.exchange(passes.link())
        activity = server.served.activity
        for text, status in ((MODELS, 200), (MODELS + "\ngeneral_settings: {master_key: another-one}", 401)):
            again = served(sim, text)
            again.activity = activity
            server.replace(again)
            assert (await get(server, f"/ui?pass={word}"))[0] == status


def test_passes_end() -> None:
    """A link after ten minutes, a pass after ten idle ones and after twelve hours; a flood ends the oldest only."""
    now = [0.0]
    passes = Passes(lambda: now[0])
    late, timely = passes.link(), passes.link()
    now[0] = LINK_SECONDS
    word = passes.exchange(timely)
    assert word is not None
    now[0] += 1
    assert passes.exchange(late) is None
    assert passes.holds(word)
    while now[0] + IDLE_SECONDS <= LINK_SECONDS + LONGEST_SECONDS:
        now[0] += IDLE_SECONDS
        assert passes.holds(word)
    now[0] += IDLE_SECONDS + 1
    assert not passes.holds(word)
    idle = passes.exchange(passes.link())
    assert idle is not None
    now[0] += IDLE_SECONDS + 1
    assert not passes.holds(idle)
    first = passes.link()
    last = [passes.link() for _ in range(100)][-1]
    assert passes.exchange(first) is None
    assert passes.exchange(last) is not None


async def test_what_a_browser_may_do_with_the_page(sim: Simulator) -> None:
    """Nothing from anywhere, no script, one style by its digest, no frame, no kind of content but its own."""
    async with serving(sim) as server:
        _, page, headers = await get(server, "/ui", MASTER)
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    [style] = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert policy == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "img-src": "'self' data:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert not re.search(r"<script|<iframe|<form|\son\w+=|style=|javascript:|https?://(?!127|www\.w3)", page)


async def test_without_a_key_pages_of_others_may_not_look(sim: Simulator) -> None:
    """On loopback without a key the page is open to this machine, and to no name that was rebound to it."""
    async with serving(sim, key=False) as server:
        assert (await get(server, "/ui"))[0] == 200
        assert (await get(server, "/ui", {"host": "rebound.evil.example"}))[0] == 403
        assert (await get(server, "/ui", {"origin": "https://evil.example"}))[0] == 403


NAMES = {
    "rebound.evil.example": 403,
    "rebound.evil.example:4000": 403,
    "127.0.0.1.evil.example": 403,
    "localhost.evil.example": 403,
    "10.0.0.7": 403,
    "[fe80::1]:80": 403,
    "2130706433": 403,
    "127.0.0.1": 200,
    "127.0.0.1:4000": 200,
    "localhost": 200,
    "proxy.localhost:4000": 200,
    "[::1]:4000": 200,
}


async def test_no_name_that_was_rebound_reaches_anything(sim: Simulator) -> None:
    """Every route but the open one, and addresses that are none, looks at the name that it is asked by."""
    async with serving(sim, key=False) as server, aiohttp.ClientSession() as session:
        for (method, path), route in {**ROUTES, ("GET", "/nowhere"): None}.items():
            for name, status in NAMES.items():
                if route is not None and route.body is not None and status == 200:
                    continue
                sent = {"headers": {"host": name}, "data": b"{}" if method == "POST" else None}
                async with session.request(method, url(server, path), **sent) as answer:
                    expected = 200 if route is not None and route.open else status
                    if (route is None or "{" in path) and status == 200:
                        expected = 404
                    assert answer.status == expected, (method, path, name)
    assert sim.log == []


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; DROP TABLE x; --",
    'a{evil="1"} 5 \\n',
    "\u202ereversed",
    "javascript:alert(1)",
    "m" * 500,
]


def hostile_config() -> str:
    import json

    rows = "".join(
        f"- model_name: {json.dumps(name)}\n  litellm_params: {{model: simulator/openai/gpt-4o}}\n"
        for name in HOSTILE
    )
    return f"model_list:\n{rows}- model_name: 'wild-*'\n  litellm_params: {{model: 'simulator/openai/*'}}\n"


async def test_hostile_names_are_text(sim: Simulator, tmp_path: Path) -> None:
    """Models named like markup, like metrics and like directions of writing are words, here and there."""
    async with (
        open_ledger(str(tmp_path / "x.db")) as ledger,
        serving(sim, hostile_config(), ledger=ledger) as server,
    ):
        async with ai(server) as client:
            for name in HOSTILE:
                await client.chat.completions.create(model=name, messages=[{"role": "user", "content": "hi"}])
            for number in range(5):
                await client.chat.completions.create(
                    model=f"wild-gpt-{number}{CANARY}", messages=[{"role": "user", "content": "hi"}]
                )
        _, page, _ = await get(server, "/ui?model=%22%3E%3Cscript%3E&key=%3Cb%3E", MASTER)
        assert "<script>" not in page
        assert "<b><b>" not in page
        _, page, _ = await get(server, "/ui", MASTER)
        scraped = Scraped((await get(server, "/metrics", MASTER))[1])
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "\u202e" not in page
    assert "m" * 130 not in re.sub(r'href="[^"]*"', "", page)
    assert CANARY not in page  # what callers write for a wildcard is no name of ours
    for name in HOSTILE:
        assert scraped.total("asynccache_requests_total", model=name) == 1
    assert scraped.total("asynccache_requests_total", model="wild-*") == 5
    assert {label for sample in scraped.samples for label in sample.labels} <= {
        "model", "provider", "deployment", "kind", "sign", "outcome", "reason", "status", "le",
    }  # fmt: skip


async def test_prompts_and_keys_stay_inside(sim: Simulator) -> None:
    """Neither the prompt, nor an error that quotes it, nor a key, nor a caller's user stands on a look."""
    text = f"""
model_list:
- model_name: quoting
  litellm_params:
    model: simulator/openai/gpt-4o
    extra_headers: {{x-simulator: '{{"status": 400, "code": "{CANARY} in a code"}}'}}
- model_name: gpt
  litellm_params: {{model: simulator/openai/gpt-4o}}
"""
    body = {"messages": [{"role": "user", "content": CANARY}], "user": CANARY, "metadata": {"x": CANARY}}
    async with serving(sim, text, settings=OWN_KEYS) as server:
        async with aiohttp.ClientSession(headers={"x-api-key": TEAM, "x-canary": CANARY}) as session:
            for model, status in (("gpt", 200), ("quoting", 400), (CANARY, 404)):
                answer = await session.post(
                    url(server, "/v1/chat/completions"), json={**body, "model": model}
                )
                assert answer.status == status
        looks = [(await get(server, path, MASTER))[1] for path in ("/ui", "/metrics")]
    assert ">BadRequest</th>" in looks[0]
    assert ">team</a>" in looks[0]
    for look in looks:
        assert CANARY not in look
        assert KEY not in look
        assert TEAM not in look
    assert Scraped(looks[1]).total("asynccache_refused_requests_total", status="404") == 1


def test_labels_are_bounded() -> None:
    """However many labels a long life of reloads brings, the rest is `other`."""
    activity = Activity()
    for number in range(3 * MOST_SERIES):
        activity.of(Label(f"model-{number}", "p", "d", "k"))
    assert len(activity.series) == 2 * MOST_SERIES + 1
    assert (
        activity.of(Label("one more", "p", "d", "k"))
        is activity.series[Label("other", "other", "other", "other")]
    )


def test_many_keys_do_not_hide_the_models() -> None:
    """Thousands of keys are `other` keys in the end; what they asked for is still told model by model."""
    activity = Activity()
    for number in range(5000):
        activity.of(Label(f"m{number % 7}", "p", "d", f"key-{number}")).total.requests += 1
    assert len(activity.series) <= MOST_SERIES + 7
    told: dict[str, int] = {}
    for label, series in activity.series.items():
        told[label.model] = told.get(label.model, 0) + series.total.requests
    assert sorted(told) == [f"m{number}" for number in range(7)]
    assert sum(told.values()) == 5000


def test_bins_are_bounded_and_move_on() -> None:
    """A series keeps an hour of minutes and a day of tens, whatever the time between two calls."""
    from asynccache.proxy.activity import STEPS, Series
    from asynccache.proxy.sums import Sums

    series = Series()
    for minute in range(60 * 24 * 3):
        series.add(Sums(requests=1), minute * 60.0)
    assert {step: len(bins) for step, bins in series.bins.items()} == STEPS
    assert sum(one.requests for one in series.bins[600].values()) == 60 * 24
    series.add(Sums(requests=1), 1e9)
    assert {step: len(bins) for step, bins in series.bins.items()} == {60: 1, 600: 1}
    assert series.total.requests == 60 * 24 * 3 + 1


async def test_metrics_say_what_to_install(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without prometheus-client the address says so, and everything else works."""
    import sys

    monkeypatch.delitem(sys.modules, "asynccache.proxy.metrics", raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    async with serving(sim) as server:
        status, body, _ = await get(server, "/metrics", MASTER)
        assert (status, "asynccache[proxy]" in body) == (501, True)
        assert (await get(server, "/ui", MASTER))[0] == 200
