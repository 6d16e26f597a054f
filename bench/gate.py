"""What takes the extension out of a handshake: `python -m bench.gate LISTEN TO FOLDER [--strip]`.

Stands between a client and its server. It passes on handshakes itself, with `--strip` without the client's header
`NodePass-Extension`, until one is accepted, and ends where it listens before the client has its answer: for the pool
connections that come next, haproxy listens there, so that they are relayed at the speed of C. Says on standard output
whether the client asked for the extension.
"""

from __future__ import annotations

import argparse
import re
import socket
import subprocess
import time
from pathlib import Path

from bench.contenders.reference import Hop
from bench.model import HOST
from bench.ports import listening
from bench.programs import path_of

HEADER = re.compile(rb"\r\nNodePass-Extension:[^\r\n]*", re.IGNORECASE)

HEAD_END = b"\r\n\r\n"
HEAD_LIMIT = 1 << 16
ACCEPTED = b"HTTP/1.1 200 "
SECONDS = 10.0
PAUSE = 0.001
READ_SIZE = 1 << 16

ASKED, DID_NOT_ASK = "the client asked for the extension", "the client did not ask for the extension"


def strip(head: bytes) -> bytes:
    """A request's head without the extension's header."""
    return HEADER.sub(b"", head)


def read_head(sock: socket.socket) -> bytes:
    """Read a request's head.

    Raises:
        OSError: it does not come whole.
    """
    head = b""
    while HEAD_END not in head:
        part = sock.recv(READ_SIZE)
        if not part or len(head) > HEAD_LIMIT:
            raise ConnectionError("the head of a request did not come whole")
        head += part
    return head


def read_all(sock: socket.socket) -> bytes:
    """Read an answer to the end of the connection."""
    parts = []
    while part := sock.recv(READ_SIZE):
        parts.append(part)
    return b"".join(parts)


def main() -> None:
    """Pass on handshakes until one is accepted, then be haproxy."""
    parser = argparse.ArgumentParser()
    parser.add_argument("listen", type=int)
    parser.add_argument("to", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--strip", action="store_true")
    arguments = parser.parse_args()
    with socket.create_server((HOST, arguments.listen)) as listener:
        while True:
            client, _ = listener.accept()
            client.settimeout(SECONDS)
            head = read_head(client)
            print(ASKED if HEADER.search(head) else DID_NOT_ASK, flush=True)
            with socket.create_connection((HOST, arguments.to), SECONDS) as server:
                server.sendall(strip(head) if arguments.strip else head)
                answer = read_all(server)
            if answer.startswith(ACCEPTED):
                break
            with client:
                client.sendall(answer)
    with client:
        hop = Hop("gate", arguments.listen, arguments.to).haproxy(path_of("haproxy"), arguments.folder)
        relay = subprocess.Popen(hop.argv)
        while hop.listens not in listening() and relay.poll() is None:
            time.sleep(PAUSE)
        client.sendall(answer)
    relay.wait()


if __name__ == "__main__":
    main()
