"""The launch signal at the head of a connection, however it is cut."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nodepass.errors import SignalError
from nodepass.protocol.launch import CONFIRMED, LIMIT, LaunchReader, encode_launch
from nodepass.protocol.signals import Action, Signal
from tests.unit.protocol.chunks import cut, cuts, every_byte
from tests.unit.protocol.test_signals import members_like_ours, remotes

HEAD = encode_launch(Action.TCP, "10.1.2.3:4444")


def framed(plain: bytes) -> bytes:
    return len(plain).to_bytes(2, "big") + plain


def read(pieces: list[bytes]) -> tuple[Signal, bytes] | None:
    """Feed the pieces; what comes after the launch goes by the reader, as it does on a connection."""
    reader = LaunchReader()
    for number, piece in enumerate(pieces, 1):
        found = reader.feed(piece)
        assert len(reader._held) < LIMIT
        if found is not None:
            return found[0], found[1] + b"".join(pieces[number:])
    return None


def test_it_is_exact() -> None:
    assert encode_launch(Action.TCP, "10.1.2.3:4444") == b'\x00\x29{"action":"tcp","remote":"10.1.2.3:4444"}'
    assert encode_launch(Action.UDP, "[::1]:53") == b'\x00\x24{"action":"udp","remote":"[::1]:53"}'
    assert encode_launch(Action.TCP, "1.2.3.4:5", "ab12") == b'\x00\x33{"action":"tcp","remote":"1.2.3.4:5","name":"ab12"}'
    assert CONFIRMED == b"\x01"


@pytest.mark.parametrize("name", ["", "0", "0123456789abcdef", "f" * 32])
def test_a_name_is_read(name: str) -> None:
    assert read([encode_launch(Action.TCP, "1.2.3.4:5", name)]) == (Signal(Action.TCP, remote="1.2.3.4:5", name=name), b"")


@pytest.mark.parametrize("name", ['"F"', '"g"', '" "', '"' + "f" * 33 + '"', "7", "null", "[]", '"0\\n"'])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(SignalError, match="name"):
        read([framed(f'{{"action":"tcp","remote":"1.2.3.4:5","name":{name}}}'.encode())])


@given(st.sampled_from([Action.TCP, Action.UDP]), remotes, st.binary(max_size=50), cuts)
def test_what_is_written_is_read_however_it_is_cut(action: Action, remote: str, behind: bytes, places: list[int]) -> None:
    data = encode_launch(action, remote) + behind
    expected = (Signal(action, remote=remote), behind)
    assert read([data]) == read(cut(data, places)) == read(every_byte(data)) == expected


def test_the_user_s_first_bytes_are_not_bounded() -> None:
    behind = bytes(100_000)
    assert LaunchReader().feed(HEAD + behind) == (Signal(Action.TCP, remote="10.1.2.3:4444"), behind)


@pytest.mark.parametrize("size", range(len(HEAD)))
def test_a_part_of_it_is_nothing_yet(size: int) -> None:
    assert read([HEAD[:size], b""]) is None


def test_an_id_is_ignored() -> None:
    plain = b'{"action":"udp","remote":"1.2.3.4:5","id":7,"fp":[],"more":null}'
    assert read([framed(plain)]) == (Signal(Action.UDP, remote="1.2.3.4:5"), b"")


@pytest.mark.parametrize("size", [LIMIT - 1, LIMIT, 65535])
def test_a_long_one_is_refused_by_its_length(size: int) -> None:
    with pytest.raises(SignalError, match="at most 1024"):
        LaunchReader().feed(size.to_bytes(2, "big"))


def test_the_longest_is_read() -> None:
    plain = b'{"action":"tcp","remote":"1.2.3.4:5"' + b" " * (LIMIT - 2 - 37) + b"}"
    assert len(framed(plain)) == LIMIT
    assert read(every_byte(framed(plain))) == (Signal(Action.TCP, remote="1.2.3.4:5"), b"")


def test_a_remote_that_does_not_fit_is_not_written() -> None:
    with pytest.raises(SignalError, match="at most 1022"):
        encode_launch(Action.TCP, "1" * LIMIT)


@pytest.mark.parametrize(
    ("plain", "complaint"),
    [
        (b"", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b"[" * 1000, "not a JSON object"),
        (b"\xff", "not a JSON object"),
        (b"{}", "unknown action ''"),
        (b'{"action":"dance","remote":"1.2.3.4:5"}', "unknown action"),
        (b'{"action":["tcp"],"remote":"1.2.3.4:5"}', "action is not a string"),
        (b'{"action":"ping"}', "ping is no launch"),
        (b'{"action":"flush"}', "flush is no launch"),
        (b'{"action":"pin","fp":"x"}', "pin is no launch"),
        (b'{"action":"tcp"}', "expected ip:port"),
        (b'{"action":"tcp","remote":"example.com:80"}', "expected ip:port"),
        (b'{"action":"tcp","remote":1}', "remote is not a string"),
    ],
)
def test_what_is_refused_and_why(plain: bytes, complaint: str) -> None:
    for pieces in ([framed(plain)], every_byte(framed(plain))):
        with pytest.raises(SignalError, match=complaint):
            read(pieces)


@given(st.binary(max_size=80), cuts)
@example(b"\0\0", [])
def test_any_bytes_give_nothing_or_a_signal_error(data: bytes, places: list[int]) -> None:
    with contextlib.suppress(SignalError):
        assert read(cut(data, places)) is None


@given(members_like_ours)
def test_any_json_gives_a_launch_or_a_signal_error(members: dict[str, object]) -> None:
    with contextlib.suppress(SignalError):
        found = read([framed(json.dumps(members).encode())])
        assert found is not None
        assert found[0].action in {Action.TCP, Action.UDP}
        assert not found[0].id
