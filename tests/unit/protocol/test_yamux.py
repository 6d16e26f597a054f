"""The framing of streams that share a connection, however it is cut, and whatever comes.

The examples are written out by hand from HashiCorp's published specification (github.com/hashicorp/yamux, spec.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nodepass.errors import FrameError
from nodepass.protocol.yamux import (
    ACK,
    CONNECTION,
    FIN,
    HEADER_SIZE,
    INITIAL_WINDOW,
    LARGEST_PAYLOAD,
    RST,
    SYN,
    FrameReader,
    GoAway,
    data_header,
    go_away,
    ping,
    pong,
    window_update,
)
from tests.unit.protocol.chunks import cut, cuts, every_byte

if TYPE_CHECKING:
    from collections.abc import Callable

Call = tuple[str | int | bytes, ...]

EXAMPLES: dict[str, tuple[bytes, bytes, list[Call]]] = {
    "data": (
        data_header(1, 5) + b"hello",
        bytes.fromhex("00 00 0000 00000001 00000005 68656c6c6f"),
        [("data", 1, 0, b"hello")],
    ),
    "data that opens a stream": (
        data_header(3, 2, SYN) + b"hi",
        bytes.fromhex("00 00 0001 00000003 00000002 6869"),
        [("data", 3, SYN, b"hi")],
    ),
    "data that takes a stream": (
        data_header(4, 2, ACK) + b"ok",
        bytes.fromhex("00 00 0002 00000004 00000002 6f6b"),
        [("data", 4, ACK, b"ok")],
    ),
    "an end": (
        data_header(5, 0, FIN),
        bytes.fromhex("00 00 0004 00000005 00000000"),
        [("data", 5, FIN, b""), ("end", 5, FIN)],
    ),
    "an end with data": (
        data_header(5, 3, FIN) + b"bye",
        bytes.fromhex("00 00 0004 00000005 00000003 627965"),
        [("data", 5, FIN, b"bye"), ("end", 5, FIN)],
    ),
    "a stream of one frame": (
        data_header(7, 1, SYN | FIN) + b"x",
        bytes.fromhex("00 00 0005 00000007 00000001 78"),
        [("data", 7, SYN | FIN, b"x"), ("end", 7, SYN | FIN)],
    ),
    "a window update": (
        window_update(6, INITIAL_WINDOW),
        bytes.fromhex("00 01 0000 00000006 00040000"),
        [("window", 6, 0, INITIAL_WINDOW)],
    ),
    "one that opens a stream": (
        window_update(9, 0, SYN),
        bytes.fromhex("00 01 0001 00000009 00000000"),
        [("window", 9, SYN, 0)],
    ),
    "a reset": (
        window_update(8, 0, RST),
        bytes.fromhex("00 01 0008 00000008 00000000"),
        [("window", 8, RST, 0)],
    ),
    "a ping": (
        ping(0xDEADBEEF),
        bytes.fromhex("00 02 0001 00000000 deadbeef"),
        [("ping", SYN, 0xDEADBEEF)],
    ),
    "its answer": (
        pong(0xDEADBEEF),
        bytes.fromhex("00 02 0002 00000000 deadbeef"),
        [("ping", ACK, 0xDEADBEEF)],
    ),
    "a farewell": (
        go_away(GoAway.NORMAL),
        bytes.fromhex("00 03 0000 00000000 00000000"),
        [("go away", 0)],
    ),
    "one for a protocol error": (
        go_away(GoAway.PROTOCOL_ERROR),
        bytes.fromhex("00 03 0000 00000000 00000001"),
        [("go away", 1)],
    ),
    "one for an internal error": (
        go_away(GoAway.INTERNAL_ERROR),
        bytes.fromhex("00 03 0000 00000000 00000002"),
        [("go away", 2)],
    ),
}


class Heard:
    """A handler that writes down what it hears; a payload as one, however many pieces it came in."""

    def __init__(self, *, refuses: frozenset[int] = frozenset()) -> None:
        self.calls: list[Call] = []
        self.largest = 0
        self._refuses = refuses

    def on_data(self, stream_id: int, flags: int, length: int) -> Callable[[memoryview], None] | None:
        assert 0 <= length <= LARGEST_PAYLOAD
        self.calls.append(("data", stream_id, flags, b""))
        place = len(self.calls) - 1
        left = length

        def take(piece: memoryview) -> None:
            nonlocal left
            assert len(self.calls) == place + 1, "another frame began inside a payload"
            assert 0 < len(piece) <= left
            left -= len(piece)
            self.largest = max(self.largest, len(piece))
            kind, number, with_flags, payload = self.calls[place]
            assert isinstance(payload, bytes)
            self.calls[place] = (kind, number, with_flags, payload + bytes(piece))

        return None if stream_id in self._refuses else take

    def on_whole_data(self, stream_id: int, flags: int, payload: memoryview) -> None:
        assert len(payload) > 0
        assert not flags & (FIN | RST)
        take = self.on_data(stream_id, flags, len(payload))
        if take is not None:
            take(payload)

    def on_data_end(self, stream_id: int, flags: int) -> None:
        self.calls.append(("end", stream_id, flags))

    def on_window_update(self, stream_id: int, flags: int, delta: int) -> None:
        self.calls.append(("window", stream_id, flags, delta))

    def on_ping(self, flags: int, value: int) -> None:
        self.calls.append(("ping", flags, value))

    def on_go_away(self, reason: int) -> None:
        self.calls.append(("go away", reason))


def read(pieces: list[bytes]) -> list[Call]:
    """Feed the pieces; what the handler heard, and behind it the error, if there was one."""
    heard = Heard()
    reader = FrameReader(heard)
    for piece in pieces:
        try:
            reader.feed(memoryview(piece))
        except FrameError as error:
            return [*heard.calls, ("error", str(error))]
        assert len(reader._part) < HEADER_SIZE
    return heard.calls


@pytest.mark.parametrize("name", EXAMPLES)
def test_frames_are_exact(name: str) -> None:
    written, exact, calls = EXAMPLES[name]
    assert written == exact
    assert read([exact]) == read(every_byte(exact)) == calls


numbers = st.integers(0, 2**32 - 1)
stream_flags = st.integers(0, 15)


def data_frame(stream_id: int, flags: int, payload: bytes) -> tuple[bytes, list[Call]]:
    calls: list[Call] = [("data", stream_id, flags, payload)]
    if flags & (FIN | RST):
        calls.append(("end", stream_id, flags))
    return data_header(stream_id, len(payload), flags) + payload, calls


frames: st.SearchStrategy[tuple[bytes, list[Call]]] = st.one_of(
    st.builds(data_frame, numbers, stream_flags, st.binary(max_size=200)),
    st.builds(
        lambda stream_id, flags, delta: (window_update(stream_id, delta, flags), [("window", stream_id, flags, delta)]),
        numbers,
        stream_flags,
        numbers,
    ),
    st.builds(lambda value: (ping(value), [("ping", SYN, value)]), numbers),
    st.builds(lambda value: (pong(value), [("ping", ACK, value)]), numbers),
    st.builds(lambda reason: (go_away(reason), [("go away", reason.value)]), st.sampled_from(GoAway)),
)


@given(st.lists(frames, max_size=8), cuts)
def test_what_is_written_is_read_however_it_is_cut(written: list[tuple[bytes, list[Call]]], places: list[int]) -> None:
    data = b"".join(frame for frame, _ in written)
    expected = [call for _, calls in written for call in calls]
    assert read([data]) == read(cut(data, places)) == read(every_byte(data)) == expected


@given(st.binary(max_size=200), cuts)
@example(b"\x01" + bytes(11), [])
@example(b"\x00\x04" + bytes(10), [5])
@example(b"\x00\x00" + b"\x00\x05" + b"\x00\x00\x00\x01" + b"\xff\xff\xff\xff", [])
def test_any_bytes_end_in_calls_or_the_error(data: bytes, places: list[int]) -> None:
    assert read([data]) == read(cut(data, places)) == read(every_byte(data))


headers = st.builds(
    lambda version, kind, flags, stream_id, length: (
        bytes((version, kind)) + flags.to_bytes(2, "big") + stream_id.to_bytes(4, "big") + length.to_bytes(4, "big")
    ),
    st.sampled_from([0, 0, 0, 0, 0, 1]),
    st.integers(0, 4),
    st.integers(0, 2**16 - 1),
    numbers,
    st.integers(0, 30) | numbers,
)


@given(st.lists(headers | st.binary(max_size=30), max_size=8), cuts)
def test_so_do_any_headers(parts: list[bytes], places: list[int]) -> None:
    data = b"".join(parts)
    assert read([data]) == read(cut(data, places)) == read(every_byte(data))


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (b"\x01" + bytes(11), "a frame of version 1"),
        (b"\x00\x04" + bytes(10), "a frame of the unknown type 4"),
        (data_header(1, LARGEST_PAYLOAD + 1), f"a frame of {LARGEST_PAYLOAD + 1} bytes"),
        (data_header(1, 2**32 - 1), f"a frame of {2**32 - 1} bytes"),
    ],
)
def test_what_is_no_frame_is_an_error(frame: bytes, message: str) -> None:
    assert read([ping(1) + frame]) == [("ping", SYN, 1), ("error", message)]
    # Whatever was in front of it has been heard, however it was cut.
    assert read([ping(1)[:7], ping(1)[7:] + frame[:3], frame[3:]]) == [("ping", SYN, 1), ("error", message)]


def test_a_payload_goes_on_as_it_comes_and_the_reader_keeps_none_of_it() -> None:
    heard = Heard()
    reader = FrameReader(heard)
    reader.feed(memoryview(data_header(1, LARGEST_PAYLOAD)))
    chunk = bytes(1 << 16)
    for _ in range(LARGEST_PAYLOAD // len(chunk)):
        reader.feed(memoryview(chunk))
        assert not reader._part
    assert heard.largest == len(chunk)
    reader.feed(memoryview(ping(1)))
    assert heard.calls[-1] == ("ping", SYN, 1)


def test_a_payload_that_nobody_takes_is_skipped() -> None:
    heard = Heard(refuses=frozenset({1}))
    data = data_header(1, 5, FIN) + b"hello" + data_header(3, 2) + b"on"
    reader = FrameReader(heard)
    for piece in every_byte(data):
        reader.feed(memoryview(piece))
    assert heard.calls == [("data", 1, FIN, b""), ("end", 1, FIN), ("data", 3, 0, b"on")]


def test_an_error_of_the_handler_s_ends_the_reading() -> None:
    class Strict(Heard):
        def on_window_update(self, stream_id: int, flags: int, delta: int) -> None:
            raise FrameError("not here")

    heard = Strict()
    with pytest.raises(FrameError, match="not here"):
        FrameReader(heard).feed(memoryview(ping(1) + window_update(1, 1) + ping(2)))
    assert heard.calls == [("ping", SYN, 1)]


def test_the_connection_has_no_stream_s_number() -> None:
    assert CONNECTION == 0
    assert ping(7)[4:8] == pong(7)[4:8] == go_away(GoAway.NORMAL)[4:8] == bytes(4)
