"""A web service that streams answers as server-sent events, in the format that OpenAI's clients read."""

from __future__ import annotations

import asyncio
import os

import aiohttp
from aiohttp import web

from asynccache import AsyncCacheError, Client
from asynccache.testing import environment, simulator

CLIENT = web.AppKey("client", Client)


async def chat(request: web.Request) -> web.StreamResponse:
    """Answer POST /chat."""
    asked = await request.json()
    try:
        stream = await request.app[CLIENT].acompletion("openai/gpt-4o", asked["messages"], stream=True)
    except AsyncCacheError as error:
        return web.json_response({"error": {"message": error.message}}, status=error.status_code or 500)

    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    async with stream:  # a client that goes away closes the request to the provider as well
        await response.prepare(request)
        async for chunk in stream:
            await response.write(f"data: {chunk.to_json()}\n\n".encode())
    await response.write(b"data: [DONE]\n\n")
    return response


async def make_app(client: Client) -> web.Application:
    """The service around *client*."""
    app = web.Application()
    app[CLIENT] = client
    app.router.add_post("/chat", chat)
    return app


async def main() -> None:
    """Run the service, and be its browser once."""
    async with simulator(answer="Salt lowers the freezing point.") as sim, Client() as client:
        os.environ.update(environment(sim))
        runner = web.AppRunner(await make_app(client), handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/chat"
        question = {"messages": [{"role": "user", "content": "Why salt an icy road?"}]}
        async with aiohttp.ClientSession() as browser, browser.post(url, json=question) as answer:
            async for line in answer.content:
                print(line.decode(), end="")
        await runner.cleanup()


asyncio.run(main())
