"""A listener against those it does not know, who know no rules, or come in numbers; users go on meanwhile."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from time import monotonic
from typing import TYPE_CHECKING, Self

from qh3.quic.configuration import QuicConfiguration
from qh3.quic.connection import QuicConnection

from nodepass.config import Tunables
from nodepass.net.certificates import ClientTls, client_context
from nodepass.transport.quic import listener
from nodepass.transport.quic.library import Engine
from nodepass.transport.quic.packets import Retries, parse_long
from nodepass.transport.quic.settings import ALPN, Limits, client_configuration
from tests.unit.transport.quic.ends import LOCALHOST, connection_of, ends

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

    from nodepass.net.address import SocketAddress
    from tests.unit.transport.links import Notes
    from tests.unit.transport.quic.ends import Ends

MOST = 20


ELSEWHERE = "127.0.0.2"
"""Another source."""


class Stranger:
    """A UDP socket from which anything can be sent."""

    def __init__(self, made: Ends, source: str = LOCALHOST) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind((source, 0))
        self._sock.connect((LOCALHOST, made.port))
        self._sock.setblocking(False)
        self.address: SocketAddress = self._sock.getsockname()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def send(self, datagram: bytes) -> None:
        self._sock.send(datagram)

    def answers(self) -> Iterator[bytes]:
        while True:
            try:
                yield self._sock.recv(65536)
            except BlockingIOError:
                return


def starting(alpn: str = ALPN) -> QuicConnection:
    """A client that has something to send."""
    configuration = QuicConfiguration(is_client=True, alpn_protocols=[alpn], verify_mode=0, probe_datagram_size=False)
    client = QuicConnection(configuration=configuration)
    client.connect((LOCALHOST, 1), monotonic())
    return client


def flight(client: QuicConnection) -> list[bytes]:
    """What a client sends now."""
    return [datagram for datagram, _ in client.datagrams_to_send(monotonic())]


def first_flight(alpn: str = ALPN) -> list[bytes]:
    """What a client sends first."""
    return flight(starting(alpn))


async def begin_handshake(made: Ends, stranger: Stranger) -> bool:
    """Begin a handshake that is not gone on with; gives whether the address had to be proved."""
    client, before = starting(), set(made.connections)
    sent = flight(client)
    answers: list[bytes] = []
    header = parse_long(sent[0])
    assert header is not None
    for datagram in sent:
        stranger.send(datagram)

    def answered() -> bool:
        # Those of handshakes before are sent again meanwhile.
        for answer in stranger.answers():
            heard = parse_long(answer)
            if heard is not None and heard.destination == header.source:
                answers.append(answer)
        return bool(answers)

    await made.until(answered)
    asked = answers[0][0] & 0xF0 == 0xF0
    if asked:
        client.receive_datagram(answers[0], (LOCALHOST, 1), monotonic())
        for datagram in flight(client):
            stranger.send(datagram)
    await made.until(lambda: set(made.connections) - before)
    return asked


async def goes_on(near: Notes, far: Notes) -> None:
    """A user's stream still carries, both ways."""
    for one, other in ((near, far), (far, near)):
        other.data.clear()
        text = os.urandom(5000)
        one.link.write(text)
        await other.until(lambda other=other: len(other.data) == 5000)  # type: ignore[misc]
        assert other.data == text


async def test_garbage_is_dropped() -> None:
    chance = random.Random(7)
    async with ends() as made:
        near, far = await made.pair()
        dialer = made.dialers[0]
        with Stranger(made) as stranger:
            flight = first_flight()
            real = connection_of(dialer).engine.core
            cid = made.connections[0].engine.first_cid
            for number in range(400):
                kind = number % 6
                if kind == 0:
                    datagram = chance.randbytes(chance.randrange(1, 1500))
                elif kind == 1:
                    datagram = flight[0][: chance.randrange(1, len(flight[0]))]
                elif kind == 2:
                    place = chance.randrange(len(flight[0]))
                    datagram = (
                        flight[0][:place] + bytes([flight[0][place] ^ 1 << chance.randrange(8)]) + flight[0][place + 1 :]
                    )
                elif kind == 3:
                    datagram = b"\x40" + cid + chance.randbytes(chance.randrange(0, 60))
                elif kind == 4:
                    datagram = b"\xc0\x00\x00\x00\x01\x08" + cid + chance.randbytes(1300)
                else:
                    datagram = b"\x80" + chance.randbytes(1300)
                stranger.send(datagram)
                if number % 50 == 0:
                    await asyncio.sleep(0.005)
            assert real.state == "connected"
            await goes_on(near, far)
        assert not near.link.gone


async def test_who_is_not_known_gets_no_answer() -> None:
    async with ends() as made:
        near, far = await made.pair()
        made.known.clear()
        with Stranger(made) as stranger:
            for datagram in first_flight():
                stranger.send(datagram)
            # What is known by its connection goes on, and has been read behind that.
            await goes_on(near, far)
            assert not list(stranger.answers())
        assert len(made.connections) == 1


async def test_another_protocol_is_refused() -> None:
    async with ends() as made:
        near, far = await made.pair()
        with Stranger(made) as stranger:
            for datagram in first_flight("h3"):
                stranger.send(datagram)
            await made.until(lambda: made.lines.warnings)
            assert len(made.connections) == 1
            assert len(made.lines.warnings) == 1
            assert "ALPN" in made.lines.warnings[0]
        await goes_on(near, far)


