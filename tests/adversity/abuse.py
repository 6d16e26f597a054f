"""What a client that has the key does below the stream that it was given: to the WebSocket, HTTP/2 or QUIC that carries it.

Each is done on a connection of its own, which the server has taken for one of its pool.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from hyperframe.frame import (
    DataFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from nodepass.config import PoolTransport
from nodepass.transport.http2.link import Http2Link
from nodepass.transport.quic.link import QuicLink
from nodepass.transport.websocket.link import WebSocketLink

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.transport.base import Link
    from nodepass.transport.quic.library import Engine

MASK: Final = bytes(4)
REQUEST: Final = b"\x83\x87\x41\x04none\x44\x07/stream"
"""`POST https://none/stream`, as HPACK's static table and literals have it."""

FIRST: Final = 100_001
"""A stream's number higher than any that the client itself has opened."""

FALSE_FRAMES: Final = (
    b"\x82\xff" + struct.pack("!Q", 1 << 63) + MASK + bytes(100_000),
    b"\x82\xff" + struct.pack("!Q", 1 << 40) + MASK + bytes(2_000_000),
    b"\x82\xfe\xff\xff" + MASK + bytes(10),
    b"\x89\xfe\x10\x00" + MASK + bytes(4096),
    b"\x82\x7e\xff\xff" + bytes(65_535),
    (b"\x02\x80" + MASK) + (b"\x00\x80" + MASK) * 100_000,
    (b"\x89\x80" + MASK) * 50_000,
    (b"\x82\x80" + MASK) * 200_000,
    b"\xff" * 100_000,
)
"""Frames of a WebSocket that say they are longer than they are, and ones that carry nothing, without end."""


def _resets() -> bytes:
    """Thousands of requests, each taken back at once."""
    numbers = range(FIRST, FIRST + 8000, 2)
    pairs = (
        HeadersFrame(number, REQUEST, flags=["END_HEADERS"]).serialize() + RstStreamFrame(number, error_code=8).serialize()
        for number in numbers
    )
    return b"".join(pairs)


FLOODS: Final = (
    _resets(),
    SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 1}).serialize() * 20_000,
    SettingsFrame(0, settings={SettingsFrame.HEADER_TABLE_SIZE: 1 << 31}).serialize(),
    PingFrame(0, bytes(8)).serialize() * 50_000,
    PriorityFrame(FIRST, depends_on=1).serialize() * 50_000,
    WindowUpdateFrame(0, window_increment=(1 << 31) - 1).serialize() * 10,
    DataFrame(FIRST, bytes(16_000)).serialize() * 100,
    b"\xff\xff\xff" + DataFrame(1, b"").serialize()[3:] + bytes(100_000),
    HeadersFrame(FIRST, b"\x40\x01a\x7f\xff" + b"a" * 10_000).serialize()
    + (struct.pack("!BHBBL", 0, 16_000, 9, 0, FIRST) + b"a" * 16_000) * 200,
)
"""Frames of HTTP/2: rapid reset, floods of all that asks for an answer, windows and lengths that are not so."""


def _below_websocket(words: bytes, link: Link) -> None:
    assert isinstance(link, WebSocketLink)
    link._lower.write(words)


def _below_http2(words: bytes, link: Link) -> None:
    assert isinstance(link, Http2Link)
    link._connection.lower.write(words)


def _to_engine(do: Callable[[Engine], None], link: Link) -> None:
    assert isinstance(link, QuicLink)
    do(link._streams._engine)
    # What it has to send now goes out with this.
    link.write(b"?")


def _pings(engine: Engine) -> None:
    for number in range(20_000):
        engine.send_ping(number)


def _keys(engine: Engine) -> None:
    # The library does not begin another before the peer has answered the last.
    with suppress(ValueError):
        while True:
            engine.request_key_update()


def _stops(engine: Engine) -> None:
    for number in range(0, 400, 4):
        # Some are over, and some are none.
        with suppress(ValueError):
            engine.stop_stream(number, 1)


def _names(engine: Engine) -> None:
    # As many as the peer has given.
    with suppress(ValueError):
        while True:
            engine.change_connection_id()


ABUSES: Final[dict[PoolTransport, tuple[Callable[[Link], None], ...]]] = {
    PoolTransport.TCP: (),
    PoolTransport.QUIC: tuple(partial(_to_engine, do) for do in (_pings, _keys, _stops, _names)),
    PoolTransport.WEBSOCKET: tuple(partial(_below_websocket, words) for words in FALSE_FRAMES),
    PoolTransport.HTTP2: tuple(partial(_below_http2, words) for words in FLOODS),
}
"""By transport."""
