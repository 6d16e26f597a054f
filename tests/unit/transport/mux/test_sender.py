"""What a shared connection sends: few writes, turns, windows, and how little waits."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest

from nodepass.protocol.yamux import ACK, DATA, FIN, HEADER_SIZE, INITIAL_WINDOW, PING, SYN, ping, window_update
from nodepass.transport.base import HIGH_WATER
from nodepass.transport.mux import sender
from nodepass.transport.mux.sender import BATCH, LARGEST, MOST_UNSENT, SMALL, TURN
from tests.unit.transport.mux.ends import End, Frame, data, reset_of, turn

if TYPE_CHECKING:
    from tests.unit.transport.links import Notes
    from tests.unit.transport.test_link_conformance import Run

HUGE = 1 << 30


def sent_on(frames: list[Frame], stream_id: int) -> bytes:
    return b"".join(frame.payload for frame in frames if frame.stream_id == stream_id)


def opened(end: End, *, room: int = HUGE) -> Notes:
    """A stream which the peer has heard of, and for which it has opened its window by so much more."""
    stream = end.open()
    stream.link.write(b"!")
    end.connection.sender.flush()
    number = end.lower.frames()[-1].stream_id
    end.deliver(window_update(number, 1 + room, ACK))
    return stream


# Few writes.


def test_what_many_say_in_one_turn_of_the_loop_goes_out_in_one_write(run: Run) -> None:
    async def main() -> None:
        end = End(dialled=True)
        for stream in [end.open() for _ in range(50)]:
            stream.link.write(b"hello")
        assert end.lower.writes == []
        frames = await end.sent()
        assert frames == [Frame(DATA, SYN, number, 5, b"hello") for number in range(1, 101, 2)]
        assert len(end.lower.writes) == 1

    run(main())


def test_so_much_is_collected_and_no_more(run: Run) -> None:
    async def main() -> None:
        end = End(dialled=True)
        streams = [end.open() for _ in range(100)]
        for stream in streams:
            stream.link.write(bytes(SMALL))
        assert sum(end.lower.writes) >= 100 * SMALL - BATCH
        assert max(end.lower.writes) <= BATCH + SMALL + 12

    run(main())


def test_large_ones_go_out_at_once_behind_what_was_collected(run: Run) -> None:
    async def main() -> None:
        end = End(dialled=True)
        small, large = end.open(), end.open()
        payload = os.urandom(SMALL + 1)
        small.link.write(b"first")
        large.link.write(payload)
        assert end.lower.frames() == [Frame(DATA, SYN, 1, 5, b"first"), Frame(DATA, SYN, 3, SMALL + 1, payload)]
        small.link.write(b"behind")
        large.link.write(b"it")
        assert await end.sent() == [Frame(DATA, 0, 1, 6, b"behind"), Frame(DATA, 0, 3, 2, b"it")]

    run(main())


# Windows.


def test_a_stream_sends_what_its_window_has_room_for(run: Run) -> None:
    async def main() -> None:
        end = End(dialled=True)
        stream = end.open()
        payload = os.urandom(INITIAL_WINDOW + 100_000)
        stream.link.write(payload)
        frames = await end.sent()
        assert sent_on(frames, 1) == payload[:INITIAL_WINDOW]
        assert stream.link.unsent == 100_000
        assert stream.events == ["pause"]
        end.deliver(window_update(1, 1, ACK))
        assert sent_on(await end.sent(), 1) == payload[INITIAL_WINDOW:][:1]
        end.deliver(window_update(1, 50_000))
        assert sent_on(await end.sent(), 1) == payload[INITIAL_WINDOW + 1 :][:50_000]
        assert stream.events == ["pause"]
        end.deliver(window_update(1, HUGE))
        assert sent_on(await end.sent(), 1) == payload[INITIAL_WINDOW + 50_001 :]
        assert stream.events == ["pause", "resume"]
        assert stream.link.unsent == 0

    run(main())


def test_an_end_waits_for_the_window_as_what_is_in_front_of_it_does(run: Run) -> None:
    async def main() -> None:
        end = End(dialled=True)
        stream = end.open()
        stream.link.write(bytes(INITIAL_WINDOW + 1))
        stream.link.write_eof()
        assert all(not frame.flags & FIN for frame in await end.sent())
        end.deliver(window_update(1, 1, ACK))
        assert await end.sent() == [Frame(DATA, 0, 1, 1, b"\0"), Frame(DATA, FIN, 1, 0)]

    run(main())


def test_a_stream_whose_window_is_closed_holds_up_itself_only(run: Run) -> None:
    async def main() -> None:
        end = End(dialled=True)
        stalled, other = end.open(), end.open()
        stalled.link.write(bytes(2 * INITIAL_WINDOW))
        await end.sent()
        stalled.link.write(b"more")
        for _ in range(100):
            other.link.write(b"small")
            assert await end.sent()
        assert other.events == []
        assert stalled.events == ["pause"]
        # A reset needs no window.
        stalled.link.abort()
        assert await end.sent() == [reset_of(1)]

    run(main())


def test_a_writer_is_stopped_before_anything_is_kept_for_it(run: Run) -> None:
    async def main() -> None:
        end = End(dialled=True)
        stream = end.open()
        stream.link.write(bytes(INITIAL_WINDOW))
        assert stream.events == ["pause"]
        assert stream.link.unsent == 0
        end.deliver(window_update(1, 1000, ACK))
        assert stream.events == ["pause", "resume"]

    run(main())


# Turns.


def test_a_busy_stream_does_not_keep_the_others_waiting(run: Run) -> None:
    async def main() -> None:
        end = End(dialled=True)
        bulk, small = opened(end), opened(end)
        end.lower.stuck = True
        bulk.link.write(bytes(20 * TURN))
        assert bulk.events == ["pause"]
        end.lower.frames()
        # The connection has enough: both wait, the bulk one with much more.
        bulk.link.write(os.urandom(20 * TURN))
        small.link.write(b"small")
        await turn()
        assert end.lower.frames() == []
        frames: list[Frame] = []
        while not sent_on(frames, 3):
            end.lower.release()
            frames += await end.sent()
        assert sent_on(frames, 3) == b"small"
        in_front = itertools.takewhile(lambda frame: frame.stream_id != 3, frames)
        assert sum(frame.length for frame in in_front) <= TURN

    run(main())


def test_where_the_way_is_slow_one_turn_is_all_that_stands_in_front(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much is written at once, and whether or not anybody waited before."""
    monkeypatch.setattr(sender, "SOON", 0)

    async def main() -> None:
        end = End(dialled=True)
        bulk, small = opened(end), opened(end)
        end.lower.stuck = True
        chunks = 0
        while chunks < 3:
            if bulk.events[-1:] != ["pause"]:
                bulk.link.write(bytes(10 * TURN))
                chunks += 1
            else:
                end.lower.release()
            assert end.lower.unsent <= TURN + HEADER_SIZE
        # From here on another one waits for what is there, and for one turn more.
        small.link.write(b"small")
        end.lower.frames()
        end.lower.release()
        end.lower.release()
        assert [frame.length for frame in await end.sent()][:2] == [TURN, len(b"small")]

    run(main())


