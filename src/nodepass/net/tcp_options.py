"""What is asked of the system about one TCP connection."""

from __future__ import annotations

import contextlib
import functools
import socket
import struct
import sys

from nodepass.net.address import is_loopback

if sys.platform != "win32":
    import fcntl
    import termios

KEEPALIVE_IDLE = 15
KEEPALIVE_INTERVAL = 5
KEEPALIVE_PROBES = 3
MOST_UNSENT = 256 * 1024
"""Bytes that the system takes beyond those that are on their way. It would take megabytes for each connection whose other
side does not read, from a memory that all connections of the machine share (tcp_mem).
"""
RESET = struct.pack("ii", 1, 0)
PACING = b"bbr"
"""Beginning of the names of those congestion controls that spread out what is sent, by timers."""
UNPACED = b"reno"
"""The one that every Linux has, and anybody may choose."""
LONGEST_NAME = 16


def unacknowledged(sock: socket.socket) -> int:
    """Bytes that the kernel took and the other side's has not acknowledged; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0
    (count,) = struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))
    return int(count)


def unread(sock: socket.socket) -> int:
    """Bytes that have come and the kernel still holds; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0
    (count,) = struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, bytes(4)))
    return int(count)


def tune_listening(sock: socket.socket) -> None:
    """Set what the connections that it accepts have from the beginning: see `tune_dialled`."""
    _tune_any(sock)
    _keep_alive(sock)


def tune_accepted(sock: socket.socket, ip: str) -> None:
    """Set what depends on where a connection comes from, besides what it has from the listening socket."""
    if is_loopback(ip) and is_paced():
        _unpace(sock)


def tune_dialled(sock: socket.socket, ip: str) -> None:
    """Set, before it is connected to `ip`: no Nagle delay, a bounded queue, and a peer that is gone is soon noticed.

    Inside the machine no peer goes unnoticed, nor is there any congestion, and pacing halves what passes.
    """
    _tune_any(sock)
    if not is_loopback(ip):
        _keep_alive(sock)
    elif is_paced():
        _unpace(sock)


@functools.cache
def is_paced() -> bool:
    """Whether the system paces connections unless told otherwise. Many servers do: BBR is their default."""
    if not hasattr(socket, "TCP_CONGESTION"):
        return False
    with contextlib.suppress(OSError), socket.socket() as sock:
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, LONGEST_NAME).startswith(PACING)
    return False


def reset_on_close(sock: socket.socket) -> None:
    """Make `close` forget what has not been sent, and let the other side see a broken stream."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def _tune_any(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MOST_UNSENT)


def _keep_alive(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)


def _unpace(sock: socket.socket) -> None:
    # A socket whose peer has already reset it refuses options on some systems; the first read will tell.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, UNPACED)
