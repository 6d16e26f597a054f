"""Two ends of one TCP connection inside this machine, to pass one of them to another process.

Unlike a pair of Unix sockets it can be reset, and so tells a stream that broke from one that ended.
"""

from __future__ import annotations

import socket
from typing import Final

from nodepass.net.tcp_options import tune_dialled

LOOPBACK: Final = "127.0.0.1"


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Make both ends.

    Raises:
        OSError: there are no more descriptors or ports.
    """
    with socket.create_server((LOOPBACK, 0)) as listening:
        near = socket.create_connection(listening.getsockname())
        try:
            far = _accept(listening, near)
        except OSError:
            near.close()
            raise
    for end in (near, far):
        tune_dialled(end, LOOPBACK)
    return near, far


def _accept(listening: socket.socket, near: socket.socket) -> socket.socket:
    while True:
        far, address = listening.accept()
        if address == near.getsockname():
            return far
        # Somebody else on this machine was quicker.
        far.close()
