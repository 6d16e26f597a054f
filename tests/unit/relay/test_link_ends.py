"""Datagrams in a link, framed: what goes in comes out, or is dropped as a whole; memory is bounded."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodepass.protocol.udp_frame import header
from nodepass.relay.link_ends import BATCH, LARGEST_DATAGRAM, MOST_UNSENT, FramedEnd
from tests.unit.protocol.chunks import cut, cuts
from tests.unit.relay.fakes import FakeLink, Lines

LARGEST = 65535


class Hearer:
    """Writes down what an end delivers; may pause it."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.lost: list[Exception | None] = []
        self.end: FramedEnd | None = None
        self.pause_at = -1

    def datagram_received(self, datagram: memoryview) -> None:
        self.heard.append(bytes(datagram))
        if len(self.heard) == self.pause_at and self.end is not None:
            self.end.pause()

    def end_lost(self, error: Exception | None) -> None:
        self.lost.append(error)


def framed(datagrams: list[bytes]) -> bytes:
    return b"".join(header(len(datagram)) + datagram for datagram in datagrams)


def started(
    link: FakeLink, *, largest: int = LARGEST, early: bytes = b"", ended: bool = False, lines: Lines | None = None
) -> tuple[FramedEnd, Hearer]:
    end, hearer = FramedEnd(link, largest, (lines or Lines()).log, early, ended=ended), Hearer()
    hearer.end = end
    end.start(hearer)
    return end, hearer


async def turn() -> None:
    """Let what was planned for the end of this turn of the loop happen."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


# What comes.


@given(st.lists(st.binary(max_size=300), max_size=6), cuts, st.integers(0, 100_000))
def test_however_the_stream_is_cut_the_datagrams_are_the_same(
    datagrams: list[bytes], places: list[int], early: int
) -> None:
    async def main() -> None:
        data = framed(datagrams)
        before = early % (len(data) + 1)
        link = FakeLink()
        _, hearer = started(link, early=data[:before])
        for piece in cut(data[before:], places):
            link.hears(piece)
        assert hearer.heard == datagrams

    asyncio.run(main())


async def test_an_end_that_was_read_before_comes_behind_the_datagrams() -> None:
    _, hearer = started(FakeLink(), early=framed([b"one", b""]) + b"\x00", ended=True)
    assert hearer.heard == [b"one", b""]
    assert hearer.lost == [None]


@pytest.mark.parametrize("error", [None, ConnectionResetError("broken")])
async def test_the_end_of_the_link_is_told(error: Exception | None) -> None:
    link = FakeLink()
    _, hearer = started(link)
    if error is None:
        link.hears_end()
    else:
        link.breaks(error)
    assert hearer.lost == [error]


async def test_one_that_is_too_large_is_dropped_alone_and_told_of() -> None:
    link, lines = FakeLink(), Lines()
    _, hearer = started(link, largest=100, lines=lines)
    link.hears(framed([b"before", bytes(101), bytes(100), b"behind"]))
    assert hearer.heard == [b"before", bytes(100), b"behind"]
    assert lines.lines == ["UDP: dropped a datagram of 101 bytes from the tunnel: NP_UDP_DATA_BUF_SIZE is 100"]


@pytest.mark.parametrize("at", [1, 2, 3])
async def test_what_came_with_the_one_that_was_the_last_wanted_waits(at: int) -> None:
    link = FakeLink()
    end, hearer = started(link)
    hearer.pause_at = at
    datagrams = [b"one", b"two", b"three", b"four"]
    link.hears(framed(datagrams) + b"\x00\x05fi")
    assert hearer.heard == datagrams[:at]
    assert link.is_paused()
    hearer.pause_at = at + 1
    end.resume()
    # Not from inside the call.
    assert hearer.heard == datagrams[:at]
    await turn()
    assert hearer.heard == datagrams[: at + 1]
    assert link.is_paused()
    hearer.pause_at = -1
    end.resume()
    await turn()
    assert hearer.heard == datagrams
    assert not link.is_paused()
    link.hears(b"ve")
    link.hears(b"!")
    assert hearer.heard == [*datagrams, b"five!"]


async def test_what_waits_is_forgotten_with_the_end() -> None:
    link = FakeLink()
    end, hearer = started(link)
    hearer.pause_at = 1
    link.hears(framed([b"one", b"two"]))
    end.resume()
    end.close()
    await turn()
    assert hearer.heard == [b"one"]


# What goes.


async def test_those_of_one_turn_go_together_and_in_order() -> None:
    link = FakeLink()
    end, _ = started(link)
    memory = bytearray(b"first")
    assert end.send(memoryview(memory))
    memory[:] = b"?????"
    assert end.send(b"")
    assert end.send(b"third")
    assert link.writes == []
    await turn()
    assert link.writes == [framed([b"first", b"", b"third"])]
    assert end.send(b"later")
    await turn()
    assert link.writes[1:] == [framed([b"later"])]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 16384, 16385, LARGEST_DATAGRAM, LARGEST])
async def test_every_size_goes_and_comes(size: int) -> None:
    near, far = FakeLink(), FakeLink()
    end, _ = started(near)
    _, hearer = started(far)
    datagram = bytes(number & 0xFF for number in range(size))
    assert end.send(datagram)
    await turn()
    far.hears(near.sent)
    assert hearer.heard == [datagram]


async def test_a_long_turn_is_written_in_batches() -> None:
    link = FakeLink()
    end, _ = started(link)
    sent = 0
    while len(link.writes) < 3:
        assert end.send(bytes(10_000))
        sent += 1
        assert sent < 100
    assert all(len(write) <= BATCH + LARGEST + 100 for write in link.writes)
    await turn()
    assert link.sent == framed([bytes(10_000)] * sent)


async def test_a_link_that_takes_no_more_has_datagrams_dropped() -> None:
    link = FakeLink()
    end, _ = started(link)
    link.unsent_now = MOST_UNSENT
    assert end.send(b"the last")
    assert not end.send(b"one too many")
    await turn()
    link.unsent_now = MOST_UNSENT + 1
    assert not end.send(b"")
    link.unsent_now = 0
    assert end.send(b"after that")
    await turn()
    assert link.sent == framed([b"the last", b"after that"])


async def test_what_waits_for_the_link_is_bounded_whatever_is_sent() -> None:
    class Stuck(FakeLink):
        """Takes everything and sends nothing on, as a link whose peer does not read."""

        __slots__ = ()

        @property
        def unsent(self) -> int:
            return len(self.sent)

    link = Stuck()
    end, _ = started(link)
    sizes = itertools.cycle([0, 1, 1400, LARGEST])
    taken = sum(end.send(bytes(next(sizes))) for _ in range(2000))
    assert 0 < taken < 200
    await turn()
    assert MOST_UNSENT < len(link.sent) <= MOST_UNSENT + LARGEST + 2 * taken


async def test_what_was_sent_goes_out_before_the_close() -> None:
    link = FakeLink()
    end, hearer = started(link)
    assert end.send(b"goodbye")
    end.close()
    assert link.sent == framed([b"goodbye"])
    assert link.end == "close"
    await turn()
    assert link.writes == [framed([b"goodbye"])]
    assert hearer.lost == [None]
