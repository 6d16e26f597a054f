"""Ports that no other test uses, whatever runs beside it: each test process holds a block of them by a file lock."""

from __future__ import annotations

import fcntl
import itertools
import socket
import tempfile
from pathlib import Path
from typing import IO

FIRST, BLOCK, BLOCKS = 10_000, 500, 44
"""Below the ports that Linux gives out by itself (32768 and up)."""

LOOPBACKS = ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"))


class _Ports:
    """One process's block, handed out round and round, so that a port is not used again soon."""

    def __init__(self) -> None:
        self._lock: IO[str] | None = None
        self._ports: itertools.cycle[int] = itertools.cycle(())

    def next(self) -> int:
        if self._lock is None:
            self._take_block()
        for port in itertools.islice(self._ports, BLOCK):
            if _is_free(port):
                return port
        message = "no free port in this process's block"
        raise RuntimeError(message)

    def _take_block(self) -> None:
        folder = Path(tempfile.gettempdir()) / "nodepass-test-ports"
        folder.mkdir(exist_ok=True)
        for number in range(BLOCKS):
            lock = (folder / f"{number}").open("w")
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.close()
                continue
            first = FIRST + number * BLOCK
            self._lock, self._ports = lock, itertools.cycle(range(first, first + BLOCK))
            return
        message = "every block of test ports is taken"
        raise RuntimeError(message)


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        for family, address in LOOPBACKS:
            with socket.socket(family, kind) as sock:
                if kind == socket.SOCK_STREAM:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                try:
                    sock.bind((address, port))
                except OSError:
                    return False
    return True


_ports = _Ports()


def free_port() -> int:
    """A port free for TCP and UDP on every address of this machine, and not given to any other test process."""
    return _ports.next()
