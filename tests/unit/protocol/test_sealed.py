"""Control lines under the session's keys: the same signals, and nobody else's."""

from __future__ import annotations

import base64
import contextlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nodepass.errors import SignalError
from nodepass.protocol.noise import NoiseHandshake
from nodepass.protocol.sealed import SealedCodec
from nodepass.protocol.session_keys import SessionKeys
from nodepass.protocol.signals import LINE_LIMIT, Action, Codec, Signal, SignalCodec, fingerprint
from tests.unit.protocol.test_signals import json_values, members_like_ours, valid_signals


def keys() -> tuple[SessionKeys, SessionKeys]:
    initiator, responder = (NoiseHandshake(bytes(32), initiator=first) for first in (True, False))
    responder.read_message(initiator.write_message(b""))
    initiator.read_message(responder.write_message(b""))
    return SessionKeys(bytes(8), initiator), SessionKeys(bytes(8), responder)


def codecs() -> tuple[SealedCodec, SealedCodec]:
    one, other = keys()
    return SealedCodec(one), SealedCodec(other)


pins = st.builds(Signal, st.just(Action.PIN), fp=st.binary().map(fingerprint))


@given(st.lists(valid_signals | pins, max_size=5))
def test_what_is_sealed_opens(signals: list[Signal]) -> None:
    sender, receiver = codecs()
    lines = [sender.encode(signal) for signal in signals]
    assert [receiver.decode(line) for line in lines] == signals


def test_a_line_is_base64_of_a_noise_message() -> None:
    one, other = keys()
    line = SealedCodec(one).encode(Signal(Action.PING))
    assert line.endswith(b"\n")
    assert other.open(base64.b64decode(line)) == b'{"action":"ping"}'


def test_two_equal_signals_do_not_look_alike() -> None:
    sender, _ = codecs()
    assert sender.encode(Signal(Action.PING)) != sender.encode(Signal(Action.PING))


def test_a_line_opens_once_and_in_its_place() -> None:
    sender, receiver = codecs()
    first, second = sender.encode(Signal(Action.PING)), sender.encode(Signal(Action.PONG))
    with pytest.raises(SignalError):
        receiver.decode(second)
    assert receiver.decode(first) == Signal(Action.PING)
    with pytest.raises(SignalError):
        receiver.decode(first)
    assert receiver.decode(second.rstrip()) == Signal(Action.PONG)


@given(st.binary(max_size=100) | st.binary(max_size=100).map(base64.b64encode))
def test_any_line_is_refused_and_forgotten(line: bytes) -> None:
    sender, receiver = codecs()
    with pytest.raises(SignalError):
        receiver.decode(line)
    assert receiver.decode(sender.encode(Signal(Action.PING))) == Signal(Action.PING)


def test_a_flipped_bit_is_seen() -> None:
    sender, receiver = codecs()
    raw = bytearray(base64.b64decode(sender.encode(Signal(Action.FLUSH))))
    for bit in range(len(raw) * 8):
        raw[bit // 8] ^= 1 << bit % 8
        with pytest.raises(SignalError):
            receiver.decode(base64.b64encode(raw))
        raw[bit // 8] ^= 1 << bit % 8
    assert receiver.decode(base64.b64encode(raw)) == Signal(Action.FLUSH)


def test_a_line_of_v1_is_refused() -> None:
    with pytest.raises(SignalError):
        codecs()[1].decode(SignalCodec("mykey").encode(Signal(Action.PING)))


@given(members_like_ours | json_values)
def test_any_sealed_json_gives_a_signal_or_a_signal_error(value: object) -> None:
    one, other = keys()
    line = base64.b64encode(one.seal(json.dumps(value).encode()))
    with contextlib.suppress(SignalError):
        assert isinstance(SealedCodec(other).decode(line), Signal)


@given(st.binary(max_size=100))
@example(b"[" * 12_000)
def test_any_sealed_bytes_are_refused(plain: bytes) -> None:
    one, other = keys()
    with pytest.raises(SignalError):
        SealedCodec(other).decode(base64.b64encode(one.seal(plain)))


def test_lines_are_bounded_both_ways_and_no_counter_is_lost() -> None:
    sender, receiver = codecs()
    with pytest.raises(SignalError, match="at most"):
        sender.encode(Signal(Action.TCP, remote="1" * LINE_LIMIT))
    with pytest.raises(SignalError, match="at most"):
        receiver.decode(b"A" * (LINE_LIMIT + 1))
    assert receiver.decode(sender.encode(Signal(Action.PING))) == Signal(Action.PING)


def test_the_longest_signal_fits_a_line() -> None:
    sender, receiver = codecs()
    empty = len('{"action":"tcp","remote":""}')
    line = sender.encode(Signal(Action.TCP, remote="1" * (LINE_LIMIT // 4 * 3 - 16 - empty)))
    assert len(line) == LINE_LIMIT + 1
    with pytest.raises(SignalError, match="remote"):
        receiver.decode(line)
    with pytest.raises(SignalError, match="at most"):
        sender.encode(Signal(Action.TCP, remote="1" * (LINE_LIMIT // 4 * 3 - 15 - empty)))


@pytest.mark.parametrize("fp", ["", "sha256:00", fingerprint(b"x").lower()])
def test_a_pin_needs_a_fingerprint(fp: str) -> None:
    sender, receiver = codecs()
    with pytest.raises(SignalError, match="fp is"):
        receiver.decode(sender.encode(Signal(Action.PIN, fp=fp)))


def test_it_stands_in_for_the_codec_of_v1() -> None:
    sender, receiver = codecs()
    ends: list[tuple[Codec, Codec]] = [(sender, receiver), (SignalCodec("mykey"), SignalCodec("mykey"))]
    for here, there in ends:
        assert there.decode(here.encode(Signal(Action.FLUSH))) == Signal(Action.FLUSH)
