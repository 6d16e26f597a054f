"""How much streams may give the library to send, by what can be sent."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from nodepass.transport.quic.sending import BACKLOG, Sending

SMALLEST_WINDOW = 2 * 1200
LARGE_WINDOW = 1_000_000
LOTS = 100_000


class Core:
    """An engine's core, as far as streams write into it."""

    def __init__(self, window: int) -> None:
        self.congestion_window = window
        self.bytes_in_flight = 0
        self.written: dict[int, int] = {}

    def get_send_buffer_size(self, stream_id: int | None = None) -> int:
        return sum(self.written.values()) if stream_id is None else self.written.get(stream_id, 0)

    def send_stream(self, stream_id: int, data: bytes) -> None:
        self.written[stream_id] = self.get_send_buffer_size(stream_id) + len(data)


class Link:
    """A link with bytes to be sent."""

    def __init__(self, sending: Sending, stream_id: int) -> None:
        self._sending = sending
        self.id = stream_id
        self.unsent = LOTS
        self.sent = self.written = 0

    def room(self) -> None:
        self.unsent -= self._sending.carry(self, bytes(self.unsent))  # type: ignore[arg-type]


class Some:
    """Links of one connection.

    Args:
        window: of the connection.
        count: of the links.
    """

    def __init__(self, window: int, count: int) -> None:
        self.core = Core(window)
        self.engine: Any = SimpleNamespace(core=self.core, rounds=0, careful=False)
        engine, carrier, credit = self.engine, SimpleNamespace(wake=lambda: None), SimpleNamespace(given=False)
        self.links: list[Link] = []
        self.sending = Sending(engine, carrier, credit, self.links)  # type: ignore[arg-type] # what it uses of them
        self.links += [Link(self.sending, number) for number in range(count)]
        self.sending.measure()

    def send(self, *, paced: bool = False) -> None:
        """Send as much as goes into the window."""
        self.engine.rounds += 1
        for stream_id, waiting in tuple(self.core.written.items()):
            size = min(waiting, self.core.congestion_window - self.core.bytes_in_flight)
            self.core.bytes_in_flight += size
            self.core.written[stream_id] -= size
        self.sending.sent(paced=paced)

    def acknowledge(self) -> None:
        """All that is on its way has arrived."""
        self.core.bytes_in_flight = 0
        self.sending.measure()
        self.sending.give_room()


def test_one_stream_alone_has_something_in_reserve() -> None:
    some = Some(SMALLEST_WINDOW, 1)
    some.links[0].room()
    some.send()
    assert BACKLOG // 2 < some.core.get_send_buffer_size() <= SMALLEST_WINDOW + BACKLOG


def test_several_that_want_more_take_turns() -> None:
    some = Some(SMALLEST_WINDOW, 3)
    for link in some.links:
        link.room()
    while any(link.unsent for link in some.links):
        if sum(waiting > 0 for waiting in some.core.written.values()) > 1:
            assert some.core.get_send_buffer_size() < some.core.congestion_window - some.core.bytes_in_flight
        before = [link.unsent for link in some.links]
        assert max(before) - min(before) <= 2 * (SMALLEST_WINDOW + BACKLOG)
        some.send()
        some.acknowledge()


def test_several_write_what_can_be_sent_and_no_more() -> None:
    some = Some(LARGE_WINDOW, 30)
    for link in some.links:
        link.room()
    assert sum(waiting > 0 for waiting in some.core.written.values()) > 1
    assert LARGE_WINDOW // 2 < some.core.get_send_buffer_size() < LARGE_WINDOW


def test_none_waits_for_ever_where_there_is_no_reserve() -> None:
    some = Some(SMALLEST_WINDOW, 2)
    some.engine.careful = True
    for link in some.links:
        link.room()
    while any(link.unsent for link in some.links):
        before = sum(link.unsent for link in some.links)
        some.send()
        some.acknowledge()
        assert sum(link.unsent for link in some.links) < before


def test_what_a_peer_does_not_take_holds_up_nobody() -> None:
    some = Some(LARGE_WINDOW, 2)
    stuck, other = some.links
    some.core.send_stream(stuck.id, bytes(LARGE_WINDOW))
    stuck.room()
    some.engine.rounds += 1
    some.sending.sent(paced=False)
    other.room()
    assert not other.unsent
