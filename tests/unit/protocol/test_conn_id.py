from __future__ import annotations

import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodepass.errors import ProtocolError
from nodepass.protocol.conn_id import CONTROL, ConnectionId, from_bytes, is_connection_id, random_id, to_bytes


@given(st.binary(min_size=4, max_size=4))
def test_bytes_survive_the_round_trip(raw: bytes) -> None:
    connection_id = from_bytes(raw)
    assert is_connection_id(connection_id)
    assert to_bytes(connection_id) == raw


def test_control_is_four_zero_bytes() -> None:
    assert from_bytes(bytes(4)) == CONTROL


@pytest.mark.parametrize("raw", [b"", b"abc", b"abcde"])
def test_other_lengths_are_refused(raw: bytes) -> None:
    with pytest.raises(ProtocolError, match="expected 4"):
        from_bytes(raw)


@pytest.mark.parametrize("text", ["", "38885F7E", "38885f7", "38885f7e0", "38885f7e\n", "٣8885f7e"])
def test_only_eight_lower_case_hex_digits_are_an_id(text: str) -> None:
    assert not is_connection_id(text)


def test_random_id_is_never_control_nor_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = iter([CONTROL, "0000000a", "0000000b"])
    monkeypatch.setattr(secrets, "token_hex", lambda _size: next(drawn))
    assert random_id({ConnectionId("0000000a")}) == "0000000b"


def test_random_ids_differ() -> None:
    assert len({random_id() for _ in range(50)}) == 50
