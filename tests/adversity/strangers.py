"""What somebody without the key says to a listening port: much of it, and all of it nonsense.

Each takes a `Door`, where to and how, and returns when it is done. Whoever is cut off begins anew; that nothing is taken
any more is no failure here. What must hold is for the caller to see.
"""

from __future__ import annotations

import functools
import random
import socket
import ssl
import struct
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hyperframe.frame import HeadersFrame, PingFrame, RstStreamFrame, SettingsFrame
from qh3.quic.configuration import QuicConfiguration
from qh3.quic.connection import QuicConnection

from nodepass.transport.quic.settings import ALPN
from tests.harness import connect, insecure_context, udp_socket
from tests.harness.raw import bearer

if TYPE_CHECKING:
    from collections.abc import Callable

STRANGER: Final = "127.0.0.9"
PREAMBLE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
UPGRADE: Final = (
    b"GET / HTTP/1.1\r\nHost: none\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
MEGABYTE: Final = 1 << 20
PATIENCE: Final = 2.0


@dataclass(frozen=True)
class Door:
    """A port, and how it is spoken to.

    Args:
        port: which.
        alpn: TLS is spoken, with these protocols; None for plain.
        source: address from which; that of honest users and clients is 127.0.0.1.
        many: connections where an attack is about their number.
    """

    port: int
    alpn: tuple[str, ...] | None = None
    source: str = STRANGER
    many: int = 1500

    def open(self) -> socket.socket:
        """A connection.

        Raises:
            OSError: it was not taken.
        """
        sock = connect(self.port, source=self.source, timeout=PATIENCE)
        if self.alpn is None:
            return sock
        try:
            # The ssl module forgets to close a socket that has been reset before it looks at it.
            sock.getpeername()
            return _context(self.alpn).wrap_socket(sock)
        except OSError:
            sock.close()
            raise

    def say(self, *words: bytes, listen: bool = True) -> int:
        """Say it on a connection of its own, as far as it is taken; gives how many bytes were."""
        taken = 0
        with suppress(OSError), self.open() as sock:
            for word in words:
                sock.sendall(word)
                taken += len(word)
            if listen:
                sock.settimeout(0.05)
                while sock.recv(1 << 16):
                    pass
        return taken


@functools.cache
def _context(alpn: tuple[str, ...]) -> ssl.SSLContext:
    context = insecure_context()
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def random_bytes(door: Door) -> None:
    """Nonsense of all lengths."""
    dice = random.Random(1)
    for _ in range(100):
        door.say(dice.randbytes(dice.randrange(1, 20_000)), listen=False)


def half_handshakes(door: Door) -> None:
    """Thousands who begin a request and never end it, all at once, and say a little more now and then."""
    with ExitStack() as stack:
        held = []
        for _ in range(door.many):
            with suppress(OSError):
                sock = stack.enter_context(connect(door.port, source=door.source, timeout=PATIENCE))
                sock.sendall(b"GET / HTTP/1.1\r\nHo")
                held.append(sock)
        for _ in range(3):
            for sock in held:
                with suppress(OSError):
                    sock.send(b"s", socket.MSG_DONTWAIT)


def half_tls(door: Door) -> None:
    """Many who begin TLS and do not go on."""
    hello = ssl.MemoryBIO()
    tls = _context(()).wrap_bio(ssl.MemoryBIO(), hello, server_hostname="none")
    with suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    first = hello.read()
    with ExitStack() as stack:
        for _ in range(door.many // 5):
            with suppress(OSError):
                stack.enter_context(connect(door.port, source=door.source, timeout=PATIENCE)).sendall(first)


def huge_headers(door: Door) -> None:
    """A header of megabytes, and thousands of small ones; with the right token or none."""
    start = f"GET / HTTP/1.1\r\nHost: none\r\nAuthorization: Bearer {bearer('wrong')}\r\n".encode()
    for _ in range(10):
        door.say(start + b"X: ", *[b"a" * MEGABYTE] * 4, listen=False)
        door.say(start, *[b"X: a\r\n" * 1000] * 100, listen=False)


def endless_line(door: Door) -> None:
    """A hundred megabytes without a newline, for as long as they are taken."""
    door.say(*[b"A" * MEGABYTE] * 100, listen=False)


def false_websocket_frames(door: Door) -> None:
    """Upgrades with no key behind them, and frames that say they are longer than anything is."""
    masked = 0x80
    for opcode in (0x82, 0x81, 0x89, 0x8F, 0x02, 0x00):
        for length in (
            struct.pack("!BQ", masked | 127, 1 << 63),
            struct.pack("!BQ", masked | 127, (1 << 40)),
            b"\xfe\xff\xff",
        ):
            frame = bytes((opcode,)) + length + bytes(4)
            door.say(UPGRADE, frame + bytes(70_000), *[bytes(70_000)] * 10)


def http2_rapid_reset(door: Door) -> None:
    """Thousands of requests, each taken back at once."""
    request = _h2_request()
    for _ in range(3):
        pairs = []
        for number in range(1, 4001, 2):
            pairs.append(HeadersFrame(number, request, flags=["END_HEADERS"]).serialize())
            pairs.append(RstStreamFrame(number, error_code=8).serialize())
        door.say(PREAMBLE + SettingsFrame(0).serialize(), b"".join(pairs))


def http2_floods(door: Door) -> None:
    """Settings, pings and headers without end."""
    settings = SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: 1}).serialize()
    ping = PingFrame(0, bytes(8)).serialize()
    endless = HeadersFrame(1, b"\x40\x01a\x7f\xff" + b"a" * 10_000).serialize()
    continuation = struct.pack("!BHBBL", 0, 16_000, 9, 0, 1) + b"a" * 16_000
    begin = PREAMBLE + SettingsFrame(0).serialize()
    door.say(begin, *[settings * 100] * 100)
    door.say(begin, *[ping * 100] * 100)
    door.say(begin, endless, *[continuation] * 200)


