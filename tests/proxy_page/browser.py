"""A real browser without a window, spoken to over its own protocol; skipped with a reason where there is none."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.waiting import PATIENCE

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))),
    None,
)
requires_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="there is no chromium here: apt-get install chromium"
)
_FLAGS = (
    "--headless=new", "--remote-debugging-port=0", "--no-first-run", "--no-default-browser-check", "--disable-gpu",
    "--disable-extensions", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--mute-audio", "--no-proxy-server", "--metrics-recording-only",
)  # fmt: skip


class Tab:
    """One page in the browser.

    Attributes:
        complaints: what the browser said of it: refusals by its policy, errors, dialogs, requests for anything else.
        requested: every address that it asked for.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, session: str) -> None:
        self.complaints: list[str] = []
        self.requested: list[str] = []
        self._socket = socket
        self._session = session
        self._number = 100
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._loaded = asyncio.Event()
        self._reader = asyncio.ensure_future(self._read())

    async def send(self, method: str, **params: Any) -> Any:
        self._number += 1
        number = self._number
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._answers[number] = future
        await self._socket.send_json(
            {"id": number, "method": method, "params": params, "sessionId": self._session}
        )
        async with asyncio.timeout(2 * PATIENCE):
            return await future

    async def _read(self) -> None:
        async for message in self._socket:
            told = message.json()
            if "id" in told and (future := self._answers.pop(told["id"], None)) is not None:
                if "error" in told:
                    future.set_exception(AssertionError(told["error"]))
                else:
                    future.set_result(told["result"])
                continue
            self._hear(told.get("method", ""), told.get("params", {}))

    def _hear(self, method: str, params: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded.set()
        elif method == "Network.requestWillBeSent":
            self.requested.append(params["request"]["url"])
        elif method in {
            "Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Audits.issueAdded",
            "Page.javascriptDialogOpening",
        }:  # fmt: skip
            self.complaints.append(f"{method}: {params}")

    async def open(self, url: str, headers: Mapping[str, str] | None = None) -> None:
        for domain in ("Page", "Network", "Log", "Runtime", "Audits"):
            await self.send(f"{domain}.enable")
        if headers:
            await self.send("Network.setExtraHTTPHeaders", headers=dict(headers))
        await self.follow(self.send("Page.navigate", url=url))

    async def follow(self, step: Any) -> None:
        """Do *step*, and wait until the page that it leads to is there."""
        self._loaded.clear()
        await step
        async with asyncio.timeout(2 * PATIENCE):
            await self._loaded.wait()

    async def evaluate(self, expression: str) -> Any:
        answer = await self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def comes_to(self, expression: str, value: Any) -> None:
        """Wait until *expression* has *value*; while the page goes from one state to the next it may have none."""
        async with asyncio.timeout(2 * PATIENCE):
            while True:
                answer = await self._try("Runtime.evaluate", expression=expression, returnByValue=True)
                if answer.get("result", {}).get("value") == value:
                    return
                await asyncio.sleep(0.05)

    async def _try(self, method: str, **params: Any) -> Any:
        """As `send`; nothing where the page was just leaving."""
        try:
            return await self.send(method, **params)
        except AssertionError:
            return {}

    async def click(self, selector: str) -> None:
        """Follow a link as a person does."""
        box = await self.evaluate(
            f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'center'}});"
            " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        self._loaded.clear()
        for kind in ("mousePressed", "mouseReleased"):
            await self.send(
                "Input.dispatchMouseEvent", type=kind, x=box[0], y=box[1], button="left", clickCount=1
            )
        async with asyncio.timeout(2 * PATIENCE):
            await self._loaded.wait()

    async def look(self, *, width: int, height: int, dark: bool) -> None:
        scale = 2 if width < 600 else 1
        await self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.send("Emulation.setEmulatedMedia", features=[scheme])

    async def screenshot(self, file: Path) -> None:
        answer = await self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        await asyncio.to_thread(file.write_bytes, base64.b64decode(answer["data"]))

    async def close(self) -> None:
        self._reader.cancel()
        await asyncio.wait([self._reader])


@asynccontextmanager
async def browser() -> AsyncIterator[Tab]:
    """A tab of a browser with a profile of its own, which ends with it."""
    assert CHROMIUM is not None
    profile = tempfile.mkdtemp(prefix="asynccache-page-")
    sandbox = ("--no-sandbox",) if os.geteuid() == 0 else ()
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *_FLAGS,
        *sandbox,
        f"--user-data-dir={profile}",
        "about:blank",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        async with asyncio.timeout(3 * PATIENCE):
            while b"DevTools listening on " not in (line := await process.stderr.readline()):
                assert line, "chromium ended at once"
        address = line.decode().partition("listening on ")[2].strip()
        drain = asyncio.ensure_future(process.stderr.read())
        async with aiohttp.ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:
            tab = Tab(socket, await _attach(socket))
            try:
                yield tab
            finally:
                await tab.close()
        drain.cancel()
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await asyncio.to_thread(shutil.rmtree, profile, ignore_errors=True)


async def _attach(socket: aiohttp.ClientWebSocketResponse) -> str:
    async def ask(number: int, method: str, **params: Any) -> Any:
        await socket.send_json({"id": number, "method": method, "params": params})
        while (told := await socket.receive_json(timeout=2 * PATIENCE)).get("id") != number:
            pass
        return told["result"]

    target = (await ask(1, "Target.createTarget", url="about:blank"))["targetId"]
    return str((await ask(2, "Target.attachToTarget", targetId=target, flatten=True))["sessionId"])
