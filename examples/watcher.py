"""Hears that the other end has gone, and that it is back: what a program would send to whoever is on call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import nodepass

SERVER = "server://KEY@127.0.0.1:10101/127.0.0.1:8080?tls=1&mode=1"
CLIENT = "client://KEY@127.0.0.1:10101/127.0.0.1:9000?mode=2"
INTERVAL = 0.05
"""Seconds between two looks."""


async def changes(server: nodepass.Server) -> AsyncGenerator[int, None]:
    """Give the number of clients whenever it is another one."""
    known = -1
    while True:
        if server.stats.peers != known:
            known = server.stats.peers
            yield known
        await asyncio.sleep(INTERVAL)


async def main() -> None:
    """Have a client come, go and come back, and watch it."""
    async with nodepass.Server(SERVER) as server, asyncio.timeout(30):
        await server.ready()
        watching = changes(server)
        print(await anext(watching), "clients: nobody has come yet")
        async with nodepass.Client(CLIENT):
            print(await anext(watching), "client: all is well")
        print(await anext(watching), "clients: users are turned away")
        # An instance runs once: another one is made of the same URL.
        async with nodepass.Client(CLIENT):
            print(await anext(watching), "client: all is well again")
        await watching.aclose()


if __name__ == "__main__":
    asyncio.run(main())
