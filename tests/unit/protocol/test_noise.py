"""The Noise handshake: what the library does is what the specification says, and nothing malformed gets through."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import example, given
from hypothesis import strategies as st

from nodepass.errors import HandshakeError, SignalError
from nodepass.protocol.noise import TAG_SIZE, NoiseHandshake
from tests.unit.protocol.noise_by_hand import Initiator, nonce

PSK = bytes(range(32))
OTHER = bytes(32)

SMALL_ORDER = (
    bytes(32),
    (1).to_bytes(32, "little"),
    (2**255 - 19).to_bytes(32, "little"),
    (2**255 - 20).to_bytes(32, "little"),
    (2**255 - 18).to_bytes(32, "little"),
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
)
"""Public keys that every private key makes a secret of zeros with (https://cr.yp.to/ecdh.html#validate)."""


def pair() -> tuple[NoiseHandshake, NoiseHandshake]:
    return NoiseHandshake(PSK, initiator=True), NoiseHandshake(PSK, initiator=False)


def connected() -> tuple[NoiseHandshake, NoiseHandshake]:
    initiator, responder = pair()
    responder.read_message(initiator.write_message(b""))
    initiator.read_message(responder.write_message(b""))
    return initiator, responder


def test_both_ends_read_what_the_other_wrote_and_have_one_hash() -> None:
    initiator, responder = pair()
    assert responder.read_message(initiator.write_message(b"from the client")) == b"from the client"
    assert initiator.read_message(responder.write_message(b"from the server")) == b"from the server"
    assert initiator.hash == responder.hash
    assert len(initiator.hash) == 32


def test_no_two_handshakes_have_the_same_hash() -> None:
    assert connected()[0].hash != connected()[0].hash


def test_it_is_what_the_specification_says() -> None:
    by_hand, responder = Initiator(PSK), NoiseHandshake(PSK, initiator=False)
    assert responder.read_message(by_hand.first_message(b"first")) == b"first"
    assert by_hand.read_second_message(responder.write_message(b"second")) == b"second"
    assert by_hand.hash == responder.hash
    to_responder, to_initiator = map(ChaCha20Poly1305, by_hand.transport_keys())
    for counter in range(3):
        assert responder.decrypt(to_responder.encrypt(nonce(counter), b"up", b"")) == b"up"
        assert to_initiator.decrypt(nonce(counter), responder.encrypt(b"down"), b"") == b"down"


def test_another_key_is_refused_by_both() -> None:
    with pytest.raises(HandshakeError):
        NoiseHandshake(OTHER, initiator=False).read_message(pair()[0].write_message(b""))
    stranger, responder = NoiseHandshake(OTHER, initiator=True), NoiseHandshake(OTHER, initiator=False)
    responder.read_message(stranger.write_message(b""))
    initiator = pair()[0]
    initiator.write_message(b"")
    with pytest.raises(HandshakeError):
        initiator.read_message(responder.write_message(b""))


def test_every_flipped_bit_of_the_first_message_is_seen() -> None:
    message = bytearray(pair()[0].write_message(b"{}"))
    for bit in range(len(message) * 8):
        message[bit // 8] ^= 1 << bit % 8
        with pytest.raises(HandshakeError):
            NoiseHandshake(PSK, initiator=False).read_message(bytes(message))
        message[bit // 8] ^= 1 << bit % 8
    assert NoiseHandshake(PSK, initiator=False).read_message(bytes(message)) == b"{}"


@pytest.mark.parametrize("place", [0, 31, 32, 33, 49])
def test_a_changed_second_message_is_seen(place: int) -> None:
    initiator, responder = pair()
    responder.read_message(initiator.write_message(b""))
    answer = bytearray(responder.write_message(b"{}"))
    assert len(answer) == 50
    answer[place] ^= 0x80
    with pytest.raises(HandshakeError):
        initiator.read_message(bytes(answer))


@pytest.mark.parametrize("size", [*range(34), 47])
def test_a_truncated_message_is_seen(size: int) -> None:
    initiator, responder = pair()
    message = initiator.write_message(b"")
    assert len(message) == 48
    with pytest.raises(HandshakeError):
        responder.read_message(message[:size])


@given(st.binary(max_size=200))
@example(b"")
def test_any_bytes_are_refused_by_both(message: bytes) -> None:
    initiator, responder = pair()
    initiator.write_message(b"")
    for end in (initiator, responder):
        with pytest.raises(HandshakeError):
            end.read_message(message)


@pytest.mark.parametrize("public", SMALL_ORDER)
def test_a_public_key_of_small_order_is_refused_before_an_answer_is_written(public: bytes) -> None:
    message = Initiator(PSK, public=public).first_message(b"{}")
    with pytest.raises(HandshakeError):
        NoiseHandshake(PSK, initiator=False).read_message(message)


def test_the_channel_carries_both_ways() -> None:
    ends = connected()
    for sender, receiver in (ends, ends[::-1], ends):
        sealed = sender.encrypt(b"a line")
        assert len(sealed) == len(b"a line") + TAG_SIZE
        assert receiver.decrypt(sealed) == b"a line"


@given(st.binary(max_size=100))
def test_what_does_not_open_leaves_the_channel_as_it_was(junk: bytes) -> None:
    initiator, responder = connected()
    sealed = initiator.encrypt(b"good")
    with pytest.raises(SignalError):
        responder.decrypt(junk)
    assert responder.decrypt(sealed) == b"good"


def test_the_order_counts() -> None:
    initiator, responder = connected()
    first, second = initiator.encrypt(b"1"), initiator.encrypt(b"2")
    with pytest.raises(SignalError):
        responder.decrypt(second)
    assert responder.decrypt(first) == b"1"
    with pytest.raises(SignalError):
        responder.decrypt(first)
    assert responder.decrypt(second) == b"2"


def test_a_message_does_not_open_in_the_other_direction_or_elsewhere() -> None:
    initiator, responder = connected()
    sealed = initiator.encrypt(b"x")
    for end in (initiator, *connected()):
        with pytest.raises(SignalError):
            end.decrypt(sealed)
    assert responder.decrypt(sealed) == b"x"


def test_an_oversized_message_is_refused() -> None:
    initiator, _ = connected()
    with pytest.raises(SignalError):
        initiator.decrypt(bytes(100_000))
