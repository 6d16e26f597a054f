from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodepass.errors import HandshakeError
from nodepass.protocol.agreement import Agreement, Flow
from nodepass.protocol.client_handshake import ClientHandshake

agreements = st.builds(
    Agreement, st.sampled_from(Flow), max=st.integers(1, 1_000_000), tls=st.integers(0, 2), type=st.integers(0, 3)
)


def decoded(body: bytes) -> Agreement:
    """What a client makes of a server's answer with this body."""
    client = ClientHandshake("none")
    answer = client.receive(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
    assert answer is not None
    return answer.agreement


def test_body_is_exact() -> None:
    body = Agreement(Flow.REVERSE, max=1024, tls=0, type=0).encode()
    assert body == b'{"flow":"-","max":1024,"tls":"0","type":"0"}\n'


@given(agreements)
def test_what_is_encoded_decodes_to_itself(agreement: Agreement) -> None:
    assert decoded(agreement.encode()) == agreement


def test_unknown_members_are_ignored() -> None:
    body = b'{"flow":"+","max":1,"tls":"2","type":"3","extension":"AAAA","later":[{}]}'
    assert decoded(body) == Agreement(Flow.FORWARD, max=1, tls=2, type=3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("flow", "*"),
        ("flow", None),
        ("flow", ["-"]),
        ("flow", {}),
        ("max", 0),
        ("max", 1_000_001),
        ("max", -1),
        ("max", 1024.0),
        ("max", "1024"),
        ("max", True),
        ("tls", "3"),
        ("tls", 0),
        ("tls", "00"),
        ("tls", "\N{ARABIC-INDIC DIGIT ZERO}"),
        ("type", "4"),
        ("type", ""),
        ("type", None),
    ],
)
def test_members_of_the_wrong_form_are_refused(name: str, value: object) -> None:
    members: dict[str, object] = {"flow": "-", "max": 1024, "tls": "0", "type": "0"}
    with pytest.raises(HandshakeError, match=name):
        decoded(json.dumps(members | {name: value}).encode())
    del members[name]
    with pytest.raises(HandshakeError, match=name):
        decoded(json.dumps(members).encode())


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"[" * 60_000, b"\xff", b"{" * 9, b'{"max":' + b"1" * 5000])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(HandshakeError, match="not a JSON object"):
        decoded(body)


@given(st.binary())
def test_any_bytes_give_an_agreement_or_a_handshake_error(body: bytes) -> None:
    with pytest.raises(HandshakeError):
        decoded(body)
