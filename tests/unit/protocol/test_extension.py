"""The extension inside the handshake: two honest ends agree, and whatever else comes is refused as documented."""

from __future__ import annotations

import base64
import contextlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from noise.connection import NoiseConnection

from nodepass.errors import HandshakeError
from nodepass.protocol.agreement import Agreement, Flow
from nodepass.protocol.extension import (
    FEATURES,
    MOST_WORKERS,
    TEXT_LIMIT,
    ClientExtension,
    Feature,
    Offer,
    ServerExtension,
    Terms,
    _read_terms,
    new_session,
)
from nodepass.protocol.noise import NoiseHandshake
from nodepass.protocol.signals import fingerprint
from nodepass.protocol.sniff import Sniffer, Verdict
from nodepass.protocol.tunnel_key import pre_shared_key
from tests.unit.protocol.noise_by_hand import Initiator

if TYPE_CHECKING:
    from nodepass.protocol.session_keys import SessionKeys

PSK = bytes(range(32))
OTHER = bytes(32)
CLIENT = "0123456789abcdef"
NOW = 1_790_000_000.25
TERMS = Terms(bytes.fromhex("f011223344556677"), FEATURES, Agreement(Flow.REVERSE, 1024, 1, 0), fingerprint(b"certificate"))
ANSWER: dict[str, object] = {
    "session": "f011223344556677",
    "features": ["pin", "seal"],
    "flow": "-",
    "max": 1024,
    "tls": "1",
    "type": "0",
    "fingerprint": fingerprint(b"certificate"),
}


def offer_of(payload: bytes) -> Offer | None:
    """Let a server read a header with this payload, from a client that has the key."""
    message = NoiseHandshake(PSK, initiator=True).write_message(payload)
    return ServerExtension(PSK).receive(f"1 {base64.b64encode(message).decode()}")


def conclude_with(payload: bytes) -> tuple[Terms, SessionKeys]:
    """Let a client read an answer with this payload, from a server that has the key."""
    client, server = ClientExtension(PSK, CLIENT), NoiseHandshake(PSK, initiator=False)
    server.read_message(base64.b64decode(client.header(NOW).removeprefix("1 ")))
    return client.conclude(base64.b64encode(server.write_message(payload)).decode())


# The key.


def test_the_key_is_scrypt_as_the_specification_says() -> None:
    # Computed by an implementation of RFC 7914 in plain Python.
    assert pre_shared_key("mykey").hex() == "2752e7c587077a343cc905d62bcdf480d10b957f8dc64554bc98d22f4646912f"


def test_the_key_is_made_once() -> None:
    assert pre_shared_key("mykey") is pre_shared_key("mykey")


def test_a_key_of_any_bytes_has_one() -> None:
    assert len(pre_shared_key("\udcff\u00fc")) == 32


# Two honest ends.


def test_both_ends_agree() -> None:
    client, server = ClientExtension(PSK, CLIENT), ServerExtension(PSK)
    header = client.header(NOW)
    offer = server.receive(header)
    assert offer == Offer(NOW, FEATURES, CLIENT, base64.b64decode(header[2:])[:32])
    text, keys_of_server = server.answer(TERMS)
    terms, keys_of_client = client.conclude(text)
    assert terms == TERMS
    assert keys_of_client.session == keys_of_server.session == TERMS.session
    assert keys_of_server.proves(keys_of_client.proof(0))


@pytest.mark.parametrize(
    ("told", "understood"), [(1, 1), (2, 2), (MOST_WORKERS, MOST_WORKERS), (MOST_WORKERS + 1, 1), (-1, 1), (10**9, 1)]
)
def test_how_many_processes_the_server_is_is_a_hint(told: int, understood: int) -> None:
    client, server = ClientExtension(PSK, CLIENT), ServerExtension(PSK)
    assert server.receive(client.header(NOW)) is not None
    terms, _ = client.conclude(server.answer(replace(TERMS, workers=told))[0])
    assert terms == replace(TERMS, workers=understood)


