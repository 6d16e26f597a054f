"""A reverse proxy in front of the server: a client that dials port 443 shakes hands over https."""

from __future__ import annotations

import socket
import ssl
import threading
from typing import TYPE_CHECKING

import pytest

from tests.harness import Authority, Runner

if TYPE_CHECKING:
    from pathlib import Path

HOST = "127.44.3.1"


def listening() -> socket.socket | None:
    """Port 443 of an address of ours, where it can be had."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((HOST, 443))
    except OSError:
        sock.close()
        return None
    sock.listen()
    sock.settimeout(15)
    return sock


@pytest.mark.parametrize(("names", "accepted"), [(("front.example",), True), (("other.example",), False)])
def test_handshake_over_https(np: Runner, tmp_path: Path, names: tuple[str, ...], accepted: bool) -> None:
    listener = listening()
    if listener is None:
        pytest.skip(f"port 443 of {HOST} cannot be bound here")
    authority = Authority(tmp_path)
    crt, key = authority.issue("front", *names)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(crt, key)
    requests: list[bytes] = []

    def front() -> None:
        sock, _ = listener.accept()
        try:
            with context.wrap_socket(sock, server_side=True) as user:
                requests.append(user.recv(10_000))
                user.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\nConnection: close\r\n\r\nlater")
        except OSError:
            sock.close()

    thread = threading.Thread(target=front, daemon=True)
    with listener:
        thread.start()
        client = np.run(
            f"client://s3cret-of-the-tests@{HOST}:443/127.0.0.1:9?mode=2&sni=front.example",
            env={"SSL_CERT_FILE": str(authority.path), "NP_SERVICE_COOLDOWN": "1h"},
        )
        if accepted:
            client.wait_for("Client error: handshake refused: 503 later")
            thread.join(10)
            assert b"\r\nNodePass-Extension: 1 " in requests[0]
            assert b"Authorization" not in requests[0]
            assert b"\r\nHost: front.example\r\n" in requests[0]
        else:
            # Nothing is said to a stranger.
            client.wait_for("Client error: TLS with the server at .*CERTIFICATE_VERIFY_FAILED|Client error: TLS")
            thread.join(10)
            assert requests == []
