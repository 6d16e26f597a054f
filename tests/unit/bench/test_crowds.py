"""Crowds of users: who come evenly, who say hello only, who come to many instances and stay."""

from __future__ import annotations

import http.server
import json
import socket
import ssl
import threading
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from bench.contenders.certificate import make_certificate
from bench.loads import connections
from bench.loads import crowd as crowds
from bench.loads.connections import Crowd
from bench.loads.crowd import MESSAGE_SIZE, StandingCrowd
from bench.loads.instances import create, prove_each
from bench.loads.workers import HelloCrowd, Paced, client_hello
from bench.model import HOST, BenchError, Ports, Target
from bench.ports import PortMaker
from bench.rows import SINGLE
from bench.stage import Stage
from bench.targets import Targets
from bench.users import GREETING
from tests.unit.bench.test_runner import Fake

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


def test_an_even_rate_is_the_same_for_all(tmp_path: Path) -> None:
    makes = PortMaker()
    with Targets(makes.next(), tmp_path) as targets:
        targets.need(Target.ECHO)
        # Users come to the target itself.
        ports = Ports(targets.port, makes.next(), targets.port)
        one, other = (Stage(Fake(name), SINGLE, ports, targets, tmp_path, 1) for name in ("one", "other"))
        load = Paced(Crowd, 0.2)
        for stage in (one, other):
            load.verify(stage)
        found = [load.measure(stage).values for stage in (one, other)]
    assert found[0]["offered"] == found[1]["offered"] > 0
    for values in found:
        assert set(values) == {figure.name for figure in load.figures}
        assert 0 < values["p50"] <= values["p99"]


def test_the_main_figure_is_what_the_rate_is_for() -> None:
    assert Paced(Crowd, 0.8).figures[0].name == "p99"
    assert Paced(Crowd, 1.3).figures[0].name == "served"


def test_a_hello_is_one_record() -> None:
    hello = client_hello()
    assert hello[0] == 22
    assert len(hello) == 5 + int.from_bytes(hello[3:5])


class Echo:
    """A port at which all that is said comes back, by way of `alter`.

    Args:
        alter: what is made of it.
    """

    def __init__(self, alter: Callable[[bytes], bytes]) -> None:
        self.came = 0
        self._alter = alter
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def close(self) -> None:
        # Wakes who accepts.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        with ExitStack() as served:
            while True:
                try:
                    user, _ = self._listener.accept()
                except OSError:
                    return
                self.came += 1
                serving = threading.Thread(target=self._serve, args=(user,))
                serving.start()
                served.callback(serving.join)

    def _serve(self, user: socket.socket) -> None:
        # Who goes may have left something unread.
        with user, suppress(ConnectionResetError):
            while said := user.recv(1 << 16):
                user.sendall(self._alter(said))


@contextmanager
def echoes(*alter: Callable[[bytes], bytes]) -> Iterator[list[Echo]]:
    with ExitStack() as stack:
        yield [stack.enter_context(closing(Echo(one))) for one in alter]


def unchanged(said: bytes) -> bytes:
    return said


def test_those_who_stay_are_spread_over_all_ports() -> None:
    with echoes(*[unchanged] * 3) as found, closing(StandingCrowd([one.port for one in found])) as crowd:
        crowd.gather(6)
        assert [one.came for one in found] == [2, 2, 2]


def test_what_they_hear_is_looked_at() -> None:
    def short(said: bytes) -> bytes:
        return said if len(said) < 100 else said[::-1]

    with echoes(unchanged, short) as found, closing(StandingCrowd([one.port for one in found])) as crowd:
        crowd.gather(2)
        with pytest.raises(BenchError, match="what he did not say"):
            crowd.begin_to_talk()


def test_who_is_turned_away_is_counted() -> None:
    with (
        echoes(unchanged) as found,
        closing(StandingCrowd([found[0].port, PortMaker().next()])) as crowd,
        pytest.raises(BenchError, match=r"the user after 0 others was turned away: .*refused"),
    ):
        crowd.gather(3)


def echo_until(bytes_left: int, then: threading.Event | None = None) -> Callable[[bytes], bytes]:
    """Sends back what one user says, and after so many bytes nothing; then says that they have passed."""

    def alter(said: bytes) -> bytes:
        nonlocal bytes_left
        part = said[:bytes_left]
        bytes_left -= len(part)
        if not bytes_left and then:
            then.set()
        return part

    return alter


def test_the_first_answers_are_not_counted() -> None:
    # Each is answered once in the ramp; one of them half of the next as well.
    once, more = len(GREETING) + MESSAGE_SIZE, MESSAGE_SIZE // 2
    with (
        echoes(echo_until(once), echo_until(once + more)) as found,
        closing(StandingCrowd([one.port for one in found])) as crowd,
    ):
        crowd.gather(2)
        crowd.begin_to_talk()
        exchanges, seconds = crowd.talk(0.1)
        assert exchanges in {0, 0.5}
        assert seconds >= 0.1


def test_the_ramp_lasts_until_all_have_had_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowds, "RAMP_SECONDS", 60)
    first_has_gone_on = threading.Event()

    def waits(said: bytes) -> bytes:
        if said != GREETING:
            first_has_gone_on.wait(50)
        return said

    first = echo_until(len(GREETING) + 5 * MESSAGE_SIZE, first_has_gone_on)
    with echoes(first, waits) as found, closing(StandingCrowd([one.port for one in found])) as crowd:
        crowd.gather(2)
        crowd.begin_to_talk()
        assert first_has_gone_on.is_set()


def test_who_is_never_answered_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowds, "RAMP_SECONDS", 0.05)
    with (
        echoes(unchanged, echo_until(len(GREETING))) as found,
        closing(StandingCrowd([one.port for one in found])) as crowd,
    ):
        crowd.gather(2)
        crowd.begin_to_talk()
        exchanges, _ = crowd.talk(0.1)
        assert exchanges > 0


def test_bytes_go_through_each_instance() -> None:
    with echoes(*[unchanged] * 12) as found:
        prove_each([one.port for one in found])
        assert [one.came for one in found] == [1] * 12


@pytest.mark.parametrize("alter", [lambda said: said[::-1], lambda said: bytes(len(said))])
def test_one_instance_that_alters_them_is_found(alter: Callable[[bytes], bytes]) -> None:
    with echoes(unchanged, alter, unchanged) as found, pytest.raises(BenchError, match="their hash is another"):
        prove_each([one.port for one in found])


class Master(http.server.BaseHTTPRequestHandler):
    """The API of a master, which makes instances while they are of the mode `client`."""

    def do_POST(self) -> None:
        url = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["url"]
        right = self.path == "/api/v1/instances" and self.headers["X-API-Key"] == "key"
        self.send_response(201 if right and url.startswith("client://") else 400)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_request(self, code: int | str = "", size: int | str = "") -> None:
        pass


def test_a_master_that_makes_no_instance_is_an_error() -> None:
    with http.server.HTTPServer((HOST, 0), Master) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            create(server.server_port, "key", ["client://one", "client://two"])
            with pytest.raises(BenchError, match="answered 400"):
                create(server.server_port, "key", ["client://one", "what://two"])
        finally:
            server.shutdown()
            thread.join()