@pytest.mark.parametrize("text", ["true", "2.0", '"2"', "null", "[2]", "{}"])
def test_what_is_no_number_of_processes_is_left_aside(text: str) -> None:
    members = {"session": "f011223344556677", "features": [], "fingerprint": "", **TERMS.agreement.members()}
    assert _read_terms({**members, "workers": json.loads(text)}).workers == 1


def test_nothing_is_said_in_clear() -> None:
    client, server = ClientExtension(PSK, CLIENT), ServerExtension(PSK)
    header = client.header(NOW)
    assert server.receive(header) is not None
    text, _ = server.answer(TERMS)
    said = base64.b64decode(header[2:]) + base64.b64decode(text)
    for secret in (b"pool-auth", b"time", CLIENT.encode(), b"sha256", TERMS.session):
        assert secret not in said


def test_a_client_of_another_make_is_understood() -> None:
    # After extension.md alone, with the library and nothing of ours.
    connection = NoiseConnection.from_name(b"Noise_NNpsk0_25519_ChaChaPoly_SHA256")
    connection.set_psks(PSK)
    connection.set_as_initiator()
    connection.start_handshake()
    message = connection.write_message(b'{"time": 1790000000, "features": ["seal", "levitation", "pool-auth"]}')
    server = ServerExtension(PSK)
    offer = server.receive(f"1 {base64.b64encode(message).decode()}")
    assert offer == Offer(1790000000.0, frozenset({Feature.SEAL, Feature.POOL_AUTH}), "", bytes(message[:32]))
    text, keys = server.answer(TERMS)
    answer = json.loads(connection.read_message(base64.b64decode(text)))
    assert answer == {**ANSWER, "features": sorted(feature.value for feature in Feature)}
    assert connection.decrypt(keys.seal(b"down")) == b"down"
    assert keys.open(connection.encrypt(b"up")) == b"up"


def test_no_two_headers_are_the_same() -> None:
    offers = [ServerExtension(PSK).receive(ClientExtension(PSK, CLIENT).header(NOW)) for _ in range(2)]
    assert len({offer.fresh for offer in offers if offer}) == 2


def test_a_session_s_name_begins_like_no_protocol() -> None:
    names = {new_session() for _ in range(100)}
    assert len(names) == 100
    for name in names:
        assert len(name) == 8
        assert name[0] & 0x80
        assert Sniffer(socks=True, http=True, tls=True).feed(name) is Verdict.CLEAR


def test_no_repr_shows_a_key() -> None:
    _, keys = conclude_with(json.dumps(ANSWER).encode())
    psk = pre_shared_key("mykey")
    ends = (ClientExtension(psk, CLIENT), ServerExtension(psk), NoiseHandshake(psk, initiator=True), keys)
    assert all(" object at 0x" in repr(end) for end in ends)


# What a server is sent.


@pytest.mark.parametrize("header", ["", "1", "1 ", "1 AAAA", "1 A", "1 ????", "1 \u00e9AAA", "1 " + "A" * (TEXT_LIMIT + 4)])
def test_what_is_no_header_of_ours_is_none(header: str) -> None:
    assert ServerExtension(PSK).receive(header) is None


def test_only_the_very_header_is_read() -> None:
    header = ClientExtension(PSK, CLIENT).header(NOW)
    message = header.removeprefix("1 ")
    for changed in (
        message,
        f"2 {message}",
        f"01 {message}",
        f"1  {message}",
        f"1\t{message}",
        f"1 {message} ",
        f"1 {message}AAAA",
    ):
        assert ServerExtension(PSK).receive(changed) is None
    assert ServerExtension(PSK).receive(header[:-4]) is None
    assert ServerExtension(OTHER).receive(header) is None
    assert ServerExtension(PSK).receive(header) is not None


