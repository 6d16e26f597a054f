"""A peer made of bare sockets, to say to a server what no proper client would."""

from __future__ import annotations

import hashlib
import hmac
import socket

from tests.harness.net import connect, read_all, read_exactly
from tests.harness.process import TIMEOUT
from tests.harness.tunnel import KEY

ID_SIZE = 4


def bearer(key: str = KEY) -> str:
    """The token of a key."""
    return hmac.new(key.encode(), b"", hashlib.sha256).hexdigest()


def ask(port: int, *, method: str = "GET", path: str = "/", token: str = "", source: str = "") -> tuple[int, bytes]:
    """One handshake request; gives the status and the body of the answer."""
    request = f"{method} {path} HTTP/1.1\r\nHost: none\r\nAuthorization: Bearer {token or bearer()}\r\n\r\n"
    with connect(port, source=source) as sock:
        sock.sendall(request.encode())
        answer = read_all(sock)
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


def pool_connection(port: int, source: str = "") -> tuple[bytes, socket.socket]:
    """A plain pool connection and its ID; no ID where the server closed it, be it before it was up."""
    sock = socket.socket()
    try:
        sock.settimeout(TIMEOUT)
        if source:
            sock.bind((source, 0))
        sock.connect(("127.0.0.1", port))
        return read_exactly(sock, ID_SIZE), sock
    except (EOFError, ConnectionError):
        sock.close()
        return b"", sock
