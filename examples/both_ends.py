"""A server and a client in one program: what comes to port 8080 goes through the tunnel to a target of our own."""

from __future__ import annotations

import asyncio
import secrets

import nodepass


async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be a target."""
    writer.write(b"hello from the target\n")
    writer.close()


async def main() -> None:
    """Open both ends, and be a user."""
    key = secrets.token_urlsafe(32)
    server = nodepass.Server(f"server://{key}@127.0.0.1:10101/127.0.0.1:8080?tls=1&mode=1&strict=1")
    client = nodepass.Client(f"client://{key}@127.0.0.1:10101/127.0.0.1:9000?mode=2&strict=1")
    async with await asyncio.start_server(greet, "127.0.0.1", 9000), server, client:
        async with asyncio.timeout(10):
            await server.connected()
        reader, writer = await asyncio.open_connection("127.0.0.1", 8080)
        print((await reader.read()).decode(), end="")
        writer.close()
        print(f"{server.stats.tcp_sent} bytes to users, {server.stats.peers} client")


if __name__ == "__main__":
    asyncio.run(main())