def test_an_oversized_header_is_not_even_tried() -> None:
    payload = b'{"time":1,"features":[]' + b" " * TEXT_LIMIT + b"}"
    assert offer_of(payload) is None
    assert offer_of(payload.replace(b" " * (TEXT_LIMIT // 3), b"")) is not None


@given(st.text(max_size=100) | st.text("1 =AQ/+", max_size=100))
@example("1 ")
def test_any_header_is_none(header: str) -> None:
    assert ServerExtension(PSK).receive(header) is None
    assert ServerExtension(PSK).receive(f"1 {header}") is None


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"[" * 2000,
        b"\xff",
        b"{}",
        b'{"time":1}',
        b'{"features":[]}',
        b'{"time":"1","features":[]}',
        b'{"time":true,"features":[]}',
        b'{"time":null,"features":[]}',
        b'{"time":NaN,"features":[]}',
        b'{"time":Infinity,"features":[]}',
        b'{"time":1e999,"features":[]}',
        b'{"time":-1e999,"features":[]}',
        b'{"time":-1,"features":[]}',
        b'{"time":1' + b"0" * 1000 + b',"features":[]}',
        b'{"time":1e300,"features":[]}',
        b'{"time":1,"features":"pin"}',
        b'{"time":1,"features":{"pin":1}}',
        b'{"time":1,"features":null}',
    ],
)
def test_what_makes_no_sense_is_none(payload: bytes) -> None:
    assert offer_of(payload) is None


@pytest.mark.parametrize(
    "client", ["", "0123456789ABCDEF", "0123456789abcde", "0123456789abcdef0", 7, None, ["a"], "\n" * 16]
)
def test_a_malformed_name_of_the_client_is_none_at_all(client: object) -> None:
    offer = offer_of(json.dumps({"time": 1, "features": [], "client": client}).encode())
    assert offer is not None
    assert offer.client == ""


def test_unknown_features_are_ignored() -> None:
    offer = offer_of(b'{"time":1.5,"features":["pin","quantum",1,null,true,["seal"],{},"PIN",NaN],"more":1}')
    assert offer is not None
    assert offer.features == {Feature.PIN}
    assert offer.time == 1.5


def test_a_recorded_header_shows_itself_by_its_freshness() -> None:
    header = ClientExtension(PSK, CLIENT).header(NOW)
    first, again = ServerExtension(PSK).receive(header), ServerExtension(PSK).receive(header)
    assert first is not None
    assert first == again


def test_who_knows_the_key_cannot_make_the_answer_fail() -> None:
    message = Initiator(PSK, public=bytes(32)).first_message(b'{"time":1,"features":[]}')
    assert ServerExtension(PSK).receive(f"1 {base64.b64encode(message).decode()}") is None


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text(max_size=9)
    | st.sampled_from(["pin", "-", "1", "0" * 16]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(["time", "features", "client", "else"]), json_values) | json_values)
def test_any_json_is_an_offer_or_none(value: object) -> None:
    offer = offer_of(json.dumps(value).encode())
    if offer is not None:
        assert 0 <= offer.time <= 2**53
        assert offer.features <= FEATURES


# What a client is sent.


@pytest.mark.parametrize("answer", [None, 1, True, 1.5, ["AAAA"], {"a": "AAAA"}])
def test_an_answer_that_is_no_text_says_that_the_extension_is_missing(answer: object) -> None:
    client = ClientExtension(PSK, CLIENT)
    client.header(NOW)
    with pytest.raises(HandshakeError, match="without the extension"):
        client.conclude(answer)


@pytest.mark.parametrize("answer", ["", "AAAA", "A", "????", "\u00e9", "A" * (TEXT_LIMIT + 4), "A" * 4000])
def test_an_answer_that_proves_nothing_says_what_may_be_wrong(answer: str) -> None:
    client = ClientExtension(PSK, CLIENT)
    client.header(NOW)
    with pytest.raises(HandshakeError, match="did not prove that it has the key: its key is another, or someone"):
        client.conclude(answer)


@given(st.text(max_size=100) | st.binary(max_size=100).map(lambda raw: base64.b64encode(raw).decode()))
def test_any_answer_is_refused(answer: str) -> None:
    client = ClientExtension(PSK, CLIENT)
    client.header(NOW)
    with pytest.raises(HandshakeError):
        client.conclude(answer)


