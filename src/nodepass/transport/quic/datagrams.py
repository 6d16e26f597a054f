"""A UDP socket that carries QUIC: many datagrams per system call where the kernel can.

On Linux the kernel joins datagrams of one sender that follow each other (UDP_GRO), and takes several of one size in one
call (UDP_SEGMENT, "GSO"); a call, not a byte, is what costs. Both are tried and given up where they fail, as with network
devices that cannot do checksums; elsewhere there is one call per datagram.

What always holds: nothing here raises. What the system does not take now waits, one batch per connection, until it does;
what it refuses is dropped, as a network would, and sent again by QUIC's own recovery.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import sys
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nodepass.net.address import SocketAddress

    Ancillary = Sequence[tuple[int, int, bytes]]

SOL_UDP: Final = 17
UDP_SEGMENT: Final = 103
UDP_GRO: Final = 104
IP_PKTINFO: Final = 8
IPV6_RECVPKTINFO: Final = 49
IPV6_PKTINFO: Final = 50
"""Of linux/udp.h, linux/in.h and linux/in6.h; the socket module does not name them all."""

LARGEST_READ: Final = 65535
READS_PER_TURN: Final = 16
"""Reads of up to 64 KiB between looks at the other sockets of the loop."""

ANCILLARY_SIZE: Final = 128
MOST_SEGMENTS: Final = 64
"""Datagrams of one size that the kernel takes at a time (UDP_MAX_SEGMENTS)."""

LARGEST_WRITE: Final = 65000
"""Bytes of these together: with their headers they must fit into one IP packet of 65535."""

SEGMENTS_REFUSED: Final = frozenset({errno.EIO, errno.EINVAL, errno.ENOPROTOOPT, errno.EOPNOTSUPP, errno.EMSGSIZE})
"""How it fails where the kernel or a device cannot cut a batch into datagrams."""

_SIZE = struct.Struct("=H")


class DatagramSocket:
    """One UDP socket, bound or connected.

    Args:
        sock: non-blocking; owned from here on.
        received: called with one or more datagrams of one sender in one piece, how long each is (the last may be shorter),
            where they came from, and the ancillary data that sends an answer from the address they were sent to.
        turned: called when everything that had come has been handed over.
        writable: called when the system takes more after `blocked`.
        failed: called with what the system reports of a connected socket, such as a refused port.
    """

    __slots__ = (
        "_failed",
        "_loop",
        "_receive",
        "_received",
        "_segments",
        "_sock",
        "_turned",
        "_unsent",
        "_writable",
        "_writing",
    )

    def __init__(
        self,
        sock: socket.socket,
        received: Callable[[bytes, int, SocketAddress, Ancillary], None],
        turned: Callable[[], None],
        writable: Callable[[], None],
        failed: Callable[[OSError], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._sock: socket.socket | None = sock
        self._received = received
        self._turned = turned
        self._writable = writable
        self._failed = failed
        self._unsent: deque[tuple[list[bytes], SocketAddress | None, Ancillary]] = deque()
        self._writing = False
        linux = sys.platform == "linux"
        self._segments = linux
        self._receive = self._receive_joined if linux and _enable(sock, SOL_UDP, UDP_GRO) else self._receive_single
        if linux:
            _ask_for_destination(sock)
        self._loop.add_reader(sock.fileno(), self._on_readable)

    @property
    def blocked(self) -> bool:
        """Whether the system takes no more for now."""
        return bool(self._unsent)

    @property
    def port(self) -> int:
        """Where it is bound; 0 once it is closed."""
        return 0 if self._sock is None else int(self._sock.getsockname()[1])

    def send(self, datagrams: list[bytes], address: SocketAddress | None, ancillary: Ancillary = ()) -> None:
        """Send datagrams; to the connected peer where there is no address."""
        if self._sock is None:
            return
        if self._unsent:
            self._unsent.append((datagrams, address, ancillary))
            return
        rest = self._send(self._sock, datagrams, address, ancillary)
        if rest:
            self._unsent.append((rest, address, ancillary))
            if not self._writing:
                self._writing = True
                self._loop.add_writer(self._sock.fileno(), self._on_writable)

    def close(self) -> None:
        """Let go of the socket."""
        sock, self._sock = self._sock, None
        if sock is None:
            return
        self._loop.remove_reader(sock.fileno())
        if self._writing:
            self._loop.remove_writer(sock.fileno())
        self._unsent.clear()
        sock.close()

    # Sending.

    def _send(
        self, sock: socket.socket, datagrams: list[bytes], address: SocketAddress | None, ancillary: Ancillary
    ) -> list[bytes]:
        """Send in batches of one size; what the system had no room for."""
        start = 0
        while start < len(datagrams):
            end = self._batch_end(datagrams, start)
            batch = datagrams[start:end]
            more = ancillary
            if end - start > 1:
                more = (*ancillary, (SOL_UDP, UDP_SEGMENT, _SIZE.pack(len(batch[0]))))
            try:
                if address is None:
                    sock.sendmsg(batch, more)
                else:
                    sock.sendmsg(batch, more, 0, address)
            except (BlockingIOError, InterruptedError):
                return datagrams[start:]
            except OSError as error:
                if end - start > 1 and error.errno in SEGMENTS_REFUSED:
                    self._segments = False
                    continue
                self._refused(error)
                if self._sock is None:
                    return []
            start = end
        return []

    def _batch_end(self, datagrams: list[bytes], start: int) -> int:
        """Where a batch ends: all of one size, but for the last, which may be shorter."""
        end = start + 1
        if not self._segments:
            return end
        size = len(datagrams[start])
        most = min(len(datagrams), start + min(MOST_SEGMENTS, LARGEST_WRITE // size))
        if len(set(map(len, datagrams[start:most]))) == 1:
            return most
        while end < most and len(datagrams[end]) == size:
            end += 1
        if end < most and len(datagrams[end]) < size:
            end += 1
        return end

    def _refused(self, error: OSError) -> None:
        """A datagram was not sent; it counts as lost."""
        if error.errno not in (errno.ENOBUFS, errno.ENOMEM, errno.EMSGSIZE):
            self._failed(error)

    def _on_writable(self) -> None:
        while self._unsent and self._sock is not None:
            datagrams, address, ancillary = self._unsent.popleft()
            rest = self._send(self._sock, datagrams, address, ancillary)
            if rest:
                self._unsent.appendleft((rest, address, ancillary))
                return
        if self._sock is not None:
            self._writing = False
            self._loop.remove_writer(self._sock.fileno())
            self._writable()

    # Receiving.

    def _on_readable(self) -> None:
        receive = self._receive
        for turn in range(READS_PER_TURN):
            if self._sock is None:
                return
            try:
                receive(self._sock)
            except (BlockingIOError, InterruptedError):
                if not turn:
                    self._rearm()
                break
            except OSError as error:
                self._rearm()
                self._failed(error)
                break
        if self._sock is not None:
            self._turned()

    def _receive_joined(self, sock: socket.socket) -> None:
        data, ancillary, _, address = sock.recvmsg(LARGEST_READ, ANCILLARY_SIZE)
        size = len(data)
        answer: Ancillary = ()
        for level, kind, value in ancillary:
            if level == SOL_UDP and kind == UDP_GRO:
                size = int.from_bytes(value[:4], sys.byteorder)
            else:
                answer = _answer(level, kind, value) or answer
        if data and size:
            self._received(data, size, address, answer)

    def _receive_single(self, sock: socket.socket) -> None:
        data, address = sock.recvfrom(LARGEST_READ)
        if data:
            self._received(data, len(data), address, ())

    def _rearm(self) -> None:
        """Go on being watched: libuv, below uvloop, stops watching a socket on which an error has come up."""
        if self._sock is not None:
            self._loop.remove_reader(self._sock.fileno())
            self._loop.add_reader(self._sock.fileno(), self._on_readable)


def _enable(sock: socket.socket, level: int, option: int) -> bool:
    """Set an option; whether the system knows it."""
    try:
        sock.setsockopt(level, option, 1)
    except OSError:
        return False
    return True


def _ask_for_destination(sock: socket.socket) -> None:
    """Have a socket bound to all addresses tell which one a datagram was sent to: the answer must come from there."""
    if sock.getsockname()[0] in ("0.0.0.0", "::"):  # noqa: S104 - that is what is looked for
        if sock.family is socket.AF_INET6:
            _enable(sock, socket.IPPROTO_IPV6, IPV6_RECVPKTINFO)
        else:
            _enable(sock, socket.IPPROTO_IP, IP_PKTINFO)


def _answer(level: int, kind: int, value: bytes) -> Ancillary:
    """Of where a datagram was sent to: what makes the answer come from there, by whatever interface leads to the peer."""
    if level == socket.IPPROTO_IPV6 and kind == IPV6_PKTINFO:
        # struct in6_pktinfo: address, interface. The interface counts for addresses that are known on one link only.
        address, interface = value[:16], value[16:20]
        linked = address[0] == 0xFE and address[1] & 0xC0 == 0x80
        return ((level, kind, address + (interface if linked else bytes(4))),)
    if level == socket.IPPROTO_IP and kind == IP_PKTINFO:
        # struct in_pktinfo: interface, local address, the address in the header.
        return ((level, kind, bytes(4) + value[4:8] + bytes(4)),)
    return ()
