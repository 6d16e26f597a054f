"""Both ends of HTTP/2 over real TLS: this project's, and bare ones that say what they like."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, StreamEnded, StreamReset
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame, GoAwayFrame

from nodepass.log import WARN, Log
from nodepass.transport.http2 import Http2Acceptor, Http2Dialer
from tests.unit.transport.links import HTTP2_ALPN, HTTP2_CERTIFICATE, SHARED, Ready, connected_sockets, encrypt, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nodepass.transport.base import Link
    from nodepass.transport.tls_link import TlsLink

FRAME_HEADER = 9
PREAMBLE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What a client begins with (RFC 9113, 3.4)."""
REQUEST = [(":method", "POST"), (":scheme", "https"), (":authority", "none"), (":path", "/stream")]
OPENING = b"\x00"


async def encrypted(alpn: tuple[str, ...] = HTTP2_ALPN) -> tuple[TlsLink, TlsLink]:
    """Two ends of a TLS connection, the client's and the server's, closed with the test."""
    ends = await encrypt(*connected_sockets(), alpn, HTTP2_CERTIFICATE)
    SHARED.extend(ends)
    return ends


class Accepted:
    """What a server has accepted."""

    def __init__(self, most: int = 1024, timeout: float = 10) -> None:
        self.links: list[Link] = []
        self.arrived = asyncio.Event()
        self.acceptor = Http2Acceptor(self._accepted, most, timeout, Log(WARN))

    def _accepted(self, link: Link) -> None:
        self.links.append(link)
        self.arrived.set()

    async def until(self, count: int) -> list[Link]:
        """Wait for so many."""
        async with asyncio.timeout(10):
            while len(self.links) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return self.links


async def joined(count: int) -> tuple[list[Link], list[Link]]:
    """So many streams of one connection between this project's ends: the client's links, and the server's, in order."""
    near, far = await encrypted()
    accepted = Accepted()
    accepted.acceptor.accept(far, b"")
    dialer = Http2Dialer(Ready(near), "none", Log(WARN))
    links = []
    for number in range(count):
        links.append(await opened(dialer))
        await accepted.until(number + 1)
    return links, accepted.links


class Bare:
    """One end that is only h2, and bytes where h2 would not do it.

    Args:
        lower: its end of a TLS connection.
        client: whether it is the client's.
        settings: what it announces.
        begin: whether to do so at once.
    """

    def __init__(
        self, lower: TlsLink, *, client: bool, settings: dict[SettingCodes, int] | None = None, begin: bool = True
    ) -> None:
        self.lower = lower
        self.h2 = H2Connection(H2Configuration(client_side=client))
        self.h2.local_settings = Settings(client=client, initial_values=settings or {})
        self.events: list[Event] = []
        self.frames: list[Frame] = []
        """Every frame that came, as it was."""
        self.lost = False
        self.reads = True
        """Whether h2 is told what comes."""
        self._unparsed = b""
        self._preamble = 0 if client else len(PREAMBLE)
        self._changed = asyncio.Event()
        if begin:
            self.h2.initiate_connection()
        lower.attach(self)
        self.flush()

    def flush(self) -> None:
        """Send what h2 has made."""
        if data := self.h2.data_to_send():
            self.lower.write(data)

    def send(self, *frames: Frame) -> None:
        """Send frames past h2."""
        self.lower.write(b"".join(frame.serialize() for frame in frames))

    def request(self, *, headers: Iterable[tuple[str, str]] = REQUEST, body: bytes = OPENING, end: bool = False) -> int:
        """Open a stream; its number."""
        stream_id = self.h2.get_next_available_stream_id()
        self.h2.send_headers(stream_id, headers, end_stream=end and not body)
        if body:
            self.h2.send_data(stream_id, body, end_stream=end)
        return stream_id

    def of(self, kind: type[Event], stream_id: int = 0) -> list[Event]:
        """The events of a kind, about a stream if one is given."""
        return [
            event
            for event in self.events
            if isinstance(event, kind) and (not stream_id or getattr(event, "stream_id", 0) == stream_id)
        ]

    def data(self, stream_id: int) -> bytes:
        """What came on a stream."""
        return b"".join(
            event.data for event in self.events if isinstance(event, DataReceived) and event.stream_id == stream_id
        )

    def ended(self, stream_id: int) -> bool:
        """Whether a stream has ended, in order or not."""
        return bool(self.of(StreamEnded, stream_id) or self.of(StreamReset, stream_id))

    @property
    def farewells(self) -> list[int]:
        """The error codes of each GOAWAY."""
        return [frame.error_code for frame in self.frames if isinstance(frame, GoAwayFrame)]

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until what came makes `condition` true."""
        async with asyncio.timeout(10):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    # As the link's receiver.

    def data_received(self, data: memoryview) -> None:
        self._unparsed += data
        if self._preamble and len(self._unparsed) >= self._preamble:
            self.h2.receive_data(self._unparsed[: self._preamble])
            self._unparsed, self._preamble = self._unparsed[self._preamble :], 0
        while len(self._unparsed) >= FRAME_HEADER:
            frame, size = Frame.parse_frame_header(memoryview(self._unparsed)[:FRAME_HEADER])
            if len(self._unparsed) < FRAME_HEADER + size:
                break
            frame.parse_body(memoryview(self._unparsed)[FRAME_HEADER : FRAME_HEADER + size])
            whole, self._unparsed = self._unparsed[: FRAME_HEADER + size], self._unparsed[FRAME_HEADER + size :]
            self.frames.append(frame)
            if self.reads and not self.lost and not isinstance(frame, GoAwayFrame):
                self.events += self.h2.receive_data(whole)
        self.flush()
        self._changed.set()

    def eof_received(self) -> None:
        self.lower.close()

    def connection_lost(self, _: Exception | None) -> None:
        self.lost = True
        self._changed.set()

    def pause_writing(self) -> None:
        pass

    def resume_writing(self) -> None:
        pass


async def bare_client(
    accepted: Accepted,
    *,
    begin: bool = True,
    settings: dict[SettingCodes, int] | None = None,
) -> Bare:
    """A bare client of this project's server."""
    near, far = await encrypted()
    accepted.acceptor.accept(far, b"")
    client = Bare(near, client=True, begin=begin, settings={SettingCodes.ENABLE_PUSH: 0, **(settings or {})})
    if begin:
        await client.until(lambda: client.events)
    return client


async def bare_server(settings: dict[SettingCodes, int] | None = None) -> tuple[Bare, TlsLink]:
    """A bare server, and the client's end of the connection to it."""
    near, far = await encrypted()
    return Bare(far, client=False, settings=settings), near
