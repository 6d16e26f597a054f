"""Free ports on loopback."""

from __future__ import annotations

import socket

LOOPBACK = "127.0.0.1"

ATTEMPTS = 50
"""Ports that are tried for one that is free for TCP and UDP alike."""


def bind_tcp(port: int = 0) -> socket.socket:
    """Bind a TCP socket to a port of loopback; to one that is free unless told which."""
    return _bind(socket.SOCK_STREAM, port)


def bind_both() -> tuple[socket.socket, socket.socket]:
    """Bind a TCP and a UDP socket to the same free port of loopback.

    Raises:
        OSError: no port was free for both.
    """
    for attempt in range(ATTEMPTS):
        tcp = bind_tcp()
        try:
            return tcp, _bind(socket.SOCK_DGRAM, port_of(tcp))
        except OSError:
            tcp.close()
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable: the last attempt returns or raises")


def port_of(sock: socket.socket) -> int:
    """The port that a socket is bound to."""
    port: int = sock.getsockname()[1]
    return port


def _bind(kind: socket.SocketKind, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, kind)
    try:
        sock.bind((LOOPBACK, port))
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock
