"""The far end of verified traffic: `python -m tests.adversity.target PORT`, a process that can be killed and stopped.

It writes a line for each thing that happens to a connection: `begun`, then `whole`, `cut` or `broken`, with the number,
when that was (`time.monotonic`) and what there is to say, or `wrong`, with the number and what it was. `whole` is said of
what has come; that the user learns of it is for the user to say. Datagrams go back as they came.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from contextlib import suppress
from typing import cast

from tests.adversity.content import (
    ENDLESS,
    HEAD_SIZE,
    NEVER_READ,
    SMALL,
    CutError,
    Head,
    WrongContentError,
    read_exactly,
    receive,
    send,
)

LISTENING = "listening"

NEVER = asyncio.Event()
"""Held here, because what nobody holds is collected with all who wait for it."""


async def main(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=4096)
    for sock in server.sockets:
        # Those that it accepts have the same: thousands whom it does not read would use up what the system has for all.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL)
    await loop.create_datagram_endpoint(Echo, ("127.0.0.1", port))
    tell(LISTENING)
    await server.serve_forever()


def tell(*words: object) -> None:
    print(*words, flush=True)


def now() -> str:
    # The same clock in all processes of a machine.
    return f"{time.monotonic():.3f}"


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection. One that says nothing is somebody's look whether there is a target."""
    head = None
    try:
        head = Head.unpack(await read_exactly(reader, HEAD_SIZE))
        if head.down == ENDLESS:
            # What waits here for thousands who do not read would be more than all connections of the machine may have.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)
        if head.up == NEVER_READ:
            await NEVER.wait()
        tell("begun", head.number, now())
        await converse(head, reader, writer)
        writer.close()
    except CutError as error:
        if head is not None:
            tell("cut", head.number, now(), error)
        writer.close()
    except OSError as error:
        if head is not None:
            tell("broken", head.number, now(), error)
        writer.transport.abort()
    except WrongContentError as error:
        tell("wrong", head.number if head else "?", error)
        writer.transport.abort()


async def converse(head: Head, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Both directions of it."""
    up, down = head.directions
    sending = asyncio.create_task(send(writer, down, head.down))
    try:
        await receive(reader, up, head.up)
        if more := await reader.read(1):
            message = f"more than was announced: {more.hex()}"
            raise WrongContentError(message)
        await sending
        # Before the trailer: whoever has that can count on this, even if we are killed in between.
        tell("whole", head.number, now())
        writer.write(head.trailer)
        await writer.drain()
    finally:
        sending.cancel()
        # Where it failed, the other direction did so for the same reason.
        with suppress(OSError, asyncio.CancelledError):
            await sending


class Echo(asyncio.DatagramProtocol):
    """Sends each datagram back."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not an instance of it in fact: asyncio's own loop derives it from `Transport`.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(data, addr)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
