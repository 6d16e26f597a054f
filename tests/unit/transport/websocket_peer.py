"""The other end of a WebSocket, made by hand: it says what no proper peer would, and writes down what it hears."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from nodepass.log import WARN, Log
from nodepass.transport.websocket import WebSocketAcceptor
from nodepass.transport.websocket.framing import HALF_CLOSE, MESSAGE_LIMIT
from tests.unit.transport.links import tcp_pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.transport.base import Link

QUIET = logging.getLogger("tests.websocket")
QUIET.disabled = True


def protocols(*, half_closes: bool = True) -> tuple[ClientProtocol, ServerProtocol]:
    """Both sides of a WebSocket whose upgrade is done."""
    client = ClientProtocol(parse_uri("ws://x/"), subprotocols=[HALF_CLOSE] if half_closes else None, logger=QUIET)
    server = ServerProtocol(max_size=MESSAGE_LIMIT, subprotocols=[HALF_CLOSE] if half_closes else None, logger=QUIET)
    client.send_request(client.connect())
    server.receive_data(b"".join(client.data_to_send()))
    (request,) = server.events_received()
    server.send_response(server.accept(request))  # type: ignore[arg-type]  # the library gives events of three kinds
    client.receive_data(b"".join(server.data_to_send()))
    client.events_received()
    return client, server


def frame(opcode: Opcode, data: bytes = b"", *, fin: bool = True, mask: bool = True) -> bytes:
    """A frame as it goes over the wire."""
    return Frame(opcode, data, fin).serialize(mask=mask)


class Peer:
    """A client made by hand, as the receiver of the link that carries it."""

    def __init__(self, lower: Link, protocol: ClientProtocol) -> None:
        self.lower = lower
        self.frames: list[tuple[Opcode, bytes]] = []
        self.ended = False
        self.lost = False
        self._protocol = protocol
        self._changed = asyncio.Event()

    def send(self, opcode: Opcode, data: bytes = b"", *, fin: bool = True) -> None:
        """Send one frame."""
        self.lower.write(frame(opcode, data, fin=fin))

    def heard(self, opcode: Opcode) -> list[bytes]:
        """What came in frames of one kind."""
        return [data for kind, data in self.frames if kind is opcode]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what has been heard makes `condition` true."""
        async with asyncio.timeout(10):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    def data_received(self, data: memoryview) -> None:
        self._protocol.receive_data(bytes(data))
        for event in self._protocol.events_received():
            if isinstance(event, Frame):
                self.frames.append((event.opcode, bytes(event.data)))
        # What the library would answer is thrown away: tests say themselves what is sent.
        self._protocol.data_to_send()
        self._changed.set()

    def eof_received(self) -> None:
        self.ended = True
        self._changed.set()

    def connection_lost(self, _: Exception | None) -> None:
        self.lost = True
        self._changed.set()

    def pause_writing(self) -> None:
        pass

    def resume_writing(self) -> None:
        pass


async def joined(*, half_closes: bool = True, interval: float = 3600) -> tuple[Peer, Link]:
    """A peer made by hand, and the server's link that it talks to."""
    near, far = await tcp_pair()
    accepted: asyncio.Future[Link] = asyncio.get_running_loop().create_future()
    WebSocketAcceptor(accepted.set_result, 10, interval, Log(WARN)).accept(far, b"")
    protocol = ClientProtocol(parse_uri("ws://x/"), subprotocols=[HALF_CLOSE] if half_closes else None, logger=QUIET)
    peer = Peer(near, protocol)
    near.attach(peer)
    protocol.send_request(protocol.connect())
    near.write(b"".join(protocol.data_to_send()))
    return peer, await accepted
