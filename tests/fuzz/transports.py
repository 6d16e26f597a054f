"""Frames and packets of the transports, as far as they need no event loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodepass.transport.http2.frames import MOST_UNFRAMED, GuardedFrames
from nodepass.transport.http2.protocol import begin_protocol, make_protocol
from nodepass.transport.quic.packets import Retries, is_long, parse_long
from nodepass.transport.websocket.codec import Codec
from tests.fuzz.target import Target, however_cut, pieces
from tests.unit.transport.websocket_peer import protocols

if TYPE_CHECKING:
    from collections.abc import Iterable

    from h2.connection import H2Connection

ADDRESS = ("192.0.2.1", 4433)

MOST_STREAMS = 8

ANSWER_TO_ALL = 64 * 1024
"""Bytes that a peer may get back for whatever it sends in an input of ours."""

retries = Retries()


def http2_end(*, client: bool) -> tuple[H2Connection, list[object]]:
    """One end, of which a client has asked for a stream."""
    farewells: list[object] = []
    frames = GuardedFrames(server=not client, streams={1}, clock=lambda: 1.0, farewell=farewells.append)
    h2 = make_protocol(frames, client=client, most_streams=MOST_STREAMS)
    begin_protocol(h2)
    if client:
        names = ((":method", "POST"), (":scheme", "https"), (":authority", "x"), (":path", "/"))
        h2.send_headers(1, names)
    h2.data_to_send()
    return h2, farewells


def http2(data: bytes, *, client: bool) -> None:
    """Whatever h2 raises ends that connection; what it has to say is bounded, and so is what it keeps."""
    h2, _ = http2_end(client=client)
    answered = 0
    for piece in pieces(data):
        try:
            h2.receive_data(piece)
        except Exception:  # noqa: BLE001 - as in transport/http2/connection.py, where it ends the connection
            break
        answered += len(h2.data_to_send())
        assert h2.open_inbound_streams <= MOST_STREAMS
    assert answered <= ANSWER_TO_ALL


def http2_server(data: bytes) -> None:
    # The preface is what a client begins with; behind it is what is worth trying.
    http2(data[:1] + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + data[1:], client=False)


def http2_client(data: bytes) -> None:
    http2(data, client=True)


def http2_frames(data: bytes) -> None:
    """Frames cut out of the bytes: never more kept than the bound, GOAWAY never given on."""
    kept = 0
    frames = GuardedFrames(server=False, streams=(), clock=lambda: 1.0, farewell=lambda _: None)
    frames.max_frame_size = 1 << 14
    for piece in pieces(data):
        kept += len(piece)
        frames.add_data(piece)
        try:
            for frame in frames:
                kept = 0
                assert type(frame).__name__ != "GoAwayFrame"
        except AssertionError:
            raise
        except Exception:  # noqa: BLE001 - as above
            return
        assert kept <= MOST_UNFRAMED + len(piece)


def quic_packet(data: bytes) -> None:
    # The listener gives nothing without a byte to this.
    if not data or not is_long(data):
        return
    header = parse_long(data)
    if header is None:
        return
    assert max(len(header.destination), len(header.source)) <= 20
    # Who sends so little gets no more than three times as much (RFC 9000, 8.1).
    assert len(retries.retry(header, ADDRESS)) <= 3 * 1200
    assert retries.check(header, ADDRESS) is None


def websocket(data: bytes, *, client: bool) -> None:
    def read(parts: Iterable[bytes]) -> tuple[bytes, bool, bool, bool]:
        codec = Codec(protocols()[0 if client else 1], lambda: 1.0)
        payload, answers = b"", b""
        for part in parts:
            view, offset = memoryview(part), 0
            while (offset := codec.advance(view, offset)) < len(view) and codec.error is None:
                taken, offset = codec.take(view, offset, whole=False)
                payload += taken
            answers += codec.answers()
            if codec.error is not None:
                break
        assert len(payload) <= len(data)
        assert len(answers) <= ANSWER_TO_ALL
        return payload, codec.ended, codec.closed, codec.error is not None

    however_cut(data, read)


def websocket_server(data: bytes) -> None:
    websocket(data, client=False)


def websocket_client(data: bytes) -> None:
    websocket(data, client=True)


TRANSPORTS = (
    Target("http2-frames", http2_frames),
    Target("http2-server", http2_server),
    Target("http2-client", http2_client),
    Target("quic-packet", quic_packet, longest=1500),
    Target("websocket-server", websocket_server),
    Target("websocket-client", websocket_client),
)
