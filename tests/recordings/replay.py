"""Recorded answers, and a loopback server that gives them out again, byte for byte, cut as asked."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any, Self

from aiohttp import web

from ..shared import SHARED


class Recorded:
    """One recorded interaction with its ground truth."""

    def __init__(self, case: dict[str, Any], expected: dict[str, Any]) -> None:
        self.case = case
        self.expected = expected
        self.id: str = case["id"]
        self.status: int = case["status"]
        self.stream: bool = case["stream"]
        self.model: str = case.get("model") or expected.get("model") or "model"

    @property
    def body(self) -> bytes:
        if self.case.get("response_body_base64"):
            return base64.b64decode(self.case["response_body_base64"])
        return (self.case.get("response_body") or "").encode()

    @property
    def content_type(self) -> str:
        told = {k.lower(): v for k, v in (self.case.get("response_headers") or {}).items()}.get(
            "content-type"
        )
        if isinstance(told, list):
            told = told[0]
        return told or ("text/event-stream" if self.stream else "application/json")

    @property
    def request(self) -> dict[str, Any]:
        body = self.case["request"].get("body")
        return body if isinstance(body, dict) else {}

    def __repr__(self) -> str:
        return self.id


def recorded(*folders: str) -> Iterator[Recorded]:
    """Every case of the given ``provider/api`` folders, in order."""
    if SHARED is None:
        return
    for folder in folders:
        for path in sorted((SHARED / "recordings" / folder).glob("*.json")):
            if not path.name.endswith(".expected.json"):
                expected = json.loads(path.with_name(path.stem + ".expected.json").read_bytes())
                yield Recorded(json.loads(path.read_bytes()), expected)


class Replayer:
    """A server on loopback that answers every POST with the recorded answer that is set."""

    def __init__(self) -> None:
        self.answer: Recorded | None = None
        self.cut: int | None = None
        self.requests: list[dict[str, Any]] = []
        self._runner: web.AppRunner | None = None
        self.base = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/{path:.*}", self._handle)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.base = f"http://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(await request.json())
        answer = self.answer
        assert answer is not None
        response = web.StreamResponse(status=answer.status, headers={"content-type": answer.content_type})
        await response.prepare(request)
        body = answer.body
        step = self.cut or len(body) or 1
        for start in range(0, len(body), step):
            await response.write(body[start : start + step])
        await response.write_eof()
        return response
