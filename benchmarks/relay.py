"""The least that a proxy on aiohttp can do: bytes in, bytes on, bytes back; nothing read, checked or counted.

``python -m benchmarks.relay PORT UPSTREAM`` serves until it is ended; the proxy is measured beside it.
"""

from __future__ import annotations

import sys

import aiohttp
from aiohttp import web


def main() -> None:
    """Serve."""
    port, upstream = int(sys.argv[1]), sys.argv[2]
    application = web.Application()

    async def session(_: web.Application):
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as made:

            async def relay(request: web.Request) -> web.StreamResponse:
                body = await request.read()
                async with made.post(
                    f"{upstream}/chat/completions", data=body, headers={"content-type": "application/json"}
                ) as answer:
                    if answer.content_length is not None:
                        return web.Response(
                            body=await answer.read(), status=answer.status, content_type=answer.content_type
                        )
                    response = web.StreamResponse(status=answer.status)
                    response.content_type = answer.content_type
                    await response.prepare(request)
                    async for piece in answer.content.iter_any():
                        await response.write(piece)
                    await response.write_eof()
                    return response

            handlers["relay"] = relay
            yield

    handlers: dict = {}

    async def post(request: web.Request) -> web.StreamResponse:
        return await handlers["relay"](request)

    async def alive(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    application.cleanup_ctx.append(session)
    application.router.add_post("/v1/chat/completions", post)
    application.router.add_get("/health/liveliness", alive)
    web.run_app(application, host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    main()