def test_a_server_with_another_key_is_refused() -> None:
    # It cannot read the header; it answers one of its own making.
    server = ServerExtension(OTHER)
    assert server.receive(ClientExtension(OTHER, CLIENT).header(NOW)) is not None
    client = ClientExtension(PSK, CLIENT)
    client.header(NOW)
    with pytest.raises(HandshakeError, match="did not prove"):
        client.conclude(server.answer(TERMS)[0])


def test_an_answer_to_another_client_is_refused() -> None:
    server, client = ServerExtension(PSK), ClientExtension(PSK, CLIENT)
    assert server.receive(ClientExtension(PSK, CLIENT).header(NOW)) is not None
    client.header(NOW)
    with pytest.raises(HandshakeError, match="did not prove"):
        client.conclude(server.answer(TERMS)[0])


def test_a_changed_answer_is_refused() -> None:
    for place in (0, 40, -1):
        client, server = ClientExtension(PSK, CLIENT), ServerExtension(PSK)
        assert server.receive(client.header(NOW)) is not None
        answer = bytearray(base64.b64decode(server.answer(TERMS)[0]))
        answer[place] ^= 1
        with pytest.raises(HandshakeError, match="did not prove"):
            client.conclude(base64.b64encode(answer).decode())


def test_the_client_s_own_message_is_no_answer() -> None:
    client = ClientExtension(PSK, CLIENT)
    header = client.header(NOW)
    with pytest.raises(HandshakeError, match="did not prove"):
        client.conclude(header.removeprefix("1 "))


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("session", None, "no session"),
        ("session", 7, "no session"),
        ("session", "7011223344556677", "no session"),
        ("session", "F011223344556677", "no session"),
        ("session", "f01122334455667", "no session"),
        ("session", "f011223344556677\n", "no session"),
        ("features", None, "features"),
        ("features", "pin", "features"),
        ("features", {"pin": True}, "features"),
        ("flow", "*", "flow"),
        ("max", True, "max"),
        ("max", 0, "max"),
        ("max", 1.0, "max"),
        ("max", float("nan"), "max"),
        ("max", float("inf"), "max"),
        ("max", 10**100, "max"),
        ("tls", 1, "tls"),
        ("type", "4", "type"),
        ("fingerprint", None, "fingerprint"),
        ("fingerprint", "sha256:00", "fingerprint"),
        ("fingerprint", ["sha256"], "fingerprint"),
    ],
)
def test_an_answer_with_a_wrong_member_is_refused(name: str, value: object, complaint: str) -> None:
    conclude_with(json.dumps(ANSWER).encode())
    with pytest.raises(HandshakeError, match=complaint):
        conclude_with(json.dumps(ANSWER | {name: value}).encode())
    with pytest.raises(HandshakeError, match=complaint):
        conclude_with(json.dumps({key: kept for key, kept in ANSWER.items() if key != name}).encode())


@pytest.mark.parametrize("payload", [b"", b"[]", b"[" * 2000, b"\xff", b'"f011223344556677"'])
def test_an_answer_that_is_no_object_is_refused(payload: bytes) -> None:
    with pytest.raises(HandshakeError, match="not a JSON object"):
        conclude_with(payload)


def test_without_tls_there_is_no_fingerprint() -> None:
    terms, _ = conclude_with(json.dumps(ANSWER | {"fingerprint": "", "tls": "0"}).encode())
    assert terms.fingerprint == ""
    assert terms.features == {Feature.PIN, Feature.SEAL}


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(sorted(ANSWER)), json_values))
def test_any_json_gives_terms_or_a_handshake_error(changes: dict[str, object]) -> None:
    with contextlib.suppress(HandshakeError):
        terms, _ = conclude_with(json.dumps(ANSWER | changes).encode())
        assert terms.session[0] & 0x80
        assert 1 <= terms.agreement.max <= 1_000_000
