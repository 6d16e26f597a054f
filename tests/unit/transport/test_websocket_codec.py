"""Messages to bytes and back, and what is not taken from a peer."""

from __future__ import annotations

import itertools
import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Close, CloseCode, Frame, Opcode

from nodepass.transport.websocket.codec import CONTROL_LIMIT, Codec
from nodepass.transport.websocket.framing import MESSAGE_LIMIT
from tests.unit.transport.websocket_peer import frame, protocols

BINARY, CONT, TEXT, PING, PONG, CLOSE = (
    *(Opcode.BINARY, Opcode.CONT, Opcode.TEXT),
    *(Opcode.PING, Opcode.PONG, Opcode.CLOSE),
)
OVERLONG = MESSAGE_LIMIT + 1


def pair(*, half_closes: bool = True) -> tuple[Codec, Codec]:
    """A client's codec and a server's."""
    client, server = protocols(half_closes=half_closes)
    return Codec(client, lambda: 1.0), Codec(server, lambda: 1.0)


def received(codec: Codec, data: bytes, *, whole: bool = True) -> list[bytes]:
    """The payloads in the next bytes: those of whole frames, or any pieces of them."""
    view, payloads = memoryview(data), []
    offset = codec.advance(view, 0)
    while offset < len(data):
        payload, offset = codec.take(view, offset, whole=whole)
        if payload:
            payloads.append(bytes(payload))
        offset = codec.advance(view, offset)
    return payloads


def message(codec: Codec, data: bytes | memoryview, head: bytes = b"") -> bytes:
    """A message in one piece."""
    return b"".join(codec.message(head, data))


@pytest.mark.parametrize("size", [1, 125, 126, 65535, 65536, MESSAGE_LIMIT])
def test_messages_arrive_as_they_were_sent(size: int) -> None:
    client, server = pair()
    payload = os.urandom(size)
    assert received(server, message(client, payload)) == [payload]
    assert received(client, message(server, memoryview(payload))) == [payload]


def test_a_client_masks_and_a_server_does_not() -> None:
    client, server = pair()
    assert b"plain to see" not in message(client, b"plain to see")
    assert b"plain to see" in message(server, b"plain to see")


def test_messages_in_any_pieces() -> None:
    client, server = pair()
    wire = b"".join(message(client, bytes([n]) * n) for n in range(1, 200))
    payloads: list[bytes] = []
    for start in range(0, len(wire), 7):
        payloads += received(server, wire[start : start + 7])
    assert payloads == [bytes([n]) * n for n in range(1, 200)]


def test_fragments_come_out_as_they_come() -> None:
    _, server = pair()
    assert received(server, frame(BINARY, b"one", fin=False)) == [b"one"]
    assert received(server, frame(PING) + frame(CONT, b"two", fin=False)) == [b"two"]
    assert received(server, frame(CONT, fin=True)) == []
    assert received(server, frame(BINARY, b"three")) == [b"three"]
    assert server.error is None
    assert not server.ended


def test_an_empty_message_ends_a_direction_where_both_ends_know_that() -> None:
    client, server = pair()
    assert received(server, message(client, b"last") + client.end()) == [b"last"]
    assert server.ended
    assert not server.closed
    assert server.may_close


def test_an_empty_message_says_nothing_to_a_v1_peer() -> None:
    client, server = pair(half_closes=False)
    assert received(server, client.end() + message(client, b"more")) == [b"more"]
    assert not server.ended


def test_empty_fragments_end_nothing() -> None:
    _, server = pair()
    assert received(server, frame(BINARY, fin=False) + frame(CONT, fin=False) + frame(CONT)) == []
    assert not server.ended
    assert server.error is None


def test_close_is_answered_and_ends_both_directions() -> None:
    client, server = pair()
    assert received(server, message(client, b"last") + client.close()) == [b"last"]
    assert (server.ended, server.closed, server.may_close, server.error) == (True, True, False, None)
    assert received(client, server.answers()) == []
    assert client.closed
    assert server.close() == b""


def test_pings_are_answered() -> None:
    client, server = pair()
    assert received(server, client.ping()) == []
    assert server.answers() == frame(PONG, mask=False)


def close_of(answer: bytes) -> Close:
    """The last frame of a server's answer."""
    start = answer.index(b"\x88")
    return Close.parse(answer[start + 2 :])


