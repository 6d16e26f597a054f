"""A forwarder with one end, and what passes through it, ten times a second, while a user downloads."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import nodepass

SIZE = 50_000_000


async def send_much(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Be a target with a large file."""
    # The forwarder comes as well, now and then: it looks how soon the target answers, and leaves.
    with suppress(ConnectionError):
        for _piece in range(SIZE // 1_000_000):
            writer.write(bytes(1_000_000))
            await writer.drain()
    writer.close()


async def download() -> int:
    """Be a user, and count what comes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", 8080)
    received = 0
    while data := await reader.read(1 << 20):
        received += len(data)
    writer.close()
    return received


async def show(forwarder: nodepass.Forwarder) -> None:
    """Print a line until somebody cancels this."""
    before = 0
    while True:
        await asyncio.sleep(0.1)
        sent = forwarder.stats.tcp_sent
        print(f"{forwarder.stats.tcp_sessions} users, {(sent - before) * 10 / 1e6:.0f} MB/s")
        before = sent


async def main() -> None:
    """Forward, and show it."""
    forwarder = nodepass.Forwarder("client://127.0.0.1:8080/127.0.0.1:9000?mode=1&noudp=1")
    async with await asyncio.start_server(send_much, "127.0.0.1", 9000), forwarder:
        await forwarder.ready()
        showing = asyncio.create_task(show(forwarder))
        print(f"received {await download()} bytes")
        showing.cancel()
        print(f"the forwarder has sent {forwarder.stats.tcp_sent} bytes")


if __name__ == "__main__":
    asyncio.run(main())
