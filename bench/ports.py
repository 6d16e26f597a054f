"""Free ports, and who listens, without connecting: a connection would be one more user."""

from __future__ import annotations

import os
import random
import socket
import time
from typing import TYPE_CHECKING

from bench.model import HOST, BenchError, Ports

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

FIRST, LAST = 2000, 9999
"""Below the ports that this project's tests use, and those that Linux gives out by itself."""

LISTEN_STATE = "0A"
"""TCP_LISTEN in /proc/net/tcp."""

PIECE = 65536


class PortMaker:
    """Gives each free port once."""

    def __init__(self) -> None:
        self._ports = list(range(FIRST, LAST + 1))
        # Not the same ones in each bench that runs on this machine.
        random.shuffle(self._ports)

    def next(self) -> int:
        """A port that is free for TCP and UDP.

        Raises:
            BenchError: none is left.
        """
        while self._ports:
            port = self._ports.pop()
            if _is_free(port):
                return port
        raise BenchError(f"no free port left from {FIRST} to {LAST}")

    def three(self, target: int) -> Ports:
        """The ports of a setup with this target."""
        return Ports(self.next(), self.next(), target)


def listening() -> set[int]:
    """The TCP ports on which something listens (IPv4)."""
    ports: set[int] = set()
    rest = ""
    # What listens stands first; the many connections behind it need not even be written by the kernel.
    table = os.open("/proc/net/tcp", os.O_RDONLY)
    try:
        while piece := os.read(table, PIECE):
            *lines, rest = (rest + piece.decode("ascii")).split("\n")
            for line in lines:
                columns = line.split(maxsplit=4)
                if len(columns) < 4 or columns[0] == "sl":
                    continue
                if columns[3] != LISTEN_STATE:
                    return ports
                ports.add(int(columns[1].rpartition(":")[2], 16))
    finally:
        os.close(table)
    return ports


def wait_listening(ports: Collection[int], seconds: float, still: Callable[[], None]) -> None:
    """Wait until something listens on all of them.

    Args:
        ports: TCP ports.
        seconds: how long to wait.
        still: raises when there is no use in waiting any longer.

    Raises:
        BenchError: the time is over.
    """
    end = time.monotonic() + seconds
    while not listening().issuperset(ports):
        still()
        if time.monotonic() > end:
            raise BenchError(f"does not listen within {seconds:g} s")
        time.sleep(0.001)


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as sock:
            if kind == socket.SOCK_STREAM:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((HOST, port))
            except OSError:
                return False
    return True
