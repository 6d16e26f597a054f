"""The wire protocol: what a peer or a user sends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodepass.errors import HandshakeError, HandshakeRefused, ProtocolError, ProxyHeaderError, SignalError
from nodepass.policy.replay_window import WIDTH, ReplayWindow
from nodepass.protocol import conn_id
from nodepass.protocol.agreement import Agreement
from nodepass.protocol.checkpoint import CheckPoint
from nodepass.protocol.client_handshake import ClientHandshake
from nodepass.protocol.handshake import REQUEST_LIMIT, ServerHandshake, Verdict, bearer_token
from nodepass.protocol.json_object import parse_object
from nodepass.protocol.launch import LIMIT, LaunchReader, encode_launch
from nodepass.protocol.proxy_header import ProxyHeaderParser, encode_v1, encode_v2
from nodepass.protocol.remote import parse_remote
from nodepass.protocol.signals import LineSplitter, Overlong, Signal, SignalCodec, write_line
from nodepass.protocol.sniff import MOST_NEEDED, Sniffer
from nodepass.protocol.sniff import Verdict as Sniffed
from nodepass.protocol.udp_frame import HEADER_SIZE, DatagramSplitter, header
from tests.fuzz.target import Target, however_cut

if TYPE_CHECKING:
    from collections.abc import Iterable

KEY = "mykey"
DATE = "Mon, 23 Nov 2026 05:00:00 GMT"
SHORT_LINE = 40

codec = SignalCodec(KEY)


def text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def json_object(data: bytes) -> None:
    assert isinstance(parse_object(data), dict)


def agreement(data: bytes) -> None:
    try:
        members = parse_object(data)
    except ValueError:
        return
    found = Agreement.from_members(members)
    assert Agreement.from_members(parse_object(found.encode())) == found


def checkpoint(data: bytes) -> None:
    found = CheckPoint.parse(text(data))
    if found is not None:
        assert CheckPoint.parse(found.format()) == found


def connection_id(data: bytes) -> None:
    found = conn_id.from_bytes(data)
    assert conn_id.is_connection_id(found)
    assert conn_id.to_bytes(found) == data


def handshake_request(data: bytes) -> None:
    """The first byte says how the server is set as well."""
    flags = data[0] if data else 0

    def read(parts: Iterable[bytes]) -> Verdict | None:
        server = ServerHandshake(KEY, strict=bool(flags & 1), upgrades=bool(flags & 2))
        verdict = None
        for part in parts:
            verdict = server.receive(part)
        return verdict

    verdict = however_cut(data, read)
    if verdict is None:
        assert len(data) <= REQUEST_LIMIT
    elif verdict.status >= 400:
        assert ServerHandshake.refuse(verdict.status, verdict.text, DATE)


def handshake_answer(data: bytes) -> None:
    def read(parts: Iterable[bytes]) -> object:
        client = ClientHandshake("host", bearer_token(KEY))
        try:
            for part in parts:
                answer = client.receive(part)
                if answer is not None:
                    return answer
            return client.receive_eof()
        except HandshakeRefused as error:
            return error.status, error.reason, error.date
        except HandshakeError as error:
            return len(str(error).splitlines()) == 1

    assert however_cut(data, read)


def launch(data: bytes) -> None:
    def read(parts: Iterable[bytes]) -> tuple[Signal, bytes] | type[SignalError] | None:
        reader, signal, rest = LaunchReader(), None, b""
        try:
            for part in parts:
                if signal is not None:
                    rest += part
                elif (found := reader.feed(part)) is not None:
                    signal, rest = found
        except SignalError:
            return SignalError
        return None if signal is None else (signal, rest)

    found = however_cut(data, read)
    if found is None:
        assert len(data) - 1 < LIMIT
    elif isinstance(found, tuple):
        signal, _ = found
        again = LaunchReader().feed(encode_launch(signal.action, signal.remote, signal.name))
        assert again == (signal, b"")


def proxy_header(data: bytes) -> None:
    def read(parts: Iterable[bytes]) -> object:
        parser, header, rest = ProxyHeaderParser(), None, b""
        try:
            for part in parts:
                if header is not None:
                    rest += part
                elif (header := parser.feed(part)) is not None:
                    rest = parser.rest
        except ProxyHeaderError:
            return ProxyHeaderError
        if header is None:
            return None
        if header.source is not None and header.destination is not None:
            for written in (
                encode_v1(header.source, header.destination),
                encode_v2(header.source, header.destination, datagram=False),
            ):
                assert ProxyHeaderParser().feed(written) == header
        return header, rest

    however_cut(data, read)


def remote(data: bytes) -> None:
    address, port = parse_remote(text(data))
    assert parse_remote(f"[{address}]:{port}" if ":" in address else f"{address}:{port}") == (address, port)


def signal_line(data: bytes) -> None:
    found = codec.decode(data)
    assert codec.decode(codec.encode(found)) == found


def signal_json(data: bytes) -> None:
    """JSON under the right key, which no fuzzer would find."""
    signal_line(write_line(codec._xor(data)))


def line_splitter(data: bytes) -> None:
    def read(parts: Iterable[bytes]) -> list[bytes | Overlong]:
        splitter = LineSplitter(SHORT_LINE)
        return [line for part in parts for line in splitter.feed(part)]

    found = however_cut(data, read)
    *lines, _ = data[1:].split(b"\n")
    expected = [line if len(line) <= SHORT_LINE else Overlong(SHORT_LINE) for line in lines]
    assert found[: len(expected)] == expected
    assert found[len(expected) :] in ([], [Overlong(SHORT_LINE)])


def sniff(data: bytes) -> None:
    """The first byte says what is looked for as well."""
    flags = data[0] if data else 0

    def read(parts: Iterable[bytes]) -> Sniffed:
        sniffer = Sniffer(socks=bool(flags & 1), http=bool(flags & 2), tls=bool(flags & 4))
        verdict = sniffer.feed(b"")
        for part in parts:
            verdict = sniffer.feed(part)
        return verdict

    if however_cut(data, read) is Sniffed.UNDECIDED:
        assert len(data) - 1 < MOST_NEEDED


def udp_frame(data: bytes) -> None:
    def read(parts: Iterable[bytes]) -> list[bytes]:
        splitter = DatagramSplitter()
        return [bytes(datagram) for part in parts for datagram in splitter.feed(memoryview(part))]

    stream = b"".join(header(len(datagram)) + datagram for datagram in however_cut(data, read))
    rest = data[1:].removeprefix(stream)
    assert stream + rest == data[1:]
    assert len(rest) < HEADER_SIZE or len(rest) < HEADER_SIZE + int.from_bytes(rest[:HEADER_SIZE], "big")


def replay_window(data: bytes) -> None:
    """Counters of proofs, which are 8 bytes each."""
    window, taken = ReplayWindow(), set[int]()
    for start in range(0, len(data) - 7, 8):
        counter = int.from_bytes(data[start : start + 8], "big")
        expected = counter not in taken and counter >= max(taken, default=0) - WIDTH
        assert window.take(counter) == expected
        if expected:
            taken.add(counter)
        assert window._taken.bit_length() <= WIDTH + 1


WIRE = (
    Target("json-object", json_object, (ValueError,)),
    Target("agreement", agreement, (HandshakeError,)),
    Target("checkpoint", checkpoint, longest=300),
    Target("connection-id", connection_id, (ProtocolError,), longest=8),
    Target("handshake-request", handshake_request, longest=REQUEST_LIMIT + 1000),
    Target("handshake-answer", handshake_answer),
    Target("launch", launch),
    Target("proxy-header", proxy_header),
    Target("remote", remote, (SignalError,), longest=200),
    Target("signal-line", signal_line, (SignalError,)),
    Target("signal-json", signal_json, (SignalError,)),
    Target("line-splitter", line_splitter),
    Target("sniff", sniff, longest=100),
    Target("udp-frame", udp_frame),
    Target("replay-window", replay_window),
)
