"""Two ends of one TCP connection inside this machine, to pass one of them to another process.

Unlike a pair of Unix sockets it can be reset, and so tells a stream that broke from one that ended.
"""

from __future__ import annotations

import socket

from nodepass.net.tcp_options import tune


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Make both ends.

    Raises:
        OSError: there are no more descriptors or ports.
    """
    with socket.create_server(("127.0.0.1", 0)) as listening:
        near = socket.create_connection(listening.getsockname())
        while True:
            far, address = listening.accept()
            if address == near.getsockname():
                tune(near)
                tune(far)
                return near, far
            # Somebody else on this machine was quicker.
            far.close()
