"""Crowds of users: who come evenly, and who say hello only."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from bench.contenders.certificate import make_certificate
from bench.loads import connections
from bench.loads.connections import Crowd
from bench.loads.workers import HelloCrowd, client_hello
from bench.model import HOST, BenchError
from bench.ports import PortMaker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextmanager
def served(answer: Callable[[bytes], bytes]) -> Iterator[int]:
    """A port where one user after the other is answered."""
    with socket.create_server((HOST, 0)) as listener:

        def serve() -> None:
            while True:
                user, _ = listener.accept()
                with user:
                    if not (said := user.recv(1 << 14)):
                        return
                    user.sendall(answer(said))

        thread = threading.Thread(target=serve)
        thread.start()
        port = listener.getsockname()[1]
        try:
            yield port
        finally:
            # Who says nothing ends it.
            socket.create_connection((HOST, port)).close()
            thread.join()


def test_users_come_at_the_rate_that_is_asked_for() -> None:
    with served(lambda said: said) as port, closing(Crowd(port)) as crowd:
        crowd.pace(500, 0.1)
        assert len(crowd.times) == 50
        assert crowd.failed == 0


def test_their_time_begins_when_they_are_due(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "MOST_WAITING", 1)
    with served(lambda said: said) as port, closing(Crowd(port)) as crowd:
        # All are due at once and come one by one: each waits for all before him.
        crowd.pace(1e8, 2e-7)
        assert len(crowd.times) == 20
        assert crowd.times == sorted(crowd.times)


def test_who_is_not_served_has_failed() -> None:
    with closing(Crowd(PortMaker().next())) as crowd:
        crowd.pace(500, 0.02)
        assert (crowd.times, crowd.failed) == ([], 10)


def test_a_wrong_answer_ends_it() -> None:
    with served(lambda said: bytes([said[0] ^ 1])) as port, closing(Crowd(port)) as crowd, pytest.raises(BenchError):
        crowd.pace(500, 0.02)


def test_a_hello_is_answered_by_a_tls_server(tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(make_certificate(tmp_path).both)

    def answer(said: bytes) -> bytes:
        to_server, to_user = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = context.wrap_bio(to_server, to_user, server_side=True)
        to_server.write(said)
        with pytest.raises(ssl.SSLWantReadError):
            server.do_handshake()
        return to_user.read()

    with served(answer) as port, closing(HelloCrowd(port)) as crowd:
        crowd.pace(500, 0.02)
        assert len(crowd.times) == 10


@pytest.mark.parametrize("answer", [b"\x15\x03\x03\x00\x02\x02\x28", b"\x16\x03\x03", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_an_alert_is_no_answer(answer: bytes) -> None:
    with served(lambda _: answer) as port, closing(HelloCrowd(port)) as crowd, pytest.raises(BenchError):
        crowd.pace(500, 0.02)


def test_a_hello_is_one_record() -> None:
    hello = client_hello()
    assert hello[0] == 22
    assert len(hello) == 5 + int.from_bytes(hello[3:5])
