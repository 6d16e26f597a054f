"""A frame that is left of a stream which has ended does not cost the connection its life."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nodepass.transport.quic import sender as sending_datagrams
from nodepass.transport.quic.leftovers import Leftovers
from nodepass.transport.quic.sender import Sender
from tests.unit.transport.quic.ends import connection_of, ends
from tests.unit.transport.quic.test_library import CLIENT, SERVER, Couple

if TYPE_CHECKING:
    from nodepass.transport.quic.library import Engine

SHORT = 10
"""Streams with a request and an answer."""

DELAY = 0.03
"""Seconds after which an end acknowledges in any case."""


class Nowhere:
    """A socket that takes datagrams nowhere."""

    blocked = False

    def send(self, *_: Any) -> None:
        pass


def until_sent_again(engine: Engine, now: float) -> float:
    """Have the clock go on, and the other end say nothing, until this one has sent something again; when that is."""
    while not engine.core.pto_total:
        timer = engine.core.get_timer()
        assert timer is not None
        now = timer[1]
        engine.core.handle_timer(now)
        engine.datagrams_to_send(now)
    return now


class Late(Couple):
    """A client whose streams have been answered and acknowledged, which it hears only after it has sent again.

    There is one more stream, with more than can be sent: so not all that was to be sent again has gone out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.exchange()
        client, server, now = self.client, self.server, self._now
        short = [client.core.open_stream(unidirectional=False) for _ in range(SHORT)]
        for stream_id in short:
            client.core.send_stream(stream_id, bytes(600), fin=True)
        for datagram, _ in client.datagrams_to_send(now):
            server.receive(datagram, len(datagram), CLIENT, now)
        for stream_id in short:
            server.core.send_stream(stream_id, bytes(600), fin=True)
        answers = server.datagrams_to_send(now)
        server.core.handle_timer(now + DELAY)
        answers += server.datagrams_to_send(now + DELAY)
        self.bulk = client.core.open_stream(unidirectional=False)
        client.core.send_stream(self.bulk, bytes(50_000))
        client.datagrams_to_send(now)
        self._now = until_sent_again(client, now)
        for datagram, _ in answers:
            client.receive(datagram, len(datagram), SERVER, self._now)

    def take_events(self) -> None:
        """Take the client's events, among them those that streams have ended."""
        self.client._drain_core()
        assert sum(event[0] == "stream_data" for event in self.client.held) == SHORT

    def leftovers(self, monkeypatch: pytest.MonkeyPatch) -> Leftovers:
        """The client's."""
        monkeypatch.setattr(sending_datagrams, "monotonic", lambda: self._now)
        return leftovers_of(self.client)


def leftovers_of(engine: Engine) -> Leftovers:
    return Leftovers(engine, Sender(engine, Nowhere(), None))  # type: ignore[arg-type] # the part of it that a sender uses


def test_the_library_gives_up_where_a_copy_is_left_of_a_stream_that_ended() -> None:
    """It is why there are `Leftovers`."""
    late = Late()
    late.take_events()
    with pytest.raises(ValueError, match="reserved stream is missing"):
        late.client.datagrams_to_send(late._now)


def test_it_does_not_where_copies_go_out_first(monkeypatch: pytest.MonkeyPatch) -> None:
    late = Late()
    leftovers = late.leftovers(monkeypatch)
    assert leftovers.are_left()
    late.exchange(taking=False)
    assert not leftovers.are_left()
    late.take_events()
    late.exchange()
    assert not late.client.core.get_send_buffer_size(late.bulk)


def test_events_wait_while_copies_cannot_go_out(monkeypatch: pytest.MonkeyPatch) -> None:
    couple = Couple()
    couple.exchange()
    client = couple.client
    monkeypatch.setattr(sending_datagrams, "monotonic", lambda: couple._now)
    leftovers = leftovers_of(client)
    stream_id = client.core.open_stream(unidirectional=False)
    client.core.send_stream(stream_id, bytes(50_000))
    client.datagrams_to_send(couple._now)
    assert not leftovers.are_left()
    couple._now = until_sent_again(client, couple._now)
    assert leftovers.are_left()
    assert client.careful
    couple.exchange()
    assert not leftovers.are_left()
    couple.exchange()
    assert not leftovers.are_left()
    assert not client.careful


def test_a_peer_that_ends_the_connection_meanwhile_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    late = Late()
    leftovers = late.leftovers(monkeypatch)
    assert leftovers.are_left()
    late.server.finish(7, "enough")
    for datagram, _ in late.server.datagrams_to_send(late._now):
        late.client.receive(datagram, len(datagram), SERVER, late._now)
    assert not leftovers.are_left()
    late.client._drain_core()
    assert late.client.ended


async def test_care_is_taken_of_orders_to_end_until_they_have_arrived() -> None:
    async with ends() as made:
        near, far = await made.pair()
        engine = connection_of(made.dialers[0]).engine
        near.link.abort()
        assert engine.careful
        await far.until(lambda: "lost" in far.events)
        await made.until(lambda: not engine.careful)