async def test_handshakes_that_come_to_nothing_are_few_and_short() -> None:
    async with ends() as made:
        near, far = await made.pair()
        made.listener._handshake_timeout = 0.3
        with Stranger(made) as stranger:
            for _ in range(50):
                for datagram in first_flight():
                    stranger.send(datagram)
                await asyncio.sleep(0)
            await goes_on(near, far)
            assert len(made.connections) <= 1 + listener.TRUSTED_HANDSHAKES
            retries = [answer for answer in stranger.answers() if answer[0] & 0xF0 == 0xF0]
            assert retries
        # A client that proves its address gets in although handshakes of that address are under way.
        await made.pair(made.dialer())
        await made.until(lambda: len(made.connections) == 2)
        assert len(made.listener._handshakes) == 0
        await goes_on(near, far)


async def test_handshakes_that_never_finish_keep_nobody_from_elsewhere_out() -> None:
    async with ends() as made:
        made.known.add(ELSEWHERE)
        made.listener._handshake_timeout = 3600.0
        with Stranger(made, ELSEWHERE) as stranger:
            asked = [await begin_handshake(made, stranger) for _ in range(listener.MOST_HANDSHAKES)]
            assert asked == [number >= listener.TRUSTED_HANDSHAKES for number in range(listener.MOST_HANDSHAKES)]
            begun = made.connections
            assert len(begun) == listener.MOST_HANDSHAKES
            await goes_on(*await made.pair())
            # The oldest had to leave for the client's.
            assert made.connections[:-1] == begun[1:]
            # They push out each other, and not the client that is there.
            assert await begin_handshake(made, stranger)
            assert await begin_handshake(made, stranger)
            assert len(made.connections) == 1 + listener.MOST_HANDSHAKES
            assert begun[1] not in made.connections
        assert any("others have come" in line for line in made.lines.warnings)


async def test_strangers_push_out_strangers_and_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener, "MOST_STRANGERS", 4)
    async with ends() as made:
        near, far = await made.pair(made.dialer())
        made.vouches = False
        strangers = [await made.pair(made.dialer()) for _ in range(8)]
        await made.until(lambda: [line for line in made.lines.warnings if "prove nothing" in line])
        await made.until(lambda: all(stranger.link.gone for stranger, _ in strangers[:4]))
        assert not any(stranger.link.gone for stranger, _ in strangers[4:])
        await goes_on(near, far)


async def test_who_proves_nothing_is_sent_away() -> None:
    # Long enough for who does prove something, on a machine that is busy.
    async with ends(tunables=Tunables(handshake_timeout=1.0)) as made:
        near, far = await made.pair(made.dialer())
        made.vouches = False
        stranger, _ = await made.pair(made.dialer())
        await made.until(lambda: stranger.link.gone)
        await goes_on(near, far)


async def test_a_peer_that_opens_ten_thousand_streams_meets_the_limit() -> None:
    async with ends(most=MOST) as made:
        dialer = made.dialer()
        near, far = await made.pair(dialer)
        core = connection_of(dialer).engine.core
        opened = 0
        for _ in range(10_000):
            try:
                stream_id = core.open_stream(unidirectional=False)
            except ValueError:
                break
            core.send_stream(stream_id, b"\0")
            opened += 1
        assert opened == MOST
        connection_of(dialer).wake()
        await goes_on(near, far)


async def test_one_that_does_not_keep_to_the_limit_loses_its_connection() -> None:
    async with ends(most=MOST) as made:
        bystander = await made.pair(made.dialer())
        dialer = made.dialer()
        near, _ = await made.pair(dialer)
        core = connection_of(dialer).engine.core
        # As if the server had allowed more.
        core.apply_peer_transport_parameters(1 << 24, 1 << 20, 1 << 20, 1 << 20, 10_000, 1, 3, 0.025, 15.0, None)
        for _ in range(2000):
            core.send_stream(core.open_stream(unidirectional=False), b"\0")
        connection_of(dialer).wake()
        await near.until(lambda: "lost" in near.events)
        await goes_on(*bystander)
        await made.until(lambda: len(made.connections) == 1)


async def test_a_retry_is_answered_once_and_in_time() -> None:
    retries = Retries()
    header = parse_long(first_flight()[0])
    assert header is not None
    address = (LOCALHOST, 999)
    asked = parse_long(retries.retry(header, address))
    assert asked is not None
    again = header._replace(destination=asked.source, token=asked.token)
    assert retries.check(again, address) == header.destination
    assert retries.check(again, (LOCALHOST, 998)) is None
    assert retries.check(again._replace(destination=b"other id"), address) is None
    assert retries.check(again._replace(token=asked.token[:-1] + b"x"), address) is None
    assert retries.check(again._replace(token=b""), address) is None
    assert Retries().check(again, address) is None


def test_an_engine_survives_random_datagrams() -> None:
    """What the library makes of them is its matter; this end takes any exception for the end of that connection."""
    chance = random.Random(3)
    insecure = ClientTls(client_context(verify=False), None)
    client = Engine(client_configuration(insecure, 15.0), Limits(1, 15.0))
    client.connect((LOCALHOST, 1), monotonic())
    for _ in range(300):
        data = bytes([chance.choice((0x40, 0xC0, 0xF0, 0x80))]) + chance.randbytes(chance.randrange(0, 1400))
        client.receive(data, len(data), (LOCALHOST, 1), monotonic())
    assert not client.ended
