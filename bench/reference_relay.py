"""The plainest relay there is on uvloop: two protocols that write what the other received. Bulk is measured against it."""

from __future__ import annotations

import asyncio
import socket
import sys

import uvloop

BUFFER = memoryview(bytearray(256 * 1024))


class Side(asyncio.BufferedProtocol):
    """One of the two connections of a relay."""

    def __init__(self) -> None:
        self.peer: asyncio.Transport | None = None
        self.early = bytearray()

    def get_buffer(self, _: int) -> memoryview:  # type: ignore[override]
        return BUFFER

    def buffer_updated(self, count: int) -> None:
        if self.peer is None:
            self.early += BUFFER[:count]
        else:
            self.peer.write(BUFFER[:count])

    def join(self, peer: asyncio.Transport) -> None:
        self.peer = peer
        peer.write(self.early)

    def eof_received(self) -> bool:
        if self.peer is not None:
            self.peer.write_eof()
        return True

    def pause_writing(self) -> None:
        self.peer.pause_reading()

    def resume_writing(self) -> None:
        self.peer.resume_reading()

    def connection_lost(self, _: Exception | None) -> None:
        if self.peer is not None:
            self.peer.close()


async def relay(user: socket.socket, target: tuple[str, int]) -> None:
    """Join a user's connection with one to the target."""
    loop = asyncio.get_running_loop()
    upstream = socket.socket()
    upstream.setblocking(False)
    await loop.sock_connect(upstream, target)
    near, far = Side(), Side()
    for sock in (user, upstream):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    near_transport, _ = await loop.connect_accepted_socket(lambda: near, user)
    far_transport, _ = await loop.create_connection(lambda: far, sock=upstream)
    near.join(far_transport)
    far.join(near_transport)


async def main(listen: int, target: int) -> None:
    """Relay everything that comes."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", listen), backlog=4096) as listening:
        listening.setblocking(False)
        while True:
            user, _ = await loop.sock_accept(listening)
            user.setblocking(False)
            await relay(user, ("127.0.0.1", target))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2])))
