from __future__ import annotations

import base64
import contextlib
import hashlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nodepass.errors import SignalError
from nodepass.protocol.conn_id import CONTROL, ConnectionId, from_bytes
from nodepass.protocol.remote import parse_remote
from nodepass.protocol.signals import (
    LINE_LIMIT,
    Action,
    LineSplitter,
    Overlong,
    Signal,
    SignalCodec,
    fingerprint,
)
from tests.unit.protocol.chunks import cut, cuts, every_byte
from tests.unit.protocol.vectors import examples, section, text

KEY = "mykey"


def signal_of(members: dict[str, object]) -> Signal:
    words = {name: text(members, name) for name in members}
    return Signal(
        Action(words["action"]),
        remote=words.get("remote", ""),
        id=ConnectionId(words.get("id", "")),
        fp=words.get("fp", ""),
    )


def vectors() -> list[tuple[str, Signal, bytes]]:
    found = []
    for row in examples("signals"):
        members = row["signal"]
        assert isinstance(members, dict)
        found.append((text(row, "key"), signal_of(members), text(row, "line").encode()))
    captured = section("captured")
    lines, signals = captured["control_lines"], captured["control_signals"]
    assert isinstance(lines, list)
    assert isinstance(signals, list)
    found += [
        (text(captured, "key"), signal_of(members), line.encode()) for line, members in zip(lines, signals, strict=True)
    ]
    return found


def line_of(plain: bytes, key: str = KEY) -> bytes:
    """Do by the byte what the codec does at once."""
    raw_key = key.encode()
    return base64.b64encode(bytes(byte ^ raw_key[i % len(raw_key)] for i, byte in enumerate(plain)))


@pytest.mark.parametrize(("key", "signal", "line"), vectors())
def test_vectors_both_ways(key: str, signal: Signal, line: bytes) -> None:
    codec = SignalCodec(key)
    assert codec.encode(signal) == line
    assert codec.decode(line) == signal
    assert codec.decode(line.rstrip()) == signal


ids = st.binary(min_size=4, max_size=4).map(from_bytes).filter(lambda found: found != CONTROL)
remotes = st.one_of(
    st.builds("{}:{}".format, st.ip_addresses(v=4), st.integers(0, 65535)),
    st.builds("[{}]:{}".format, st.ip_addresses(v=6), st.integers(0, 65535)),
    st.just("[fe80::1%eth0]:5353"),
)
valid_signals = st.one_of(
    st.builds(Signal, st.sampled_from([Action.PING, Action.PONG, Action.FLUSH])),
    st.builds(Signal, st.sampled_from([Action.TCP, Action.UDP]), remote=remotes, id=ids),
    st.builds(Signal, st.just(Action.VERIFY), id=ids, fp=st.just("") | st.binary().map(fingerprint)),
)


