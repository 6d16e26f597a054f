"""The tunnel key, and who insists on it: no key in the URL, `strict=1`, `genkey`."""

from __future__ import annotations

import socket
import sys
import threading
from typing import Self

import pytest

from nodepass.protocol.extension import HEADER
from tests.harness import KEY, Echo, Process, Runner, UdpEcho, connect, echoed, free_port, udp_socket
from tests.harness.process import SOURCE
from tests.harness.raw import ask, bearer

GUESSABLE = "The URL has no key: anyone can derive the one in use from the tunnel port"
V1_BODY = b'{"flow":"-","max":1024,"tls":"0","type":"0"}\n'

MOST_GUESSES = 200


def run_nodepass(*arguments: str) -> Process:
    return Process([sys.executable, "-m", "nodepass", *arguments], env={"PYTHONPATH": str(SOURCE)})


@pytest.mark.parametrize("end", ["server", "client"])
def test_a_key_from_the_port_is_warned_of_and_one_of_ones_own_is_not(np: Runner, end: str) -> None:
    port, users, target = free_port(), free_port(), free_port()
    for key, count in (("", 1), (f"{KEY}@", 0)):
        server = np.run(f"server://{key}127.0.0.1:{port}/127.0.0.1:{users}?mode=1").listening()
        client = np.run(f"client://{key}127.0.0.1:{port}/127.0.0.1:{target}?mode=2").ready()
        process = server if end == "server" else client
        assert len(process.matches(GUESSABLE)) == count
        client.stop()
        server.stop()


@pytest.mark.parametrize("url", ["server://127.0.0.1:{}/127.0.0.1:{}", "client://127.0.0.1:{}/127.0.0.1:{}"])
def test_strict_without_a_key_is_refused_in_one_line(url: str) -> None:
    with run_nodepass(url.format(free_port(), free_port()) + "?mode=2&strict=1") as process:
        assert process.wait() == 2
        assert len(process.lines) == 1
        assert "strict" in process.lines[0]
        assert "key" in process.lines[0]


@pytest.mark.every_transport
@pytest.mark.parametrize("flow", ["reverse", "forward"])
def test_strict_at_both_ends(np: Runner, flow: str) -> None:
    tunnel = np.tunnel(flow, both="strict=1")
    with Echo(tunnel.target), UdpEcho(tunnel.target), udp_socket(tunnel.users) as user:
        assert echoed(tunnel.users)
        user.send(b"datagram")
        assert user.recv(100) == b"datagram"
    status, body = ask(tunnel.port)
    assert status == 401
    assert b"flow" not in body


class V1Server:
    """Says that it is one, whatever it is asked.

    Args:
        picky: refuses whoever shows no token, as v1 does.
    """

    def __init__(self, *, picky: bool) -> None:
        self.requests: list[bytes] = []
        """What came, with the pool connections that began otherwise."""
        self._picky = picky
        self._listener = socket.create_server(("127.0.0.1", free_port()))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with sock:
                request = sock.recv(10_000)
                self.requests.append(request)
                accepted = not self._picky or b"Bearer" in request
                status, body = ("200 OK", V1_BODY) if accepted else ("401 Unauthorized", b"wrong token\n")
                head = f"HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
                sock.sendall(head.encode() + body)


@pytest.mark.parametrize(("picky", "why"), [(False, "the server does not prove the key"), (True, "handshake refused: 401")])
def test_a_strict_client_refuses_a_server_that_proves_nothing(np: Runner, picky: bool, why: str) -> None:
    with V1Server(picky=picky) as server:
        client = np.run(f"client://{KEY}@127.0.0.1:{server.port}/127.0.0.1:9?mode=2&strict=1")
        for _ in range(3):
            client.wait_for(f"Client error: {why}", since=len(client.lines) - 1)
            client.wait_for("Client restart", since=len(client.lines) - 1)
        assert not client.matches("Session with|The server decides")
        requests = tuple(server.requests)
    # No pool connection, and never a token.
    assert all(HEADER.encode() in request for request in requests)
    assert not any(b"Bearer" in request or bearer().encode() in request for request in requests)


def test_a_v1_server_is_met_with_a_token_after_it_has_refused_the_proof(np: Runner) -> None:
    with V1Server(picky=True) as server:
        client = np.run(f"client://{KEY}@127.0.0.1:{server.port}/127.0.0.1:9?mode=2")
        client.wait_for("The server is of version 1: it proves nothing")
        first, second = server.requests[:2]
    assert bearer().encode() not in first
    assert bearer().encode() in second


def test_a_generated_key_serves(np: Runner) -> None:
    keys = []
    for _ in range(2):
        with run_nodepass("genkey") as process:
            assert process.wait() == 0
            keys.append(process.stdout[0])
    assert keys[0] != keys[1]
    port, users = free_port(), free_port()
    server = np.run(f"server://{keys[0]}@127.0.0.1:{port}/127.0.0.1:{users}?mode=1&strict=1").listening()
    with Echo() as target:
        client = np.run(f"client://{keys[0]}@127.0.0.1:{port}/127.0.0.1:{target.port}?mode=2&strict=1").ready()
        assert echoed(users)
    other = np.run(f"client://{keys[1]}@127.0.0.1:{port}/127.0.0.1:9?mode=2&strict=1")
    other.wait_for("Client error: handshake refused: 401")
    for process in (server, client, other):
        assert not process.matches(f"{keys[0]}|{keys[1]}|{GUESSABLE}")


def test_guesses_are_slow_and_hold_up_nobody_else(np: Runner) -> None:
    tunnel = np.tunnel()
    with Echo(tunnel.target), connect(tunnel.users) as user:
        answers: list[int] = []
        while len(answers) < MOST_GUESSES and 429 not in answers:
            answers.append(ask(tunnel.port, token=bearer(f"guess {len(answers)}"), source="127.0.0.9")[0])
        assert answers[:10] == [401] * 10
        assert answers[-1] == 429
        user.sendall(b"still here")
        assert user.recv(100) == b"still here"
        since = len(tunnel.server.lines)
        np.run(tunnel.client.argv[-1]).ready()
        tunnel.server.ready(since=since)
