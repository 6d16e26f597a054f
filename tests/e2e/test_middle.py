"""What stands between the two ends and is not passive: a man in the middle of TLS, a box that drops idle connections."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.harness import Authority, Echo, Runner, Wiretap, connect, echoed, ended

if TYPE_CHECKING:
    from pathlib import Path

RESET = struct.pack("ii", 1, 0)


class Interceptor(Wiretap):
    """A man in the middle of `tls=1`: passes the handshake on, and ends TLS on both sides with a certificate of his own."""

    def __init__(self, crt: Path, key: Path) -> None:
        super().__init__()
        self._to_client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._to_client.load_cert_chain(crt, key)
        self._to_server = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._to_server.check_hostname = False
        self._to_server.verify_mode = ssl.CERT_NONE

    def serve(self, sock: socket.socket) -> None:
        if sock.recv(1, socket.MSG_PEEK) != b"\x16":
            super().serve(sock)
            return
        plain = self._to_client.wrap_socket(sock, server_side=True)
        with plain, self._to_server.wrap_socket(socket.create_connection((self.host, self.to))) as far:
            back = threading.Thread(target=self._pass, args=(far, plain), daemon=True)
            back.start()
            self._pass(plain, far)
            back.join()


@pytest.mark.parametrize("flow", ["reverse", "forward"])
def test_a_man_in_the_middle_of_self_signed_tls_gets_no_user(np: Runner, tmp_path: Path, flow: str) -> None:
    with Interceptor(*Authority(tmp_path).issue("middle", "127.0.0.1")) as middle:
        tunnel = np.tunnel(flow, server="tls=1", via=middle.port, wait=False, env={"NP_POOL_GET_TIMEOUT": "1s"})
        with Echo(tunnel.target):
            middle.to = tunnel.port
            tunnel.ingress.wait_for("Bound .*: users come in here")
            with connect(tunnel.users) as user:
                user.sendall(b"for the target's eyes only")
                tunnel.client.wait_for(r"error: .*someone may stand between the two ends")
                assert ended(user)
            assert b"eyes only" not in middle.heard


class Dropper(Wiretap):
    """A box on the way that forgets idle connections: `drop` resets every pool connection but the control channel.

    Args:
        type_: the pool transport, by which it tells them apart.
    """

    def __init__(self, type_: int) -> None:
        super().__init__()
        self._upgrades = type_ == 2
        self._pool: list[tuple[socket.socket, socket.socket]] = []

    def serve(self, sock: socket.socket) -> None:
        with socket.create_connection((self.host, self.to)) as far:
            forth = threading.Thread(target=self._pass, args=(sock, far), daemon=True)
            forth.start()
            head = self._pass_head(far, sock)
            first = far.recv(4, socket.MSG_WAITALL)
            if first not in (b"HTTP", bytes(4)) and head.startswith(b"HTTP/1.1 101") == self._upgrades:
                self._pool.append((sock, far))
            sock.sendall(first)
            self._pass(far, sock)
            forth.join()

    def _pass_head(self, far: socket.socket, sock: socket.socket) -> bytes:
        """Pass on what comes before the ID: with WebSockets the answer to the upgrade, the head of the first message."""
        head = b""
        while self._upgrades and not head.endswith(b"\r\n\r\n\x82\x04"):
            byte = far.recv(1)
            if not byte:
                break
            head += byte
            sock.sendall(byte)
        return head

    def drop(self) -> int:
        """Reset them, and tell how many there were."""
        dropped, self._pool = self._pool, []
        for pair in dropped:
            for sock in pair:
                with suppress(OSError):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    sock.shutdown(socket.SHUT_RDWR)
        return len(dropped)


@pytest.mark.parametrize("type_", [0, 2])
@pytest.mark.parametrize("flow", ["reverse", "forward"])
def test_connections_that_died_idle_are_replaced_before_a_user_gets_one(np: Runner, flow: str, type_: int) -> None:
    with Dropper(type_) as dropper:
        tunnel = np.tunnel(flow, via=dropper.port, server=f"type={type_}", client="min=8", wait=False)
        dropper.to = tunnel.port
        tunnel.server.ready()
        tunnel.client.ready()
        with Echo(tunnel.target):
            for _ in range(3):
                assert echoed(tunnel.users)
                tunnel.ingress.checkpoint(having=r"POOL=([89]|1\d)\|")
                assert dropper.drop() >= 8
                assert echoed(tunnel.users)
        # The session has lived on: what was dropped were connections, not the tunnel.
        assert len(tunnel.client.matches("Session with the server at .* is ready")) == 1
