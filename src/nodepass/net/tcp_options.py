"""What is asked of the system about one TCP connection."""

from __future__ import annotations

import contextlib
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


def tune(sock: socket.socket) -> None:
    """Set what every TCP connection here has: no Nagle delay, dead peers found within half a minute, a bounded queue.

    What is set on a listening socket, the connections that it accepts have from the beginning.
    """
    # A socket whose peer has already reset it refuses options on some systems; the first read will tell.
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MOST_UNSENT)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)


def tune_for(sock: socket.socket, ip: str) -> None:
    """Set what suits a connection to `ip` besides, before it is connected or after.

    Inside the machine there is no congestion, and pacing halves what passes. Many servers have BBR as their default.
    """
    if hasattr(socket, "TCP_CONGESTION") and is_loopback(ip):
        with contextlib.suppress(OSError):
            if sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, LONGEST_NAME).startswith(PACING):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, UNPACED)


def reset_on_close(sock: socket.socket) -> None:
    """Make `close` forget what has not been sent, and let the other side see a broken stream."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
