"""A man in the middle of TLS, with a certificate of his own."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from tests.harness.targets import CHUNK
from tests.harness.wiretap import Wiretap

if TYPE_CHECKING:
    from pathlib import Path

TLS_HANDSHAKE_RECORD = b"\x16"


class Interceptor(Wiretap):
    """Passes on what is plain, and ends TLS on both sides: whoever lets that happen is heard.

    Args:
        crt: file with his certificate.
        key: file with its key.
    """

    ALPN = ("h2",)

    def __init__(self, crt: Path, key: Path) -> None:
        super().__init__()
        self.said: list[bytearray] = []
        """What the near side said on each TLS connection."""
        self._to_near = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._to_near.load_cert_chain(crt, key)
        self._to_near.set_alpn_protocols(self.ALPN)
        self._to_far = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._to_far.check_hostname = False
        self._to_far.verify_mode = ssl.CERT_NONE
        self._to_far.set_alpn_protocols(self.ALPN)

    def serve(self, sock: socket.socket) -> None:
        if sock.recv(1, socket.MSG_PEEK) != TLS_HANDSHAKE_RECORD:
            super().serve(sock)
            return
        said = bytearray()
        near = self._to_near.wrap_socket(sock, server_side=True)
        self.said.append(said)
        with near, self._to_far.wrap_socket(socket.create_connection((self.host, self.to))) as far:
            back = threading.Thread(target=self._pass, args=(far, near), daemon=True)
            back.start()
            with suppress(OSError):
                while data := near.recv(CHUNK):
                    said += data
                    self.heard += data
                    far.sendall(data)
            with suppress(OSError):
                far.shutdown(socket.SHUT_RDWR)
            back.join()
