"""An ASGI application that users reach at the server, and that listens on this machine's loopback only.

The server stands in the same program here; else it is `nodepass "server://…"` on a public machine.
"""

from __future__ import annotations

import asyncio
import urllib.request

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import nodepass


async def page(request: Request) -> PlainTextResponse:
    """Greet whoever comes."""
    return PlainTextResponse(f"hello, {request.query_params.get('name', 'stranger')}\n")


def fetch(url: str) -> str:
    """Be a user."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


async def main() -> None:
    """Serve the application, and lead users to it."""
    app = Starlette(routes=[Route("/", page)])
    web = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=9000, log_level="warning"))
    serving = asyncio.create_task(web.serve())
    server = nodepass.Server("server://KEY@127.0.0.1:10101/127.0.0.1:8080?tls=1&mode=1")
    client = nodepass.Client("client://KEY@127.0.0.1:10101/127.0.0.1:9000?mode=2")
    async with server, client:
        async with asyncio.timeout(10):
            await server.connected()
            while not web.started:
                await asyncio.sleep(0.01)
        print(await asyncio.to_thread(fetch, "http://127.0.0.1:8080/?name=world"), end="")
    web.should_exit = True
    await serving


if __name__ == "__main__":
    asyncio.run(main())