@given(st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"])), valid_signals)
def test_what_is_encoded_decodes_to_itself(key: str, signal: Signal) -> None:
    codec = SignalCodec(key)
    assert codec.decode(codec.encode(signal)) == signal


@given(st.binary(max_size=200))
@example(b"")
@example(b"\n")
@example(b"FlsK=BgoE")
def test_any_line_gives_a_signal_or_a_signal_error(line: bytes) -> None:
    with contextlib.suppress(SignalError):
        assert isinstance(SignalCodec(KEY).decode(line), Signal)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.sampled_from([a.value for a in Action]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
members_like_ours = st.dictionaries(st.sampled_from(["action", "remote", "id", "fp", "other"]), json_values)


@given(members_like_ours | json_values)
def test_any_json_gives_a_signal_or_a_signal_error(value: object) -> None:
    line = line_of(json.dumps(value).encode())
    with contextlib.suppress(SignalError):
        assert isinstance(SignalCodec(KEY).decode(line), Signal)


@pytest.mark.parametrize(
    ("plain", "complaint"),
    [
        (b'{"action":"dance"}', "unknown action 'dance'"),
        (b"{}", "unknown action ''"),
        (b'{"action":1}', "action is not a string"),
        (b'{"action":null}', "action is not a string"),
        (b'{"action":"tcp","remote":["1.2.3.4:5"],"id":"38885f7e"}', "remote is not a string"),
        (b'{"action":"tcp","remote":"1.2.3.4:5"}', "id is ''"),
        (b'{"action":"tcp","id":"38885f7e"}', "remote is ''"),
        (b'{"action":"udp","remote":"1.2.3.4:5","id":"38885F7E"}', "id is '38885F7E'"),
        (b'{"action":"tcp","remote":"1.2.3.4:5","id":"00000000"}', "id is '00000000'"),
        (b'{"action":"verify","id":"38885f7e","fp":"sha256:00"}', "fp is 'sha256:00'"),
        (b'{"action":"verify","fp":"sha256:' + b"00:" * 31 + b'00"}', "id is ''"),
        (b'{"action":"verify","id":"38885f7e","fp":"sha256:' + b"ab:" * 31 + b'ab"}', "upper-case"),
        (b'{"action":"pin","fp":"sha256:' + b"AB:" * 31 + b'AB"}', "not sealed"),
        (b'{"action":"pin"}', "fp is ''"),
        (b'["action"]', "not a signal"),
        (b"[" * 12000, "not a signal"),
        (b'{"a":' * 2400, "not a signal"),
        (b'{"action":"ping","n":' + b"9" * 5000 + b"}", "not a signal"),
        (b"\xff\xfe", "not a signal"),
    ],
)
def test_what_is_refused_and_why(plain: bytes, complaint: str) -> None:
    with pytest.raises(SignalError, match=complaint) as caught:
        SignalCodec(KEY).decode(line_of(plain))
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 160


def test_members_the_action_does_not_need_are_ignored() -> None:
    plain = b'{"action":"ping","id":"nonsense","later":{"a":[1,2]}}'
    assert SignalCodec(KEY).decode(line_of(plain)) == Signal(Action.PING)


def test_a_line_under_another_key_is_refused() -> None:
    line = SignalCodec("other").encode(Signal(Action.PING))
    with pytest.raises(SignalError, match="under this key"):
        SignalCodec(KEY).decode(line)


def test_a_pin_is_not_sent_under_the_tunnel_key() -> None:
    with pytest.raises(SignalError, match="sealed channel only"):
        SignalCodec(KEY).encode(Signal(Action.PIN, fp=fingerprint(b"certificate")))


def test_lines_are_bounded_both_ways() -> None:
    with pytest.raises(SignalError, match="at most"):
        SignalCodec(KEY).decode(b"A" * (LINE_LIMIT + 1))
    with pytest.raises(SignalError, match="at most"):
        SignalCodec(KEY).encode(Signal(Action.TCP, remote="1" * LINE_LIMIT))


def test_the_longest_line_is_read_to_its_end() -> None:
    plain = b'{"action":"ping"' + b" " * (LINE_LIMIT // 4 * 3 - 17) + b"}"
    line = line_of(plain)
    assert len(line) == LINE_LIMIT
    assert SignalCodec(KEY).decode(line) == Signal(Action.PING)


def test_an_empty_key_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        SignalCodec("")


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("10.1.2.3:4444", ("10.1.2.3", 4444)),
        ("[2001:db8::1]:53", ("2001:db8::1", 53)),
        ("[::ffff:10.1.2.3]:0", ("::ffff:10.1.2.3", 0)),
        ("[fe80::1%eth0]:65535", ("fe80::1%eth0", 65535)),
    ],
)
def test_remotes(remote: str, expected: tuple[str, int]) -> None:
    assert parse_remote(remote) == expected


@pytest.mark.parametrize(
    "remote",
    [
        "",
        "1.2.3.4",
        "1.2.3.4:",
        "1.2.3.4:65536",
        "1.2.3.4:01",
        "1.2.3:80",
        "1.2.3.256:80",
        "2001:db8::1:53",
        "[1.2.3.4]:80x",
        "[:::]:80",
        "[fe80::1%\n]:80",
        "example.com:80",
        "1.2.3.4:80\n",
        "\ud800:80",
    ],
)
def test_what_is_no_remote(remote: str) -> None:
    with pytest.raises(SignalError, match="expected ip:port"):
        parse_remote(remote)


def test_fingerprint_form() -> None:
    expected = ":".join(f"{byte:02X}" for byte in hashlib.sha256(b"certificate").digest())
    assert fingerprint(b"certificate") == f"sha256:{expected}"


def split_all(pieces: list[bytes], limit: int) -> list[bytes | Overlong]:
    splitter = LineSplitter(limit)
    return [found for piece in pieces for found in splitter.feed(piece)]


@given(st.lists(st.sampled_from([b"\n", b"ab", b"abcd", b"abcdefgh"]), max_size=12).map(b"".join), cuts)
def test_lines_do_not_depend_on_chunks(data: bytes, places: list[int]) -> None:
    limit = 6
    expected: list[bytes | Overlong] = [line if len(line) <= limit else Overlong(limit) for line in data.split(b"\n")[:-1]]
    tail = data.rpartition(b"\n")[2]
    if len(tail) > limit:
        expected.append(Overlong(limit))
    assert split_all([data], limit) == split_all(cut(data, places), limit) == split_all(every_byte(data), limit)
    assert split_all([data], limit) == expected


def test_an_endless_line_is_reported_once_and_not_kept() -> None:
    splitter = LineSplitter(limit=10)
    found = [event for _ in range(100) for event in splitter.feed(b"x" * 7)]
    assert found == [Overlong(10)]
    assert len(splitter._partial) <= 10
    assert splitter.feed(b"end\nnext\n") == [b"next"]