def _h2_request() -> bytes:
    """`POST https://none/stream`, as HPACK's static table and literals have it."""
    return b"\x83\x87\x41\x04none\x44\x07/stream"


def quic_nonsense(door: Door) -> None:
    """Datagrams that are nothing, and ones that look like the first of a connection."""
    dice = random.Random(2)
    with udp_socket(door.port, source=door.source) as sock:
        for number in range(door.many * 2):
            nonsense = dice.randbytes(dice.randrange(1, 1400))
            initial = (
                b"\xc3\0\0\0\1\x08" + dice.randbytes(8) + b"\x08" + dice.randbytes(8) + b"\0\x44\x96" + dice.randbytes(1174)
            )
            with suppress(OSError):
                sock.send(initial if number % 2 else nonsense)
            if not number % 50:
                # Faster, the system would drop most of them.
                time.sleep(0.002)


def half_quic(door: Door) -> None:
    """Many who begin a connection for real, go on when the server asks whether they are there, and then say no more."""
    configuration = QuicConfiguration(is_client=True, alpn_protocols=[ALPN], verify_mode=ssl.CERT_NONE)
    there = ("127.0.0.1", door.port)
    with ExitStack() as stack:
        begun = [
            (stack.enter_context(udp_socket(door.port, source=door.source)), QuicConnection(configuration=configuration))
            for _ in range(door.many // 5)
        ]
        for sock, connection in begun:
            connection.connect(there, now=0.0)
            _send_all(sock, connection)
        for sock, connection in begun:
            sock.settimeout(0.02)
            with suppress(OSError):
                connection.receive_datagram(sock.recv(1 << 16), there, now=0.0)
                _send_all(sock, connection)


def _send_all(sock: socket.socket, connection: QuicConnection) -> None:
    for said, _ in connection.datagrams_to_send(now=0.0):
        with suppress(OSError):
            sock.send(said)


def datagrams_of_many(door: Door) -> None:
    """Hundreds of users of UDP who say nonsense of all lengths, and do not wait for an answer."""
    dice = random.Random(3)
    with ExitStack() as stack:
        crowd = [stack.enter_context(udp_socket(door.port, source=door.source)) for _ in range(door.many // 5)]
        for length in (0, 1, 1400, 60_000):
            for number, sock in enumerate(crowd):
                with suppress(OSError):
                    sock.send(dice.randbytes(length))
                if not number % 50:
                    time.sleep(0.002)


def false_proxy_headers(door: Door) -> None:
    """PROXY headers that are too long, lie about their length, or never end."""
    signature = b"\r\n\r\n\0\r\nQUIT\n"
    for header in (
        b"PROXY TCP4 " + b"1" * 100_000,
        b"PROXY TCP4 999.1.1.1 1.1.1.1 1 99999999\r\n",
        b"PROXY UNKNOWN" + b"\0" * 200,
        signature + b"\x21\x11\xff\xff" + bytes(70_000),
        signature + b"\x2f\xff\x00\x00",
        signature[:7],
    ):
        for _ in range(5):
            door.say(header)
    with ExitStack() as stack:
        for _ in range(door.many):
            with suppress(OSError):
                stack.enter_context(connect(door.port, source=door.source, timeout=PATIENCE)).sendall(b"PROXY TC")


PLAIN: Final[tuple[Callable[[Door], None], ...]] = (random_bytes, half_handshakes, half_tls, huge_headers, endless_line)
HTTP2: Final[tuple[Callable[[Door], None], ...]] = (http2_rapid_reset, http2_floods)
WEBSOCKET: Final[tuple[Callable[[Door], None], ...]] = (false_websocket_frames,)
QUIC: Final[tuple[Callable[[Door], None], ...]] = (quic_nonsense, half_quic)
USERS: Final[tuple[Callable[[Door], None], ...]] = (random_bytes, datagrams_of_many)
