"""What stands between the two ends and is not passive: a box that drops idle connections."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress

import pytest

from tests.harness import Echo, Runner, Wiretap, echoed

RESET = struct.pack("ii", 1, 0)


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
        tunnel = np.tunnel(flow, via=dropper.port, server=f"type={type_}&pool=single", client="min=8", wait=False)
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
