"""Ends of streams, whatever is lost of what was sent before and with them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import Troubles, UdpWay
from tests.unit.transport.quic.ends import connection_of, ends

if TYPE_CHECKING:
    from nodepass.transport.quic.connection import Connection
    from nodepass.transport.quic.datagrams import DatagramSocket
    from tests.unit.transport.links import Notes
    from tests.unit.transport.quic.ends import Ends

PIECE = os.urandom(900)
"""Goes into one packet."""

SEVERAL = os.urandom(3000)
"""Goes into several."""

LATER = 4
"""Packets behind one that was lost which, once acknowledged, make that known."""

each_end = pytest.mark.parametrize("end", ["client", "server"])


class Wire:
    """What a connection sends, lost when a test wants it.

    Args:
        connection: whose socket this takes the place of.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._socket: DatagramSocket = connection._sender.socket
        connection._sender.socket = self  # type: ignore[assignment] # the part of it that a sender uses
        self._losing = False

    @property
    def blocked(self) -> bool:
        return self._socket.blocked

    def send(self, batch: list[bytes], *where: Any) -> None:
        if not self._losing:
            self._socket.send(batch, *where)

    def lose(self) -> None:
        """Lose what is to be sent now."""
        self._losing = True
        self._connection.transmit()
        self._losing = False

    def follow(self) -> None:
        """Send several packets more."""
        for _ in range(LATER):
            self._connection.ping()
            self._connection.transmit()


def at(end: str, made: Ends, pair: tuple[Notes, Notes]) -> tuple[Wire, Notes, Notes]:
    """The way from this end, what is there of a stream, and what is at the other."""
    near, far = pair
    if end == "client":
        return Wire(connection_of(made.dialers[0])), near, far
    return Wire(made.connections[0]), far, near


@each_end
@pytest.mark.parametrize("data", [PIECE, SEVERAL], ids=["one packet", "several"])
async def test_an_end_arrives_that_was_lost_with_the_data_before(end: str, data: bytes) -> None:
    async with ends() as made:
        wire, one, other = at(end, made, await made.pair())
        one.link.write(data)
        wire.lose()
        one.link.write_eof()
        wire.lose()
        wire.follow()
        await other.until(lambda: "eof" in other.events)
        assert other.data == data


@each_end
async def test_a_stream_makes_place_for_another_although_its_data_came_after_its_end(end: str) -> None:
    async with ends(most=1) as made:
        dialer = made.dialer()
        pairs = [await made.pair(dialer), await made.pair(dialer)]
        wire, one, other = at(end, made, pairs[0])
        one.link.write(PIECE)
        wire.lose()
        one.link.write_eof()
        wire.follow()
        other.link.write_eof()
        await one.until(lambda: "lost" in one.events)
        await other.until(lambda: "lost" in other.events)
        assert other.data == PIECE
        await made.pair(dialer)
        await made.until(lambda: connection_of(dialer).engine.core.active_local_streams[0] == 2)


@each_end
async def test_an_end_goes_at_once_with_data_or_where_nothing_is_on_its_way(end: str) -> None:
    async with ends() as made:
        for data in (PIECE, SEVERAL * 1000, b""):
            wire, one, other = at(end, made, await made.pair())
            streams = wire._connection.streams
            await made.until(lambda core=wire._connection.engine.core: not core.bytes_in_flight)  # type: ignore[misc]
            one.link.write(data)
            one.link.write_eof()
            assert not streams.ending
            await other.until(lambda other=other: "eof" in other.events)  # type: ignore[misc]
            assert other.data == data


async def test_an_end_waits_for_no_more_than_what_was_on_its_way() -> None:
    """What others go on sending does not hold it up."""
    async with ends() as made:
        dialer = made.dialer()
        wire, one, other = at("client", made, await made.pair(dialer))
        busy, _ = await made.pair(dialer)
        one.link.write(PIECE)
        wire._connection.transmit()
        busy.link.write(SEVERAL * 4000)
        one.link.write_eof()
        assert wire._connection.streams.ending
        await other.until(lambda: "eof" in other.events)
        assert other.data == PIECE


@each_end
async def test_a_connection_that_is_left_stays_until_an_end_has_arrived(end: str) -> None:
    async with ends() as made:
        wire, one, other = at(end, made, await made.pair())
        one.link.write(PIECE)
        wire.lose()
        one.link.close()
        carriers = made.dialers[0] if end == "client" else made.listener
        carriers.close()
        wire.lose()
        wire.follow()
        await carriers.departed()
        await other.until(lambda: "eof" in other.events)
        assert other.data == PIECE


async def test_a_stream_that_is_broken_off_after_its_end_is_broken() -> None:
    async with ends() as made:
        wire, one, other = at("client", made, await made.pair())
        one.link.write(PIECE)
        wire.lose()
        one.link.write_eof()
        one.link.break_off()
        wire.follow()
        await one.until(lambda: "lost" in one.events)
        await other.until(lambda: "lost" in other.events)
        assert other.data == PIECE
        assert other.error is not None


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_many_ends_arrive_over_a_bad_way(seed: int) -> None:
    async with ends() as made:
        with UdpWay(made.port, troubles=Troubles(loss=0.1, swap=0.05), seed=seed) as way:
            dialer = made.dialer(port=way.port)
            pairs = [await made.pair(dialer) for _ in range(40)]
            for near, far in pairs:
                near.link.write(PIECE)
                far.link.write(SEVERAL)
            connection_of(dialer).transmit()
            made.connections[0].transmit()
            for near, far in pairs:
                near.link.write_eof()
                far.link.write_eof()
            for near, far in pairs:
                for notes in (near, far):
                    await notes.until(lambda notes=notes: "lost" in notes.events)  # type: ignore[misc]
                assert far.data == PIECE
                assert near.data == SEVERAL
