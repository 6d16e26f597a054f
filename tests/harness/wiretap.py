"""A man in the middle that only listens: passes TCP on and keeps what went by."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from tests.harness.targets import CHUNK, TcpTarget


class Wiretap(TcpTarget):
    """Listens, and connects each connection to another port of this machine.

    Args:
        to: that port, which may be set later.
    """

    def __init__(self, to: int = 0) -> None:
        super().__init__()
        self.to = to
        self.heard = bytearray()
        """Everything, both ways."""

    def serve(self, sock: socket.socket) -> None:
        with socket.create_connection((self.host, self.to)) as far:
            back = threading.Thread(target=self._pass, args=(far, sock), daemon=True)
            back.start()
            self._pass(sock, far)
            back.join()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                self.heard += data
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


class Recording(Wiretap):
    """Keeps what the near side said on each connection, apart from the others."""

    def __init__(self, to: int = 0) -> None:
        super().__init__(to)
        self.requests: list[bytearray] = []

    def serve(self, sock: socket.socket) -> None:
        request = bytearray()
        self.requests.append(request)
        with socket.create_connection((self.host, self.to)) as far:
            back = threading.Thread(target=self._pass, args=(far, sock), daemon=True)
            back.start()
            with suppress(OSError):
                while data := sock.recv(CHUNK):
                    request += data
                    far.sendall(data)
                far.shutdown(socket.SHUT_WR)
            back.join()
