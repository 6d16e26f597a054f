"""What users do, one at a time: say something and expect it back, download a file."""

from __future__ import annotations

import hashlib
import os
import selectors
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from bench.model import BenchError

if TYPE_CHECKING:
    import socket

    from bench.stage import Stage

GREETING = b"is anybody there?"

FIRST_PATIENCE, PATIENCE_GROWTH, MOST_PATIENCE = 0.25, 1.3, 2.0
"""Seconds until the next user comes, while those before him wait on: longer each time, so that they are not too many."""

PAUSE = 0.002
"""Seconds between two attempts where connections are refused."""

PROOF_SIZE = 8 << 20
"""Bytes that are sent and expected back before bulk is measured."""

PROOF_SECONDS = 30.0

READ_SIZE = 1 << 18

PIECE_SIZE = 1 << 16
"""Bytes that are sent before they are read back: less than what waits between two ends that do not read meanwhile."""


def wait_for_echo(stage: Stage, seconds: float) -> float:
    """Let users come, one after the other, until one of them is answered; those who are not stay and wait on.

    Returns:
        The time at which it was (`time.perf_counter`).

    Raises:
        BenchError: none was, or a process has ended.
    """
    end = time.monotonic() + seconds
    patience, error = FIRST_PATIENCE, "nobody is answered"
    with ExitStack() as stack:
        waiting = stack.enter_context(selectors.DefaultSelector())
        while time.monotonic() < end:
            stage.check()
            try:
                user = stack.enter_context(stage.connect(patience))
                user.sendall(GREETING)
                waiting.register(user, selectors.EVENT_READ, user)
            except OSError as failure:
                error = str(failure)
            for key, _ in waiting.select(patience if waiting.get_map() else 0):
                user = key.data
                found = _heard(user)
                if found == GREETING:
                    return time.perf_counter()
                waiting.unregister(user)
                user.close()
                error = "the echo came back changed" if found else "a user was sent away"
            if waiting.get_map():
                patience = min(patience * PATIENCE_GROWTH, MOST_PATIENCE)
            else:
                # All who came were turned away at once.
                time.sleep(PAUSE)
    raise BenchError(f"carries no users within {seconds:g} s: {error}")


def prove_echo(stage: Stage) -> None:
    """Send random bytes through the contender and back, and compare their hashes.

    Raises:
        BenchError: what came back is not what was sent.
    """
    with stage.connect(PROOF_SECONDS) as sock:
        prove_echo_on(sock, PROOF_SIZE)


def prove_echo_on(sock: socket.socket, size: int) -> None:
    """The same on this connection, with so many bytes: piece by piece, for a TLS socket must not be used by two threads.

    Raises:
        BenchError: what came back is not what was sent.
    """
    sent = os.urandom(size)
    received = bytearray()
    while len(received) < size:
        sock.sendall(sent[len(received) : len(received) + PIECE_SIZE])
        wanted = min(len(received) + PIECE_SIZE, size)
        while len(received) < wanted:
            part = sock.recv(wanted - len(received))
            if not part:
                raise BenchError(f"of {size} bytes, {len(received)} came back")
            received += part
    if hashlib.sha256(received).digest() != hashlib.sha256(sent).digest():
        raise BenchError(f"{size} bytes came back, and their hash is another")


def prove_download(stage: Stage, path: str, digest: str) -> None:
    """Download a file through the contender, and compare its hash.

    Raises:
        BenchError: it is another.
    """
    found = hashlib.sha256()
    with stage.connect(PROOF_SECONDS) as sock:
        sock.sendall(request(path, close=True))
        received = bytearray()
        while b"\r\n\r\n" not in received and (part := sock.recv(READ_SIZE)):
            received += part
        found.update(received.partition(b"\r\n\r\n")[2])
        while part := sock.recv(READ_SIZE):
            found.update(part)
    if found.hexdigest() != digest:
        raise BenchError("a file was downloaded, and its hash is another")


def request(path: str, *, close: bool = False) -> bytes:
    """Write a GET request."""
    connection = "Connection: close\r\n" if close else ""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n{connection}\r\n".encode("ascii")


def _heard(user: socket.socket) -> bytes:
    """What a user hears; nothing if he is sent away."""
    try:
        return user.recv(len(GREETING))
    except OSError:
        return b""
