"""Who asks a master for something and does not take the answer: strangers, and those who have the key."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.harness import TIMEOUT, Master

if TYPE_CHECKING:
    from pathlib import Path

ASSET = b"GET /api/v1/docs/swagger-ui-bundle.js HTTP/1.1\r\nHost: x\r\n"
"""More than a megabyte, for whoever asks."""

REQUESTS = {"once": ASSET + b"\r\n", "twice": 2 * (ASSET + b"\r\n"), "and goodbye": ASSET + b"Connection: close\r\n\r\n"}
STRANGERS = 100


def stranger(port: int) -> socket.socket:
    """A connection whose other end can send next to nothing."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
    sock.settimeout(TIMEOUT)
    sock.connect(("127.0.0.1", port))
    return sock


@pytest.mark.parametrize("kind", REQUESTS)
def test_strangers_who_read_nothing_are_cut_off(tmp_path: Path, kind: str) -> None:
    with Master(tmp_path) as master, ExitStack() as stack:
        master.ready()
        with master.events() as events:
            before = master.descriptors()
            for _ in range(STRANGERS):
                sock = stack.enter_context(stranger(master.port))
                sock.sendall(REQUESTS[kind])
                # The answer has begun.
                assert sock.recv(1)
            end = time.monotonic() + TIMEOUT
            while master.descriptors() > before:
                assert time.monotonic() < end, f"{master.descriptors() - before} are still there"
                assert master.call("GET", "/instances").status == 200
                time.sleep(0.1)
            # Whoever has the key reads on.
            master.call("POST", "/instances", {"url": "client://k@127.0.0.1:1/127.0.0.1:2?mode=1"})
            events.wait_for("create")
        assert not master.stderr
        assert not master.matches("Traceback")
