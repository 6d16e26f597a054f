"""Where payloads are found among frames: the same however the bytes come, and the same that the library finds."""

from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from nodepass.transport.websocket.codec import Codec
from nodepass.transport.websocket.frames import MASK_SIZE, head_of, masked
from nodepass.transport.websocket.framing import MESSAGE_LIMIT
from tests.unit.transport.websocket_peer import frame, protocols

MASK = b"mask"
BINARY, CONT, PING, CLOSE = Opcode.BINARY, Opcode.CONT, Opcode.PING, Opcode.CLOSE


def ends() -> tuple[Codec, Codec]:
    """A client's codec and a server's."""
    client, server = protocols()
    return Codec(client, lambda: 1.0), Codec(server, lambda: 1.0)


def pieces_of(codec: Codec, wire: bytes, places: list[int], *, whole: bool) -> list[bytes]:
    """What comes out of `wire`, cut at some places."""
    found = []
    edges = [0, *sorted(min(place, len(wire)) for place in places), len(wire)]
    for start, end in itertools.pairwise(edges):
        # As a link reads: in memory that is used again.
        view = memoryview(bytearray(wire[start:end]))
        offset = codec.advance(view, 0)
        while offset < len(view):
            payload, offset = codec.take(view, offset, whole=whole)
            if payload:
                found.append(bytes(payload))
            offset = codec.advance(view, offset)
        view[:] = bytes(len(view))
    return found


@st.composite
def messages(draw: st.DrawFn) -> list[Frame]:
    """Messages in fragments, with control frames between these."""
    frames: list[Frame] = []
    for fragments in draw(st.lists(st.lists(st.integers(1, 70_000), min_size=1, max_size=4), max_size=5)):
        for number, size in enumerate(fragments):
            data = os.urandom(4) * (size // 4 + 1)
            frames.append(Frame(CONT if number else BINARY, data[:size], number + 1 == len(fragments)))
            if draw(st.booleans()):
                frames.append(Frame(PING, data[: draw(st.integers(0, 4))]))
    if draw(st.booleans()):
        frames.append(Frame(CLOSE, b"\x03\xe8"))
    return frames


@given(frames=messages(), places=st.lists(st.integers(0, 300_000), max_size=12), at_server=st.booleans())
def test_any_cuts_give_the_same_bytes_and_whole_ones_keep_their_boundaries(
    frames: list[Frame], places: list[int], at_server: bool
) -> None:
    wire = b"".join(one.serialize(mask=at_server) for one in frames)
    payloads = [bytes(one.data) for one in frames if one.opcode in (BINARY, CONT)]
    for whole in (False, True):
        codec = ends()[at_server]
        found = pieces_of(codec, wire, places, whole=whole)
        assert b"".join(found) == b"".join(payloads)
        if whole:
            assert found == payloads
        assert codec.error is None
        assert codec.closed == any(one.opcode is CLOSE for one in frames)


@given(
    wire=st.lists(
        st.one_of(
            st.binary(min_size=1, max_size=20),
            st.builds(
                lambda bits, opcode, data: head_of(bits | opcode, len(data), MASK) + masked(data, MASK),
                st.sampled_from([0x80, 0x80, 0x80, 0, 0, 0xC0]),
                st.sampled_from([*Opcode, BINARY, CONT, 3]),
                st.binary(max_size=130),
            ),
        ),
        max_size=8,
    ).map(b"".join),
    places=st.lists(st.integers(0, 500), max_size=6),
)
def test_the_library_finds_the_same_and_the_same_faults(wire: bytes, places: list[int]) -> None:
    codec = Codec(protocols(half_closes=False)[1], lambda: 1.0)
    found = pieces_of(codec, wire, places, whole=True)
    library = protocols(half_closes=False)[1]
    library.receive_data(wire)
    expected = []
    for event in library.events_received():
        assert isinstance(event, Frame)
        if event.opcode is Opcode.TEXT:
            break
        if event.opcode in (BINARY, CONT) and event.data:
            expected.append(bytes(event.data))
    assert found == expected
    if library.parser_exc is not None:
        assert codec.error is not None
    if codec.error is None:
        assert codec.closed == (library.close_rcvd is not None)


@pytest.mark.parametrize("first", [0x81, 0x01, 0x89, 0x80, 0xC2], ids=["text", "texts", "ping", "rest", "reserved"])
def test_what_is_long_and_wrong_is_refused_at_its_head(first: int) -> None:
    """Not taken in to its end first."""
    codec = ends()[1]
    pieces_of(codec, head_of(first, 126, os.urandom(MASK_SIZE)), [], whole=True)
    assert codec.error is not None


@pytest.mark.parametrize(
    "head", [b"\x82\x7f" + b"\xff" * 8, b"\x82\x7f\x80" + bytes(7), b"\x82\x7f" + bytes(5) + b"\x10\x00\x01"]
)
def test_lengths_of_64_bits_that_are_too_long(head: bytes) -> None:
    codec = ends()[0]
    pieces_of(codec, head[:-1], [], whole=True)
    assert codec.error is None
    pieces_of(codec, head[-1:], [], whole=True)
    assert codec.error is not None


def test_a_message_in_endless_fragments_is_refused_at_the_limit() -> None:
    codec = ends()[1]
    size = MESSAGE_LIMIT // 16
    wire = frame(BINARY, bytes(size), fin=False) + frame(CONT, bytes(size), fin=False) * 15
    assert pieces_of(codec, wire, [], whole=True) == [bytes(size)] * 16
    assert codec.error is None
    pieces_of(codec, head_of(CONT, 1, bytes(4)), [], whole=True)
    assert codec.error is not None


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 600_000])
def test_messages_are_as_the_library_writes_them(size: int) -> None:
    client, server = ends()
    data = os.urandom(size)
    assert b"".join(server.message(data[:12], data[12:])) == Frame(BINARY, data).serialize(mask=False)
    front, rest = client.message(data[:12], data[12:])
    wire = front + rest
    plain = Frame(BINARY, data).serialize(mask=True)
    head = len(plain) - size
    assert wire[: head - MASK_SIZE] == plain[: head - MASK_SIZE]
    assert masked(wire[head:], wire[head - MASK_SIZE : head]) == data


def test_each_message_has_a_mask_of_its_own() -> None:
    client, _ = ends()
    assert len({client.message(b"", b"x")[0][2:6] for _ in range(100)}) == 100


def test_a_large_body_is_not_copied_where_no_mask_is_put_on() -> None:
    body = memoryview(bytearray(100_000))
    assert ends()[1].message(b"head", body)[1] is body