def test_where_the_way_is_fast_a_chunk_goes_on_in_one_write(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "SOON", 3600)

    async def main() -> None:
        end = End(dialled=True)
        bulk = opened(end)
        end.lower.stuck = True
        # Nothing is known of the way yet.
        bulk.link.write(bytes(TURN))
        end.lower.release()
        assert bulk.events == ["pause", "resume"]
        bulk.link.write(bytes(LARGEST))
        assert end.lower.writes[-2:] == [TURN + HEADER_SIZE, LARGEST + HEADER_SIZE]
        # It is slow now.
        monkeypatch.setattr(sender, "SOON", 0)
        end.lower.release()
        bulk.link.write(bytes(LARGEST))
        assert end.lower.writes[-1] == TURN + HEADER_SIZE

    run(main())


def test_busy_streams_take_turns(run: Run) -> None:
    async def main() -> None:
        end = End(dialled=True)
        streams = [opened(end) for _ in range(4)]
        end.lower.stuck = True
        streams[0].link.write(bytes(TURN))
        end.lower.frames()
        payloads = {}
        for number, stream in zip((1, 3, 5, 7), streams, strict=True):
            payloads[number] = os.urandom(3 * TURN)
            stream.link.write(payloads[number])
        sent = dict.fromkeys(payloads, 0)
        got = dict.fromkeys(payloads, b"")
        while any(sent[number] < 3 * TURN for number in payloads):
            end.lower.release()
            frames = await end.sent()
            assert frames, "nobody sends although there is room"
            for frame in frames:
                assert frame.length <= TURN
                sent[frame.stream_id] += frame.length
                got[frame.stream_id] += frame.payload
                assert max(sent.values()) - min(sent.values()) <= TURN
        assert got == payloads
        end.lower.release()
        assert [stream.events for stream in streams] == [["pause", "resume"]] * 4

    run(main())


