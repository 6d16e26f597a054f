"""What `nodepass.transport.base` says always holds, over every link and every event loop."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from nodepass.transport import patience
from nodepass.transport.base import HIGH_WATER
from nodepass.transport.stream_link import StreamLink
from tests.unit.transport.links import READ_SIZE, Notes, attached

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    import pytest

    from nodepass.transport.base import Link
    from tests.unit.transport.links import Pair

    Run = Callable[[Coroutine[object, object, None]], None]

BULK = os.urandom(3_000_000)


async def turns(count: int = 20) -> None:
    """Let the loop turn: long enough for anything that is going to happen on loopback without being waited for."""
    for _ in range(count):
        await asyncio.sleep(0.001)


def test_bytes_arrive_in_order_both_ways(run: Run, pair: Pair) -> None:
    async def main() -> None:
        near, far = await pair()
        near_notes, far_notes = attached(near), attached(far)
        near.write(BULK)
        far.write(BULK[::-1])
        await far_notes.until(lambda: len(far_notes.data) == len(BULK))
        await near_notes.until(lambda: len(near_notes.data) == len(BULK))
        assert far_notes.data == BULK
        assert near_notes.data == BULK[::-1]
        near.abort()
        far.abort()

    run(main())


class AsksAnother(Notes):
    """A receiver that has another link look at what has come for it, while it holds what has come for its own."""

    nested = False

    def __init__(self, link: Link, other: Link) -> None:
        super().__init__(link)
        self._other = other
        self.kept = True

    def data_received(self, data: memoryview) -> None:
        before = bytes(data)
        super().data_received(data)
        if not self.nested:
            AsksAnother.nested = True
            self._other.read_now()
            AsksAnother.nested = False
        self.kept = self.kept and data == before


def test_what_a_receiver_holds_stays_when_another_link_is_asked(run: Run, pair: Pair) -> None:
    """Links read into shared memory. What one user sends must not come out at another."""

    async def main() -> None:
        near, far = await pair()
        near_notes, far_notes = AsksAnother(near, far), AsksAnother(far, near)
        near.write(BULK)
        far.write(BULK[::-1])
        near.attach(near_notes)
        far.attach(far_notes)
        await far_notes.until(lambda: len(far_notes.data) == len(BULK))
        await near_notes.until(lambda: len(near_notes.data) == len(BULK))
        assert near_notes.kept
        assert far_notes.kept
        assert near_notes.data == BULK[::-1]
        assert far_notes.data == BULK
        near.abort()
        far.abort()

    run(main())


def test_memory_may_be_reused_after_write(run: Run, pair: Pair) -> None:
    async def main() -> None:
        near, far = await pair()
        notes = attached(far)
        memory = bytearray(BULK)
        near.write(memoryview(memory))
        memory[:] = bytes(len(memory))
        await notes.until(lambda: len(notes.data) == len(BULK))
        assert notes.data == BULK
        near.abort()
        far.abort()

    run(main())


def test_one_direction_may_end_before_the_other(run: Run, pair: Pair) -> None:
    async def main() -> None:
        near, far = await pair()
        near_notes, far_notes = attached(near), attached(far)
        near.write(b"request")
        near.write_eof()
        near.write(b"ignored")
        await far_notes.until(lambda: "eof" in far_notes.events)
        assert far_notes.data == b"request"
        far.write(BULK)
        far.write_eof()
        await near_notes.until(lambda: "lost" in near_notes.events)
        await far_notes.until(lambda: "lost" in far_notes.events)
        assert near_notes.data == BULK
        assert (near_notes.error, far_notes.error) == (None, None)
        assert near_notes.events.count("lost") == near_notes.events.count("eof") == 1
        assert far_notes.events.count("lost") == far_notes.events.count("eof") == 1

    run(main())


def test_the_end_comes_behind_what_was_paused_on(run: Run, pair: Pair) -> None:
    async def main() -> None:
        near, far = await pair()
        near_notes, far_notes = attached(near), Notes(far)
        far_notes.pause_after = 1
        far.attach(far_notes)
        near.write(BULK)
        near.write_eof()
        await far_notes.until(lambda: bool(far_notes.data))
        while "eof" not in far_notes.events:
            far.resume_reading()
            far.write(b"x")
            await turns(1)
        assert far_notes.data == BULK
        far.write_eof()
        await near_notes.until(lambda: "lost" in near_notes.events)
        assert near_notes.error is None
        assert set(near_notes.data) == {ord("x")}

    run(main())


def test_ending_while_paused_loses_nothing(run: Run, pair: Pair) -> None:
    async def main() -> None:
        near, far = await pair()
        far_notes = Notes(far)
        far_notes.pause_after = 1
        far.attach(far_notes)
        near_notes = attached(near)
        near.write(BULK)
        await far_notes.until(lambda: bool(far_notes.data))
        far.write_eof()
        await near_notes.until(lambda: "eof" in near_notes.events)
        far_notes.pause_after = None
        far.resume_reading()
        near.write_eof()
        await far_notes.until(lambda: "lost" in far_notes.events)
        assert far_notes.data == BULK
        assert far_notes.error is None

    run(main())


def test_a_reader_that_pauses_stops_the_writer(run: Run, pair: Pair) -> None:
    async def main() -> None:
        near, far = await pair()
        near_notes, far_notes = attached(near), Notes(far)
        far_notes.pause_after = 1
        far.attach(far_notes)
        sent = 0
        while "pause" not in near_notes.events:
            near.write(BULK[:READ_SIZE])
            sent += READ_SIZE
            await turns(1)
        assert near.unsent <= HIGH_WATER + 2 * READ_SIZE
        delivered = len(far_notes.data)
        await turns()
        assert len(far_notes.data) == delivered
        far_notes.pause_after = None
        far.resume_reading()
        await near_notes.until(lambda: "resume" in near_notes.events)
        await far_notes.until(lambda: len(far_notes.data) == sent)
        assert near_notes.events == ["pause", "resume"]
        near.abort()
        far.abort()

    run(main())


def test_nothing_is_delivered_from_inside_a_call(run: Run, pair: Pair) -> None:
    async def main() -> None:
        near, far = await pair()
        near.write(b"waiting")
        near.write_eof()
        await turns()
        notes = attached(far)
        assert not notes.data
        far.pause_reading()
        await turns()
        assert not notes.data
        far.resume_reading()
        assert not notes.data
        await notes.until(lambda: notes.events == ["eof"])
        assert notes.data == b"waiting"
        near.abort()
        far.abort()

    run(main())


def test_abort_is_an_error_to_the_other_side(run: Run, pair: Pair) -> None:
    async def main() -> None:
        near, far = await pair()
        near_notes, far_notes = attached(near), attached(far)
        near.abort()
        assert near_notes.events == ["lost"]
        assert near_notes.error is None
        await far_notes.until(lambda: "lost" in far_notes.events)
        assert far_notes.error is not None
        assert "eof" not in far_notes.events
        for link in (near, far):
            link.write(b"ignored")
            link.write_eof()
            link.pause_reading()
            link.resume_reading()
            link.close()
            link.abort()
        assert near_notes.events == far_notes.events == ["lost"]

    run(main())


def test_close_sends_what_is_left(run: Run, pair: Pair) -> None:
    async def main() -> None:
        near, far = await pair()
        near_notes, far_notes = attached(near), attached(far)
        near.write(BULK)
        near.close()
        await far_notes.until(lambda: "eof" in far_notes.events)
        assert far_notes.data == BULK
        await near_notes.until(lambda: "lost" in near_notes.events)
        assert near_notes.error is None
        assert "eof" not in near_notes.events
        far.abort()

    run(main())


def test_breaking_off_delivers_what_is_left_and_then_breaks(run: Run, pair: Pair) -> None:
    async def main() -> None:
        near, far = await pair()
        near_notes, far_notes = attached(near), Notes(far)
        far_notes.pause_after = 1
        far.attach(far_notes)
        near.write(BULK)
        near.break_off()
        await far_notes.until(lambda: bool(far_notes.data))
        far_notes.pause_after = None
        far.resume_reading()
        await far_notes.until(lambda: "lost" in far_notes.events)
        assert far_notes.data == BULK
        assert far_notes.error is not None
        assert "eof" not in far_notes.events
        await near_notes.until(lambda: "lost" in near_notes.events)
        assert near_notes.error is None

    run(main())


def test_what_was_sent_before_a_reset_is_read_although_writing_fails(run: Run, pair: Pair) -> None:
    async def main() -> None:
        near, far = await pair()
        near_notes = Notes(near)
        # The far side answers early and resets, as servers do that refuse a request without reading it.
        far.write(b"413")
        await turns()
        far.abort()
        for _ in range(10):
            near.write(b"more of the request")
            await turns(1)
        near.attach(near_notes)
        await near_notes.until(lambda: "lost" in near_notes.events)
        assert near_notes.data == b"413"
        assert near_notes.error is not None

    run(main())


def test_bytes_with_a_reset_right_behind_them_are_delivered_and_the_reset_noticed(run: Run, pair: Pair) -> None:
    async def main() -> None:
        for size in (1, 1000, 3 * READ_SIZE):
            near, far = await pair()
            near_notes = attached(near)
            # No turn of the loop in between: both are there when the near side first looks.
            far.write(BULK[:size])
            far.abort()
            await near_notes.until(lambda notes=near_notes: "lost" in notes.events)  # type: ignore[misc]
            assert near_notes.error is not None
            assert BULK.startswith(near_notes.data)
            assert near_notes.data

    run(main())


def test_a_reset_is_noticed_while_reading_is_paused(run: Run, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "STANDSTILL", 0.01)

    async def main() -> None:
        near, far = await pair()
        near_notes = Notes(near)
        near_notes.pause_after = 1
        near.attach(near_notes)
        far.write(BULK)
        await near_notes.until(lambda: bool(near_notes.data))
        far.abort()
        await near_notes.until(lambda: "lost" in near_notes.events)
        assert near_notes.error is not None

    run(main())


def test_who_attaches_to_a_link_that_is_gone_is_told(run: Run, pair: Pair) -> None:
    async def main() -> None:
        near, far = await pair()
        near.abort()
        assert near.gone
        assert not far.gone
        notes = Notes(near)
        near.attach(notes)
        assert not notes.events
        await notes.until(lambda: "lost" in notes.events)
        assert notes.error is not None
        far.abort()

    run(main())


def test_a_link_is_quiet_until_something_has_come(run: Run, pair: Pair) -> None:
    async def main() -> None:
        for how in ("bytes", "end", "reset"):
            near, far = await pair()
            before = near.quiet
            if how == "bytes":
                far.write(b"x")
            elif how == "end":
                far.write_eof()
            else:
                far.abort()
            if isinstance(near, StreamLink):
                # A stream cannot ask the network: its connection has to read what has come.
                await turns()
            assert (before, near.quiet) == (True, False)
            near.abort()
            far.abort()

    run(main())


def test_a_link_knows_the_other_side(run: Run, pair: Pair) -> None:
    async def main() -> None:
        near, far = await pair()
        assert near.remote.ip == far.remote.ip == "127.0.0.1"
        assert near.remote.port != far.remote.port
        assert near.fingerprint == far.fingerprint
        near.abort()
        far.abort()

    run(main())
