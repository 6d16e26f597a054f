"""A stream of a shared connection, against a connection that exists only here: any order of events, by both sides."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from nodepass.net.address import Address
from nodepass.transport.base import HIGH_WATER
from nodepass.transport.stream_link import StreamLink

if TYPE_CHECKING:
    from collections.abc import Callable

REMOTE = Address("127.0.0.1", 1)


class Stream(StreamLink):
    """Notes what it would hand to its connection, which takes as much as `takes` says."""

    def __init__(self) -> None:
        super().__init__(REMOTE)
        self.takes = 0
        self.carried = bytearray()
        self.consumed = 0
        self.told: list[str] = []

    @property
    def fingerprint(self) -> None:
        return None

    def vouch(self) -> None:
        self.told.append("vouch")

    def _carry(self, data: bytes | bytearray | memoryview) -> int:
        assert not {"end", "reset"} & set(self.told)
        count = min(self.takes, len(data))
        self.takes -= count
        self.carried += data[:count]
        return count

    def _send_end(self) -> None:
        assert not {"end", "reset"} & set(self.told)
        self.told.append("end")

    def _send_reset(self) -> None:
        assert "reset" not in self.told
        self.told.append("reset")

    def _refuse(self) -> None:
        self.told.append("refuse")

    def _consumed(self, count: int) -> None:
        self.consumed += count

    def _abort_when_received(self) -> None:
        self.abort()

    def _release(self) -> None:
        assert "release" not in self.told
        self.told.append("release")


class Hearer:
    """Notes what a receiver hears, and that it comes in order."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.events: list[str] = []
        self.error: Exception | None = None
        self.inside = False

    def data_received(self, data: memoryview) -> None:
        assert not self.inside, "delivered from inside a call of the owner"
        assert not {"eof", "lost"} & set(self.events)
        self.data += data

    def eof_received(self) -> None:
        assert not self.inside
        assert not {"eof", "lost"} & set(self.events)
        self.events.append("eof")

    def connection_lost(self, error: Exception | None) -> None:
        assert "lost" not in self.events
        self.error = error
        self.events.append("lost")

    def pause_writing(self) -> None:
        self.events.append("pause")

    def resume_writing(self) -> None:
        assert self.events.count("pause") == self.events.count("resume") + 1
        self.events.append("resume")


BROKEN = ConnectionResetError("broken")


class Play:
    """A stream, its owner, and its connection, who do one thing after another."""

    def __init__(self) -> None:
        self.stream, self.hearer = Stream(), Hearer()
        self.sent = bytearray()
        self._attached = False
        self._peer_done = False
        self.owner: dict[str, Callable[[], None]] = {
            "attach": self._attach,
            "pause": self.stream.pause_reading,
            "resume": self._resume,
            "write": lambda: self.stream.write(bytes(HIGH_WATER // 2)),
            "eof": self.stream.write_eof,
            "close": self.stream.close,
            "break": self.stream.break_off,
            "abort": self.stream.abort,
        }
        self.peer: dict[str, Callable[[], None]] = {
            "data": self._data,
            "ended": lambda: self._last_word(self.stream.peer_ended),
            "reset": lambda: self._last_word(lambda: self.stream.peer_reset(BROKEN)),
            "stopped": lambda: self.stream.peer_stopped(BROKEN),
            "room": self._room,
        }

    def do(self, step: str) -> None:
        if step in self.owner:
            self.hearer.inside = True
            self.owner[step]()
            self.hearer.inside = False
        elif "release" not in self.stream.told:
            self.peer[step]()

    def _attach(self) -> None:
        if not (self._attached and self.stream.gone):
            self._attached = True
            self.stream.attach(self.hearer)

    def _resume(self) -> None:
        if self._attached:
            self.stream.resume_reading()

    def _data(self) -> None:
        if not self._peer_done:
            piece = bytes([len(self.sent) % 256])
            self.sent += piece
            self.stream.received(piece)

    def _last_word(self, word: Callable[[], None]) -> None:
        if not self._peer_done:
            self._peer_done = True
            word()

    def _room(self) -> None:
        self.stream.takes += HIGH_WATER
        self.stream.room()


STEPS = st.sampled_from(
    [
        "attach",
        "pause",
        "resume",
        "write",
        "eof",
        "close",
        "break",
        "abort",
        "data",
        "ended",
        "reset",
        "stopped",
        "room",
        "",
    ]
)


@settings(deadline=None, max_examples=500)
@given(st.lists(STEPS, max_size=25))
def test_any_order_of_events_keeps_the_contract(steps: list[str]) -> None:
    async def main() -> None:
        play = Play()
        stream, hearer = play.stream, play.hearer
        in_callbacks: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: in_callbacks.append(context))
        for step in steps:
            if step:
                play.do(step)
            else:
                await asyncio.sleep(0)
        play.do("attach")
        stream.connection_failed(BROKEN)
        stream.resume_reading()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not in_callbacks
        assert hearer.events.count("lost") == 1
        assert hearer.events[-1] == "lost"
        assert play.sent.startswith(hearer.data)
        assert stream.consumed <= len(hearer.data)
        assert stream.gone
        assert stream.unsent == 0

    asyncio.run(main())


def test_what_came_before_a_reset_is_delivered_although_reading_was_paused() -> None:
    async def main() -> None:
        stream, hearer = Stream(), Hearer()
        stream.attach(hearer)
        stream.pause_reading()
        stream.received(b"before")
        stream.peer_reset(BROKEN)
        assert not hearer.data
        stream.resume_reading()
        await asyncio.sleep(0)
        assert hearer.data == b"before"
        assert hearer.error is BROKEN
        assert stream.told == ["reset", "release"]

    asyncio.run(main())


def test_a_peer_that_takes_no_more_is_read_to_its_end() -> None:
    async def main() -> None:
        stream, hearer = Stream(), Hearer()
        stream.attach(hearer)
        stream.write(b"the rest of the request")
        stream.peer_stopped(BROKEN)
        stream.received(b"413")
        assert hearer.events == []
        stream.peer_ended()
        assert hearer.data == b"413"
        assert hearer.events == ["lost"]
        assert hearer.error is BROKEN

    asyncio.run(main())


def test_what_a_peer_sends_to_a_closed_link_is_refused() -> None:
    async def main() -> None:
        stream, hearer = Stream(), Hearer()
        stream.attach(hearer)
        stream.close()
        assert stream.told == ["end"]
        assert hearer.events == ["lost"]
        stream.received(b"more")
        assert stream.told == ["end", "refuse"]
        stream.peer_ended()
        assert stream.told == ["end", "refuse", "release"]

    asyncio.run(main())


def test_only_what_was_read_is_granted_again() -> None:
    async def main() -> None:
        stream, hearer = Stream(), Hearer()
        stream.received(b"early")
        stream.attach(hearer)
        assert stream.consumed == 0
        await asyncio.sleep(0)
        assert stream.consumed == 5
        stream.pause_reading()
        stream.received(b"held")
        await asyncio.sleep(0)
        assert stream.consumed == 5

    asyncio.run(main())
