"""One end of a shared connection, against a peer that is the test: what is taken, what is refused, how it ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from nodepass.errors import SilenceError
from nodepass.protocol.yamux import (
    ACK,
    DATA,
    FIN,
    GO_AWAY,
    INITIAL_WINDOW,
    PING,
    RST,
    SYN,
    GoAway,
    data_header,
    go_away,
    ping,
    pong,
    window_update,
)
from nodepass.transport.mux import connection as connection_module
from nodepass.transport.mux.connection import SILENT_INTERVALS
from nodepass.transport.mux.sender import MOST_UNSENT
from tests.unit.transport.mux.ends import End, Frame, data, reset_of, turn

if TYPE_CHECKING:
    from tests.unit.transport.test_link_conformance import Run

PROTOCOL_ERROR = Frame(GO_AWAY, 0, 0, GoAway.PROTOCOL_ERROR)


# Streams that this end opens.


def test_a_stream_is_opened_by_the_first_that_is_said_on_it(run: Run) -> None:
    async def main() -> None:
        end = End(dialled=True)
        stream = end.open()
        assert await end.sent() == []
        stream.link.write(b"hello")
        stream.link.write(b"again")
        assert await end.sent() == [Frame(DATA, SYN, 1, 5, b"hello"), Frame(DATA, 0, 1, 5, b"again")]

    run(main())


@pytest.mark.parametrize(("dialled", "numbers"), [(True, [1, 3, 5]), (False, [2, 4, 6])])
def test_each_end_numbers_its_streams_its_own_way(run: Run, dialled: bool, numbers: list[int]) -> None:
    async def main() -> None:
        end = End(dialled=dialled)
        for stream in [end.open() for _ in numbers]:
            stream.link.write(b"x")
        assert [frame.stream_id for frame in await end.sent()] == numbers

    run(main())


def test_a_stream_that_is_broken_before_anything_was_said_says_nothing(run: Run) -> None:
    async def main() -> None:
        end = End(dialled=True)
        stream = end.open()
        stream.link.abort()
        assert stream.events == ["lost"]
        assert end.connection.streams == 0
        assert await end.sent() == []
        # Its number is not used again.
        end.open().link.write(b"x")
        assert [frame.stream_id for frame in await end.sent()] == [3]

    run(main())


def test_a_stream_that_is_ended_before_anything_was_said_is_opened_and_ended(run: Run) -> None:
    async def main() -> None:
        end = End(dialled=True)
        stream = end.open()
        stream.link.write_eof()
        assert await end.sent() == [Frame(DATA, SYN | FIN, 1, 0)]
        end.deliver(data(1, b"answer", ACK), data(1, b"", FIN))
        assert stream.data == b"answer"
        assert stream.events == ["eof", "lost"]
        assert stream.error is None
        assert end.connection.streams == 0

    run(main())


def test_a_connection_whose_numbers_are_used_up_opens_no_more_streams(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "LAST_ID", 5)

    async def main() -> None:
        end = End(dialled=True)
        streams = [end.open() for _ in range(3)]
        assert end.connection.closing
        for stream in streams:
            stream.link.write(b"x")
        assert [frame.stream_id for frame in await end.sent() if frame.kind == DATA] == [1, 3, 5]

    run(main())


# Streams that the peer opens.


@pytest.mark.parametrize("frame", [data(1, b"first", SYN), window_update(1, 0, SYN)])
def test_a_peer_s_stream_is_taken_with_the_first_that_is_said_there(run: Run, frame: bytes) -> None:
    async def main() -> None:
        end = End()
        end.deliver(frame)
        assert list(end.streams) == [1]
        assert await end.sent() == []
        end.streams[1].link.write(b"answer")
        end.streams[1].link.write(b"more")
        assert await end.sent() == [Frame(DATA, ACK, 1, 6, b"answer"), Frame(DATA, 0, 1, 4, b"more")]

    run(main())


def test_a_window_update_that_opens_a_stream_counts(run: Run) -> None:
    async def main() -> None:
        end = End()
        end.deliver(window_update(1, 1000, SYN))
        end.streams[1].link.write(bytes(2 * INITIAL_WINDOW))
        assert sum(frame.length for frame in await end.sent()) == INITIAL_WINDOW + 1000

    run(main())


def test_numbers_may_be_left_out(run: Run) -> None:
    async def main() -> None:
        end = End()
        end.deliver(data(1, b"a", SYN), data(9, b"b", SYN))
        assert list(end.streams) == [1, 9]

    run(main())


def test_a_stream_in_one_frame_is_read_to_its_end(run: Run) -> None:
    async def main() -> None:
        end = End()
        end.deliver(data(1, b"all of it", SYN | FIN))
        assert end.streams[1].data == b"all of it"
        assert end.streams[1].events == ["eof"]
        end.streams[1].link.write(b"answer")
        end.streams[1].link.write_eof()
        assert await end.sent() == [Frame(DATA, ACK, 1, 6, b"answer"), Frame(DATA, FIN, 1, 0)]
        assert end.connection.streams == 0

    run(main())


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ([data(4, b"x", SYN)], "of the number 4, which is not the next"),
        ([data(0, b"x", SYN)], "of the number 0, which is not the next"),
        ([data(3, b"x", SYN), data(1, b"x", SYN)], "of the number 1, which is not the next"),
        ([data(1, b"x", SYN | RST), data(1, b"x", SYN)], "of the number 1, which is not the next"),
        ([window_update(4, 0, SYN)], "of the number 4, which is not the next"),
        ([data(1, b"x", SYN), data(1, b"y", FIN), data(1, b"z", FIN)], "behind its end"),
        ([data(1, b"x", SYN | FIN), data(1, b"more")], "behind its end"),
        ([data(1, b"x", SYN), data_header(1, INITIAL_WINDOW)], "more than its window"),
        ([data(1, bytes(INITIAL_WINDOW + 1), SYN)], "more than its window"),
        ([go_away(GoAway.PROTOCOL_ERROR)], "given up, with code 1"),
        ([go_away(GoAway.INTERNAL_ERROR)], "given up, with code 2"),
        ([b"\x01" + bytes(11)], "version 1"),
        ([b"\x00\x04" + bytes(10)], "unknown type 4"),
    ],
)
def test_a_peer_that_breaks_the_rules_is_not_dealt_with_any_more(run: Run, frames: list[bytes], reason: str) -> None:
    async def main() -> None:
        end = End()
        own = end.open()
        end.deliver(*frames)
        assert own.events == ["lost"]
        assert reason in str(own.error)
        assert isinstance(own.error, ConnectionResetError)
        for stream in end.streams.values():
            assert stream.events[-1] == "lost"
        assert end.connection.gone
        assert end.lower.frames()[-1] == PROTOCOL_ERROR
        assert end.lower.end == "closed"
        assert end.told == ["ended", "departed"]

    run(main())


def test_a_stream_is_an_error_where_none_is_taken(run: Run) -> None:
    async def main() -> None:
        end = End(takes=False)
        end.deliver(data(1, b"x", SYN))
        assert end.lower.frames() == [PROTOCOL_ERROR]
        assert end.lower.end == "closed"

    run(main())


def test_a_peer_has_only_so_many_streams_at_a_time(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "MOST_STREAMS", 3)

    async def main() -> None:
        end = End()
        end.deliver(*(data(number, b"x", SYN) for number in (1, 3, 5, 7, 9)))
        assert list(end.streams) == [1, 3, 5]
        assert await end.sent() == [reset_of(7), reset_of(9)]
        end.deliver(data(7, b"crossed the refusal"), window_update(3, 0, RST), data(11, b"x", SYN))
        assert list(end.streams) == [1, 3, 5, 11]
        assert end.connection.streams == 3

    run(main())


def test_what_concerns_a_stream_that_is_over_or_never_was_is_ignored(run: Run) -> None:
    async def main() -> None:
        end = End()
        end.deliver(data(1, b"x", SYN))
        end.streams[1].link.abort()
        assert await end.sent() == [reset_of(1, ACK)]
        end.deliver(data(1, bytes(1000)), window_update(1, 100), data(1, b"", FIN), window_update(1, 0, RST))
        end.deliver(data(77, b"never opened"), window_update(77, 1), window_update(2, 0, RST), data(78, b"x", FIN))
        assert await end.sent() == []
        assert not end.connection.gone

    run(main())


def test_the_flag_that_opens_a_stream_opens_no_second_one(run: Run) -> None:
    async def main() -> None:
        end = End()
        end.deliver(data(1, b"a", SYN), data(1, b"b", SYN))
        assert list(end.streams) == [1]
        assert end.streams[1].data == b"ab"

    run(main())


# Ends and breaks.


def test_a_reset_breaks_both_directions_behind_what_came_before(run: Run) -> None:
    async def main() -> None:
        end = End()
        end.deliver(data(1, b"last words", SYN), window_update(1, 0, RST))
        stream = end.streams[1]
        assert stream.data == b"last words"
        assert stream.events == ["lost"]
        assert "the other end broke it" in str(stream.error)
        # It is not answered, and the connection goes on.
        assert await end.sent() == []
        assert not end.connection.gone

    run(main())


def test_a_reset_with_data_delivers_it_first(run: Run) -> None:
    async def main() -> None:
        end = End()
        end.deliver(data(1, b"x", SYN), data(1, b"y", RST))
        assert end.streams[1].data == b"xy"
        assert end.streams[1].events == ["lost"]

    run(main())


def test_resets_that_cross_are_no_error(run: Run) -> None:
    async def main() -> None:
        end = End()
        end.deliver(data(1, b"x", SYN))
        end.streams[1].link.abort()
        end.deliver(window_update(1, 0, RST))
        assert await end.sent() == [reset_of(1, ACK)]
        assert end.streams[1].events == ["lost"]
        assert end.connection.streams == 0
        assert not end.connection.gone

    run(main())


def test_a_link_that_was_closed_reads_no_more_and_says_so(run: Run) -> None:
    async def main() -> None:
        end = End()
        end.deliver(data(1, b"x", SYN))
        link = end.streams[1].link
        link.write(b"the end")
        link.close()
        assert await end.sent() == [Frame(DATA, ACK, 1, 7, b"the end"), Frame(DATA, FIN, 1, 0)]
        end.deliver(data(1, b"for nobody"))
        assert await end.sent() == [reset_of(1)]
        assert end.connection.streams == 0

    run(main())


def test_a_peer_that_ends_a_link_that_was_closed_hears_no_reset(run: Run) -> None:
    async def main() -> None:
        end = End()
        end.deliver(data(1, b"x", SYN))
        end.streams[1].link.close()
        end.deliver(data(1, b"", FIN))
        assert await end.sent() == [Frame(DATA, ACK | FIN, 1, 0)]
        assert end.connection.streams == 0

    run(main())


# The life of the connection.


def test_closing_lets_streams_go_on_and_the_last_one_takes_the_connection_along(run: Run) -> None:
    async def main() -> None:
        end = End()
        end.deliver(data(1, b"x", SYN))
        mine, theirs = end.open(), end.streams[1]
        end.connection.close()
        assert await end.sent() == [Frame(GO_AWAY, 0, 0, GoAway.NORMAL)]
        end.deliver(data(3, b"late", SYN))
        assert await end.sent() == [reset_of(3)]
        mine.link.write(b"still")
        end.deliver(data(1, b"here", FIN))
        assert theirs.data == b"xhere"
        theirs.link.write(b"and here")
        theirs.link.write_eof()
        assert end.told == []
        mine.link.abort()
        assert end.told == ["ended"]
        assert await end.sent() == [
            Frame(DATA, SYN, 2, 5, b"still"),
            Frame(DATA, ACK, 1, 8, b"and here"),
            Frame(DATA, FIN, 1, 0),
            reset_of(2),
        ]

    run(main())


def test_a_connection_that_is_closed_is_read_until_the_other_end_has_closed_it(run: Run) -> None:
    """Closed at once, it would be reset by what the other end still says, and what was sent last would be lost."""

    async def main() -> None:
        end = End()
        end.connection.close()
        assert end.told == ["ended"]
        assert end.lower.ended
        assert end.lower.end == ""
        end.deliver(window_update(1, 1000), data(1, b"x", SYN), b"\xff" * 100)
        assert end.told == ["ended"]
        end.lower.deliver_end()
        assert end.told == ["ended", "departed"]

    run(main())


def test_that_takes_so_long_and_no_longer(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "LINGER", 0.01)

    async def main() -> None:
        end = End()
        end.connection.close()
        await end.departed()
        assert end.lower.end == "aborted"

    run(main())


def test_a_peer_that_goes_away_lets_streams_go_on(run: Run) -> None:
    async def main() -> None:
        end = End()
        stream = end.open()
        stream.link.write(b"x")
        end.deliver(go_away(GoAway.NORMAL))
        assert end.connection.closing
        assert end.told == []
        end.deliver(data(2, b"answer", ACK | FIN))
        stream.link.write_eof()
        assert stream.data == b"answer"
        assert stream.error is None
        assert end.told == ["ended"]
        assert end.lower.ended

    run(main())


def test_an_end_of_the_connection_breaks_its_streams(run: Run) -> None:
    async def main() -> None:
        end = End()
        stream = end.open()
        end.lower.deliver_end()
        assert stream.events == ["lost"]
        assert isinstance(stream.error, ConnectionResetError)
        assert end.told == ["ended", "departed"]

    run(main())


def test_breaking_it_breaks_its_streams(run: Run) -> None:
    async def main() -> None:
        end = End()
        stream = end.open()
        end.connection.abort()
        assert stream.events == ["lost"]
        assert isinstance(stream.error, ConnectionAbortedError)
        assert end.lower.end == "aborted"
        assert end.told == ["ended", "departed"]

    run(main())


@pytest.mark.parametrize("size", [100, 20_000])
def test_a_connection_that_breaks_inside_a_write_breaks_its_streams(run: Run, size: int) -> None:
    async def main() -> None:
        end = End()
        writing, waiting = end.open(), end.open()
        end.lower.breaks = True
        writing.link.write(bytes(size))
        await turn()
        for stream in (writing, waiting):
            assert stream.events == ["lost"]
            assert isinstance(stream.error, ConnectionResetError)
            stream.link.write(b"ignored")

    run(main())


def test_a_connection_that_breaks_while_streams_take_turns_breaks_them(run: Run) -> None:
    async def main() -> None:
        end = End()
        end.lower.stuck = True
        streams = [end.open() for _ in range(3)]
        for stream in streams:
            stream.link.write(bytes(INITIAL_WINDOW))
        end.lower.breaks = True
        end.lower.release()
        for stream in streams:
            assert stream.events[-1] == "lost"
            assert stream.link.unsent == 0

    run(main())


# Signs of life.


def test_a_ping_is_answered_and_an_answer_is_not(run: Run) -> None:
    async def main() -> None:
        end = End()
        end.deliver(ping(0xFFFFFFFF), ping(0), pong(5))
        assert await end.sent() == [Frame(PING, ACK, 0, 0xFFFFFFFF), Frame(PING, ACK, 0, 0)]

    run(main())


def test_a_connection_on_which_nothing_is_heard_is_given_up(run: Run) -> None:
    async def main() -> None:
        end = End(interval=0.01)
        stream = end.open()
        await end.departed()
        pings = [frame.length for frame in end.lower.frames() if frame.kind == PING]
        assert pings == list(range(1, SILENT_INTERVALS))
        assert end.lower.end == "aborted"
        assert end.connection.fell_silent
        assert isinstance(stream.error, SilenceError)

    run(main())


def test_one_that_answers_is_not(run: Run) -> None:
    async def main() -> None:
        end = End(interval=0.01)
        answered = 0
        async with asyncio.timeout(10):
            while answered < 2 * SILENT_INTERVALS:
                await asyncio.sleep(0.001)
                for frame in end.lower.frames():
                    assert frame.kind == PING
                    end.deliver(pong(frame.length))
                    answered += 1
        assert not end.connection.fell_silent
        assert end.told == []

    run(main())


def test_what_has_come_while_the_loop_was_busy_counts(run: Run) -> None:
    async def main() -> None:
        end = End()
        loop = asyncio.get_running_loop()
        for _ in range(SILENT_INTERVALS):
            end.connection._timer.cancel()
            end.connection._beat()
        # It is read in the turn of the loop in which the connection would be given up.
        loop.call_soon(end.deliver, ping(1))
        await turn()
        assert not end.connection.gone

    run(main())


@pytest.mark.parametrize("asks", ["pings", "streams that are refused"])
def test_a_peer_that_asks_and_does_not_read_is_cut_off(run: Run, monkeypatch: pytest.MonkeyPatch, asks: str) -> None:
    monkeypatch.setattr(connection_module, "MOST_STREAMS", 1)

    async def main() -> None:
        end = End()
        end.deliver(data(1, b"x", SYN))
        end.lower.stuck = True
        for number in range(3, 2 * MOST_UNSENT // 6, 2):
            end.deliver(ping(number) if asks == "pings" else window_update(number, 0, SYN))
            if end.connection.gone:
                break
        assert end.lower.end == "aborted"
        assert end.streams[1].events[-1] == "lost"
        assert MOST_UNSENT <= sum(end.lower.writes) < 2 * MOST_UNSENT

    run(main())


def test_one_that_asks_as_much_and_reads_is_served(run: Run) -> None:
    async def main() -> None:
        end = End()
        asked = 0
        for _ in range(2 * MOST_UNSENT // 12 // 1000):
            end.deliver(ping(1) * 1000)
            asked += 1000
            await turn()
        assert len(end.lower.frames()) == asked
        assert not end.connection.gone

    run(main())
