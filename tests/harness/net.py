"""Sockets as tests use them: each with a timeout, so that what hangs fails."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from contextlib import suppress

from tests.harness.process import TIMEOUT

CHUNK = 1 << 16


def connect(port: int, host: str = "127.0.0.1", *, source: str = "", timeout: float = TIMEOUT) -> socket.socket:
    """A TCP connection."""
    sock = socket.create_connection((host, port), timeout, (source, 0) if source else None)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError:
        # It has been reset already.
        sock.close()
        raise
    return sock


def udp_socket(port: int, host: str = "127.0.0.1", *, source: str = "", timeout: float = TIMEOUT) -> socket.socket:
    """A UDP socket connected to a port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.settimeout(timeout)
    if source:
        sock.bind((source, 0))
    sock.connect((host, port))
    return sock


def read_exactly(sock: socket.socket, size: int) -> bytes:
    """Read that many bytes.

    Raises:
        EOFError: the end came first.
    """
    parts = []
    left = size
    while left:
        part = sock.recv(min(left, CHUNK))
        if not part:
            message = f"the end came {left} of {size} bytes early"
            raise EOFError(message)
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def read_all(sock: socket.socket) -> bytes:
    """Read to the end."""
    parts = []
    while part := sock.recv(CHUNK):
        parts.append(part)
    return b"".join(parts)


def wait_tcp(port: int, host: str = "127.0.0.1", timeout: float = TIMEOUT) -> None:
    """Wait until a port accepts. Where the program says so in its log, wait for that line instead.

    A port has no event that tells of it, so this asks again and again.
    """
    end = time.monotonic() + timeout
    while True:
        try:
            socket.create_connection((host, port), timeout).close()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return


def exchange(sock: socket.socket, data: bytes) -> bytes:
    """Send and read as much back, both at a time, so that neither direction can block the other.

    A TLS socket must not be used by two threads: there, a chunk is sent and read back before the next.
    """
    if isinstance(sock, ssl.SSLSocket):
        back = bytearray()
        for start in range(0, len(data), CHUNK):
            chunk = data[start : start + CHUNK]
            sock.sendall(chunk)
            back += read_exactly(sock, len(chunk))
        return bytes(back)

    def send() -> None:
        # If it breaks, the reading tells.
        with suppress(OSError):
            sock.sendall(data)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    result = read_exactly(sock, len(data))
    sender.join(TIMEOUT)
    return result


def echoed(port: int, size: int = 100_000, host: str = "127.0.0.1", *, source: str = "") -> bool:
    """Whether random bytes come back from an echo behind a TCP port."""
    data = os.urandom(size)
    with connect(port, host, source=source) as sock:
        return exchange(sock, data) == data


def ended(sock: socket.socket) -> bool:
    """Whether the other side ends or breaks the connection, before the socket's timeout."""
    try:
        while sock.recv(CHUNK):
            pass
    except ConnectionResetError:
        pass
    return True


def turned_away(port: int, opening: bytes = b"", *, source: str = "") -> bool:
    """Whether a user who says `opening` is cut off, be it before the connection is up, before the socket's timeout."""
    try:
        with connect(port, source=source) as user:
            user.sendall(opening)
            return ended(user)
    except ConnectionError:
        return True