def test_frames_of_a_stream_keep_their_order_whoever_waits(run: Run) -> None:
    async def main() -> None:
        end = End(dialled=True)
        stream = opened(end)
        end.lower.stuck = True
        pieces = [os.urandom(size) for size in (10, SMALL, SMALL + 1, TURN + 1, 1, 3 * TURN, 5)]
        for piece in pieces:
            stream.link.write(piece)
        stream.link.write_eof()
        got = bytearray()
        ended = False
        while not ended:
            for frame in await end.sent():
                assert not ended
                got += frame.payload
                ended = bool(frame.flags & FIN)
            end.lower.release()
        assert got == b"".join(pieces)

    run(main())


def test_a_stream_that_is_over_waits_for_nothing(run: Run) -> None:
    async def main() -> None:
        end = End(dialled=True)
        first, second = opened(end), opened(end)
        end.lower.stuck = True
        first.link.write(bytes(2 * HIGH_WATER))
        first.link.write(b"left behind")
        second.link.write(b"goes on")
        end.lower.frames()
        first.link.abort()
        end.lower.release()
        frames = await end.sent()
        assert sent_on(frames, 1) == b""
        assert sent_on(frames, 3) == b"goes on"

    run(main())


def test_who_waits_in_line_sees_the_link_move_and_nobody_else_does(run: Run) -> None:
    """What is idle depends on it: a user for whom there is nothing does not become busy by what others do."""

    async def main() -> None:
        end = End(dialled=True)
        bulk, idle = opened(end), opened(end)
        end.lower.stuck = True
        bulk.link.write(bytes(20 * TURN))
        before = [stream.link.on_the_way for stream in (bulk, idle)]
        assert before == [stream.link.on_the_way for stream in (bulk, idle)]
        end.connection.sender.say(ping(1))
        end.connection.sender.flush()
        assert bulk.link.on_the_way != before[0]
        assert idle.link.on_the_way == before[1]

    run(main())


# Memory.


def test_who_feeds_is_stopped_where_the_connection_has_enough(run: Run) -> None:
    async def main() -> None:
        end = End(dialled=True)
        streams = [opened(end) for _ in range(20)]
        end.lower.stuck = True
        chunk = bytes(30_000)
        for _ in range(10):
            for stream in streams:
                if "pause" not in stream.events:
                    stream.link.write(chunk)
        await turn()
        assert end.lower.unsent <= HIGH_WATER + BATCH + len(chunk)
        assert all(stream.link.unsent <= len(chunk) for stream in streams)
        end.lower.stuck = False
        end.lower.release()
        await turn()
        assert all(stream.events == ["pause", "resume"] for stream in streams)
        assert all(stream.link.unsent == 0 for stream in streams)

    run(main())


@pytest.mark.parametrize("size", [MOST_UNSENT, 3 * MOST_UNSENT])
def test_a_chunk_however_large_is_not_taken_for_a_peer_that_does_not_read(run: Run, size: int) -> None:
    async def main() -> None:
        end = End(dialled=True)
        stream = opened(end)
        end.lower.stuck = True
        payload = os.urandom(size)
        stream.link.write(payload)
        end.deliver(ping(7))
        frames = await end.sent()
        assert frames[-1] == Frame(PING, ACK, 0, 7)
        assert not end.connection.gone
        end.lower.stuck = False
        end.lower.release()
        assert sent_on(frames + await end.sent(), 1) == payload

    run(main())


def test_a_peer_that_reads_again_may_ask_again(run: Run) -> None:
    async def main() -> None:
        end = End()
        end.lower.stuck = True
        questions = ping(1) * (MOST_UNSENT // 24)
        for _ in range(6):
            end.deliver(questions)
            await turn()
            end.lower.release()
        assert not end.connection.gone

    run(main())


def test_what_a_peer_opens_and_reads_is_told_of_in_its_windows(run: Run) -> None:
    async def main() -> None:
        end = End()
        end.deliver(data(1, b"x", SYN))
        for _ in range(8):
            end.deliver(data(1, bytes(INITIAL_WINDOW // 8)))
        granted = sum(frame.length for frame in await end.sent() if frame.stream_id == 1)
        assert granted >= INITIAL_WINDOW // 2
        assert len(end.streams[1].data) == INITIAL_WINDOW + 1

    run(main())
