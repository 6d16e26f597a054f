"""What opens a pool connection."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodepass.protocol.noise import NoiseHandshake
from nodepass.protocol.session_keys import POOL_PROOF_SIZE, SessionKeys, counter_of, session_of
from tests.unit.protocol.noise_by_hand import Initiator

SESSION = bytes.fromhex("f011223344556677")


def handshakes() -> tuple[NoiseHandshake, NoiseHandshake]:
    initiator, responder = (NoiseHandshake(bytes(32), initiator=first) for first in (True, False))
    responder.read_message(initiator.write_message(b""))
    initiator.read_message(responder.write_message(b""))
    return initiator, responder


def both_ends(session: bytes = SESSION) -> tuple[SessionKeys, SessionKeys]:
    initiator, responder = handshakes()
    return SessionKeys(session, initiator), SessionKeys(session, responder)


CLIENT, SERVER = both_ends()


@pytest.mark.parametrize("counter", [0, 1, 255, 2**32, 2**64 - 1])
def test_a_proof_is_as_the_specification_says(counter: int) -> None:
    by_hand, responder = Initiator(bytes(32)), NoiseHandshake(bytes(32), initiator=False)
    responder.read_message(by_hand.first_message(b""))
    by_hand.read_second_message(responder.write_message(b""))
    to_responder, _ = by_hand.transport_keys()
    key = hmac.new(to_responder, b"nodepass pool" + by_hand.hash, hashlib.sha256).digest()
    head = SESSION + counter.to_bytes(8, "big")
    tag = hmac.new(key, b"pool" + head, hashlib.sha256).digest()[:16]
    assert SessionKeys(SESSION, responder).proof(counter) == head + tag


@given(st.integers(0, 2**64 - 1))
def test_the_other_end_believes_it(counter: int) -> None:
    proof = CLIENT.proof(counter)
    assert len(proof) == POOL_PROOF_SIZE
    assert SERVER.proves(proof)
    assert session_of(proof) == SESSION
    assert counter_of(proof) == counter


def test_every_flipped_bit_is_seen() -> None:
    proof = bytearray(CLIENT.proof(5))
    for bit in range(POOL_PROOF_SIZE * 8):
        proof[bit // 8] ^= 1 << bit % 8
        assert not SERVER.proves(bytes(proof))
        proof[bit // 8] ^= 1 << bit % 8
    assert SERVER.proves(bytes(proof))


@pytest.mark.parametrize("size", [*range(POOL_PROOF_SIZE), POOL_PROOF_SIZE + 1])
def test_a_proof_of_another_size_is_none(size: int) -> None:
    assert not SERVER.proves((CLIENT.proof(5) + b"\0")[:size])


@given(st.binary(max_size=40))
def test_any_bytes_prove_nothing(proof: bytes) -> None:
    assert not SERVER.proves(proof)


def test_another_session_s_proof_is_none() -> None:
    stranger, _ = both_ends()
    assert not SERVER.proves(stranger.proof(5))
    other = SERVER.proof(5)[8:]
    assert not SERVER.proves(bytes(8) + other)
