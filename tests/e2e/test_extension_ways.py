"""Ways that one client cannot go, and another can: users who hope for the one hold up nobody, and none is served twice.

Each of these once failed: those who waited for a client that had stopped stood before everybody else; next to a v1 client
no other could begin; datagrams went to a client that takes none; what a user had said went to a second target.
"""

from __future__ import annotations

import signal
import socket
import threading
from contextlib import ExitStack, suppress
from queue import Queue
from typing import TYPE_CHECKING, Self

from nodepass.protocol.conn_id import to_bytes
from nodepass.protocol.signals import Action, Signal, SignalCodec
from tests.harness import (
    KEY,
    TIMEOUT,
    Echo,
    Recorder,
    Runner,
    UdpEcho,
    Wiretap,
    connect,
    echoed,
    ended,
    exchange,
    free_port,
    greeting,
    udp_socket,
)
from tests.harness.raw import ask, pool_connection
from tests.harness.targets import CHUNK

if TYPE_CHECKING:
    from types import TracebackType

    from tests.harness import NodePass

NEVER = "1h"
SILENT_SOON = "300ms"
"""Report interval: a client of which nothing is heard for three is taken for dead."""

NEW_USERS = 8


class Server:
    """A server and its clients, each with a target of its own.

    Args:
        np: runs them.
        query: parameters of the server.
        env: variables of all.
    """

    def __init__(self, np: Runner, query: str = "", **env: str) -> None:
        self._np = np
        self._env = env
        self.port, self.users = free_port(), free_port()
        url = f"server://{KEY}@127.0.0.1:{self.port}/127.0.0.1:{self.users}?mode=1&log=debug&{query}"
        self.process = np.run(url, env=env).listening()

    def join(self, target: int, query: str = "", via: int = 0) -> NodePass:
        """One more client, which has become ready.

        Args:
            target: its port.
            query: parameters.
            via: port that it dials in place of the server's.
        """
        since = len(self.process.lines)
        url = f"client://{KEY}@127.0.0.1:{via or self.port}/127.0.0.1:{target}?mode=2&log=debug&{query}"
        client = self._np.run(url, env=self._env).ready()
        self.process.ready(since=since)
        return client


def test_users_who_wait_for_a_client_that_has_stopped_hold_up_nobody(np: Runner) -> None:
    """The other client's target was down when they came, so that they hope for the one that has stopped."""
    server = Server(np, "max=1&pool=single", NP_REPORT_INTERVAL=NEVER, NP_POOL_GET_TIMEOUT=NEVER)
    down = free_port()
    with Echo() as target, ExitStack() as stack:
        stopped = server.join(target.port)
        assert echoed(server.users)
        other = server.join(down)
        stopped.send_signal(signal.SIGSTOP)
        stack.callback(stopped.send_signal, signal.SIGCONT)
        # The first takes the one connection to the client that has stopped; the others wait for the next.
        users = [stack.enter_context(connect(server.users)) for _ in range(4)]
        other.wait_for(f"No target for the user at 127.0.0.1:{users[-1].getsockname()[1]}")
        with Echo(down):
            assert all(echoed(server.users) for _ in range(NEW_USERS))


class V1Client:
    """A v1 client at a server without TLS, made by hand: it answers pings, and hears of its users.

    Args:
        port: of the tunnel.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._codec = SignalCodec(KEY)
        self._connections: dict[bytes, socket.socket] = {}
        self._named: Queue[bytes] = Queue()

    def __enter__(self) -> Self:
        assert ask(self._port)[0] == 200
        control_id, self._control = pool_connection(self._port)
        assert control_id == bytes(4)
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for sock in (self._control, *self._connections.values()):
            # Its end wakes who reads it.
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        self._thread.join()

    def open_connection(self) -> None:
        """One more for the pool, which must get an ID."""
        connection_id, sock = pool_connection(self._port)
        self._connections[connection_id] = sock
        assert connection_id

    def next_user(self) -> socket.socket:
        """The connection that carries the next user."""
        return self._connections[self._named.get(timeout=TIMEOUT)]

    def _live(self) -> None:
        with suppress(OSError), self._control.makefile("rb") as lines:
            for line in lines:
                said = self._codec.decode(line.rstrip())
                if said.action is Action.PING:
                    self._control.sendall(self._codec.encode(Signal(Action.PONG)))
                elif said.action is Action.TCP:
                    self._named.put(to_bytes(said.id))


def test_a_client_becomes_ready_next_to_a_v1_client_that_was_there_first(np: Runner) -> None:
    """Without TLS, a v1 client shows what it is by its address and by saying nothing."""
    server = Server(np, "tls=0&type=0")
    with Echo(greeting=b"A") as target, V1Client(server.port) as first, ExitStack() as stack:
        first.open_connection()
        server.join(target.port)
        for _ in range(4):
            first.open_connection()
        # The session that carries fewer users gets the next.
        users = [stack.enter_context(connect(server.users)) for _ in range(2)]
        first.next_user().sendall(b"V")
        assert {greeting(user) for user in users} == {b"A", b"V"}
    server.process.wait_for("session with .* ended")
    assert len(server.process.matches("session with .* ended")) == 1


def test_datagrams_do_not_go_to_a_client_that_takes_none(np: Runner) -> None:
    server = Server(np)
    with UdpEcho() as target, ExitStack() as stack:
        server.join(target.port, "min=4")
        server.join(free_port(), "min=4&noudp=1")
        server.process.checkpoint(having=r"POOL=([89]|\d\d)\|")
        for number in range(NEW_USERS):
            # They stay, so that the client that takes none always carries the fewest.
            user = stack.enter_context(udp_socket(server.users))
            user.send(bytes((number,)))
            assert user.recv(10) == bytes((number,))


class OneWay(Wiretap):
    """A way on which, once silent, nothing that the near side says arrives. It goes on hearing, and nothing is closed."""

    silent = False

    def serve(self, sock: socket.socket) -> None:
        with socket.create_connection((self.host, self.to)) as far:
            back = threading.Thread(target=self._pass, args=(far, sock), daemon=True)
            back.start()
            with suppress(OSError):
                while data := sock.recv(CHUNK):
                    if not self.silent:
                        far.sendall(data)
                far.shutdown(socket.SHUT_RDWR)
            back.join()


class Heard(Echo):
    """Keeps what users say."""

    def __init__(self, greeting: bytes) -> None:
        super().__init__(greeting=greeting)
        self.said = bytearray()

    def serve(self, sock: socket.socket) -> None:
        sock.sendall(self._greeting)
        while data := sock.recv(CHUNK):
            self.said += data
            sock.sendall(data)


def test_what_a_user_said_to_a_client_that_fell_silent_is_said_to_nobody_else(np: Runner) -> None:
    """Its target may have heard it: the word that it was reached is what the silence has swallowed."""
    server = Server(np, NP_REPORT_INTERVAL=SILENT_SOON)
    with OneWay(server.port) as way, Recorder() as first, Heard(b"B") as second, ExitStack() as stack:
        server.join(first.port, "min=4", via=way.port)
        server.process.checkpoint(having=r"POOL=[4-9]\|")
        way.silent = True
        speaker, listener = (stack.enter_context(connect(server.users)) for _ in range(2))
        speaker.sendall(b"pay 100")
        first.next()
        server.join(second.port)
        assert ended(speaker)
        # One that has said nothing is sent on.
        assert greeting(listener) == b"B"
        with connect(server.users) as user:
            assert greeting(user) == b"B"
            assert exchange(user, b"hello") == b"hello"
        assert bytes(second.said) == b"hello"
