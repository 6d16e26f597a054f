"""Datagrams through a tunnel, each as it was sent: an echo at one end, a user at the other."""

from __future__ import annotations

import asyncio
from typing import Any

import nodepass


class Echo(asyncio.DatagramProtocol):
    """Be a target: give back what comes."""

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override] # typeshed has its base
        """Keep what answers are sent by."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Answer."""
        self._transport.sendto(data.upper(), addr)


class User(asyncio.DatagramProtocol):
    """Collect the answers."""

    def __init__(self) -> None:
        self.answers: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, _: Any) -> None:
        """Take one."""
        self.answers.put_nowait(data)


async def main() -> None:
    """Send three of very different sizes."""
    loop = asyncio.get_running_loop()
    target, _ = await loop.create_datagram_endpoint(Echo, local_addr=("127.0.0.1", 9000))
    server = nodepass.Server("server://KEY@127.0.0.1:10101/127.0.0.1:8080?tls=1&mode=1&notcp=1")
    client = nodepass.Client("client://KEY@127.0.0.1:10101/127.0.0.1:9000?mode=2&notcp=1")
    async with server, client, asyncio.timeout(20):
        await server.connected()
        sender, user = await loop.create_datagram_endpoint(User, remote_addr=("127.0.0.1", 8080))
        for datagram in (b"a", b"ping", b"x" * 30_000):
            sender.sendto(datagram)
            answer = await user.answers.get()
            print(f"sent {len(datagram)} bytes, got {len(answer)}: {answer == datagram.upper()}")
        sender.close()
    target.close()


if __name__ == "__main__":
    asyncio.run(main())