REFUSED = {
    "text": (frame(TEXT, b"hello"), CloseCode.UNSUPPORTED_DATA),
    "unmasked": (frame(BINARY, b"hello", mask=False), CloseCode.PROTOCOL_ERROR),
    "reserved bit": (bytes([0x82 | 0x40, 0x80]) + bytes(4), CloseCode.PROTOCOL_ERROR),
    "unknown opcode": (bytes([0x83, 0x80]) + bytes(4), CloseCode.PROTOCOL_ERROR),
    "length of 16 bits over the limit": (
        bytes([0x82, 0xFF]) + struct.pack("!Q", OVERLONG),
        CloseCode.MESSAGE_TOO_BIG,
    ),
    "length of 64 bits": (bytes([0x82, 0xFF]) + b"\xff" * 8, CloseCode.MESSAGE_TOO_BIG),
    "fragments over the limit": (
        frame(BINARY, bytes(MESSAGE_LIMIT), fin=False) + frame(CONT, b"x"),
        CloseCode.MESSAGE_TOO_BIG,
    ),
    "rest of nothing": (frame(CONT, b"rest"), CloseCode.PROTOCOL_ERROR),
    "message inside a message": (frame(BINARY, b"1", fin=False) + frame(BINARY, b"2"), CloseCode.PROTOCOL_ERROR),
    "long ping": (bytes([0x89, 0xFE, 0, 126]) + bytes(4 + 126), CloseCode.PROTOCOL_ERROR),
    "fragmented ping": (bytes([0x09, 0x80]) + bytes(4), CloseCode.PROTOCOL_ERROR),
    "close of one byte": (frame(CLOSE, b"\x03"), CloseCode.PROTOCOL_ERROR),
    "close with a reason that is no text": (frame(CLOSE, b"\x03\xe8\xff"), CloseCode.INVALID_DATA),
    "close inside a message": (frame(BINARY, b"1", fin=False) + frame(CLOSE, b"\x03\xe8"), CloseCode.PROTOCOL_ERROR),
    "data behind the end": (frame(BINARY) + frame(BINARY, b"more"), CloseCode.PROTOCOL_ERROR),
    "flood of pings": (frame(PING) * (CONTROL_LIMIT + 1), CloseCode.POLICY_VIOLATION),
    "flood of pongs": (frame(PONG) * (CONTROL_LIMIT + 1), CloseCode.POLICY_VIOLATION),
    "flood of ends": (frame(BINARY) + frame(PING) * (CONTROL_LIMIT + 1), CloseCode.POLICY_VIOLATION),
    "flood of nothing": (
        frame(BINARY, fin=False) + frame(CONT, fin=False) * CONTROL_LIMIT,
        CloseCode.POLICY_VIOLATION,
    ),
}


@pytest.mark.parametrize("kind", list(REFUSED))
def test_what_breaks_a_rule_is_refused(kind: str) -> None:
    wire, code = REFUSED[kind]
    _, server = pair()
    received(server, wire)
    assert server.error is not None
    assert "\n" not in str(server.error)
    assert close_of(server.answers()).code == code
    assert received(server, frame(BINARY, b"as if nothing had been")) == []


def test_what_came_before_a_broken_rule_comes_out() -> None:
    _, server = pair()
    assert received(server, frame(BINARY, b"good") + frame(TEXT, b"bad") + frame(BINARY, b"ugly")) == [b"good"]


def test_a_few_control_frames_a_second_are_no_flood() -> None:
    _, protocol = protocols()
    now = 0.0
    server = Codec(protocol, lambda: now)
    for _ in range(5):
        now += 1
        received(server, frame(PING) * CONTROL_LIMIT)
    assert server.error is None


@pytest.mark.parametrize("code", [CloseCode.NORMAL_CLOSURE, CloseCode.GOING_AWAY, None])
def test_a_close_in_order(code: CloseCode | None) -> None:
    _, server = pair()
    received(server, frame(CLOSE, b"" if code is None else Close(code, "").serialize()))
    assert (server.closed, server.error) == (True, None)


def test_a_close_that_says_that_something_broke() -> None:
    _, server = pair()
    received(server, frame(CLOSE, Close(CloseCode.INTERNAL_ERROR, "oh\nno").serialize()))
    assert server.closed
    assert str(server.error) == "closed by the other side: 1011 (internal error) oh no"


@given(
    pieces=st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.builds(
                lambda opcode, data, fin: Frame(opcode, data, fin).serialize(mask=True),
                st.sampled_from([BINARY, CONT, TEXT]),
                st.binary(max_size=200),
                st.booleans(),
            ),
            st.just(frame(PING, b"x")),
            st.just(frame(CLOSE, b"\x03\xe8")),
        ),
        max_size=12,
    ),
    places=st.lists(st.integers(0, 3000), max_size=5),
)
def test_any_bytes_in_any_chunks_have_one_outcome(pieces: list[bytes], places: list[int]) -> None:
    wire = b"".join(pieces)
    _, whole = pair()
    expected = received(whole, wire)
    _, cut = pair()
    edges = [0, *sorted(min(place, len(wire)) for place in places), len(wire)]
    found: list[bytes] = []
    for start, end in itertools.pairwise(edges):
        found += received(cut, wire[start:end])
    assert found == expected
    assert (str(cut.error), cut.ended, cut.closed) == (str(whole.error), whole.ended, whole.closed)
