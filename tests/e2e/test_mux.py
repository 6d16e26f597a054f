"""Users who share a few pool connections (`pool`): URL in, bytes out, and no user pays for another."""

from __future__ import annotations

import os
import socket
import struct
import threading
from contextlib import ExitStack, suppress
from queue import Queue

import pytest

from nodepass.config import PoolTransport
from tests.harness import (
    KEY,
    Echo,
    Recorder,
    Runner,
    TcpTarget,
    Tunnel,
    UdpEcho,
    Wiretap,
    connect,
    echoed,
    ended,
    exchange,
    free_port,
    read_all,
    read_exactly,
    turned_away,
    udp_socket,
)
from tests.harness.raw import ask
from tests.harness.targets import CHUNK

CARRIERS = 4
CONTROL = 1
HANDSHAKE = 1
RESET = struct.pack("ii", 1, 0)

SHARABLE = [(transport, tls) for transport in (PoolTransport.TCP, PoolTransport.WEBSOCKET) for tls in (0, 1)]
every_way = pytest.mark.parametrize(("transport", "tls"), SHARABLE)


class Cables(Wiretap):
    """Counts the connections to a tunnel's port, and cuts the busiest."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0
        self._passed: dict[tuple[socket.socket, socket.socket], int] = {}

    def serve(self, sock: socket.socket) -> None:
        with socket.create_connection((self.host, self.to)) as far:
            self.total += 1
            pair = (sock, far)
            self._passed[pair] = 0
            back = threading.Thread(target=self._count, args=(pair, far, sock), daemon=True)
            back.start()
            self._count(pair, sock, far)
            back.join()

    def cut_the_busiest(self) -> None:
        """Reset that on which most has passed."""
        pair = max(self._passed, key=lambda each: self._passed[each])
        for sock in pair:
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                sock.shutdown(socket.SHUT_RDWR)

    def _count(self, pair: tuple[socket.socket, socket.socket], source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                self._passed[pair] += len(data)
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


class Obedient(TcpTarget):
    """Does what the first byte of a connection says, and echoes where that says nothing."""

    SULK, RESET = b"S", b"R"

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.release = threading.Event()
        self.received: Queue[int] = Queue()
        """Bytes that each connection brought which had it sulk, at its end."""

    def serve(self, sock: socket.socket) -> None:
        first = sock.recv(1)
        if first == self.RESET:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        elif first == self.SULK:
            self.release.wait()
            total = len(first)
            while data := sock.recv(CHUNK):
                total += len(data)
            self.received.put(total)
        else:
            sock.sendall(first)
            while data := sock.recv(CHUNK):
                sock.sendall(data)

    def stop(self) -> None:
        self.release.set()
        super().stop()


def through(np: Runner, cables: Cables, flow: str = "reverse", *, server: str = "", client: str = "") -> Tunnel:
    """A tunnel whose connections can be counted and cut, with as many of them as there will be at rest."""
    tunnel = np.tunnel(flow, via=cables.port, server=server, client=client, wait=False)
    cables.to = tunnel.port
    tunnel.server.ready()
    tunnel.client.ready()
    tunnel.server.checkpoint(having=rf"POOL={CARRIERS}\|")
    return tunnel


# Many users, few connections.


@pytest.mark.usefixtures("many_files")
@every_way
@pytest.mark.parametrize("flow", ["reverse", "forward"])
def test_many_users_at_once_share_four_connections(np: Runner, flow: str, transport: PoolTransport, tls: int) -> None:
    count = 500 if transport is PoolTransport.TCP and not tls else 100
    with Cables() as cables, ExitStack() as stack:
        tunnel = through(np, cables, flow, server=f"type={transport}&tls={tls}", client="min=64")
        stack.enter_context(Echo(tunnel.target))
        users = [stack.enter_context(connect(tunnel.users)) for _ in range(count)]
        said = [os.urandom(3000) for _ in users]
        for user, data in zip(users, said, strict=True):
            user.sendall(data)
        for user, data in zip(users, said, strict=True):
            assert read_exactly(user, len(data)) == data
        assert tunnel.ingress.checkpoint(having=rf"TCPS={count}\|")["POOL"] == str(CARRIERS)
        assert cables.total == HANDSHAKE + CONTROL + CARRIERS
        # Each still has its own: the last first, and much at a time.
        for user in users[::-1][:5]:
            data = os.urandom(1_000_000)
            assert exchange(user, data) == data


def test_min_and_max_may_ask_for_fewer(np: Runner) -> None:
    few = np.tunnel(client="min=2")
    fewer = np.tunnel(server="max=1")
    for tunnel, count in ((few, 2), (fewer, 1)):
        tunnel.server.checkpoint(having=rf"POOL={count}\|")
        with Echo(tunnel.target), ExitStack() as stack:
            users = [stack.enter_context(connect(tunnel.users)) for _ in range(20)]
            for number, user in enumerate(users):
                text = f"user {number}".encode()
                assert exchange(user, text) == text
        tunnel.server.checkpoint(having=rf"POOL={count}\|")


@pytest.mark.parametrize(("server", "client"), [("mux", "mux"), ("mux", "auto"), ("auto", "mux")])
def test_who_insists_on_sharing_gets_it(np: Runner, server: str, client: str) -> None:
    tunnel = np.tunnel(server=f"pool={server}", client=f"min=64&pool={client}")
    tunnel.client.checkpoint(having=rf"POOL={CARRIERS}\|")
    with Echo(tunnel.target):
        assert echoed(tunnel.users)


# Who does not want to.


@every_way
@pytest.mark.parametrize("end", ["server", "client"])
def test_single_at_either_end_gives_each_user_a_connection(
    np: Runner, end: str, transport: PoolTransport, tls: int
) -> None:
    single = {end: "&pool=single"}
    with Cables() as cables, ExitStack() as stack:
        tunnel = np.tunnel(
            via=cables.port,
            server=f"type={transport}&tls={tls}{single.get('server', '')}",
            client=f"min=2{single.get('client', '')}",
            wait=False,
        )
        cables.to = tunnel.port
        tunnel.client.ready()
        stack.enter_context(Echo(tunnel.target))
        users = [stack.enter_context(connect(tunnel.users)) for _ in range(20)]
        for user in users:
            assert exchange(user, b"hello") == b"hello"
        assert cables.total >= HANDSHAKE + CONTROL + len(users)


def test_a_server_that_insists_refuses_a_client_that_does_not_want_to(np: Runner) -> None:
    tunnel = np.tunnel(server="pool=mux", client="pool=single", wait=False)
    tunnel.client.wait_for(r"Client error: .*400.*users share pool connections here \(pool=mux\)")
    tunnel.server.wait_for(r"Refused the client at 127.0.0.1:\d+: users share pool connections here")
    assert tunnel.client.is_running
    assert not tunnel.server.matches("is ready")


def test_a_client_that_insists_refuses_a_server_that_does_not_want_to(np: Runner) -> None:
    tunnel = np.tunnel(server="pool=single", client="pool=mux", wait=False, env={"NP_HANDSHAKE_TIMEOUT": "500ms"})
    tunnel.client.wait_for("Client error: the server has each user use a connection of its own, and pool=mux here")
    tunnel.server.wait_for("no control channel came up in time")
    assert not tunnel.client.matches("is ready")


def test_a_server_that_insists_refuses_a_client_of_version_1(np: Runner) -> None:
    port = free_port()
    server = np.run(f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{free_port()}?mode=1&pool=mux").listening()
    status, body = ask(port)
    assert status == 400
    assert b"pool=mux" in body
    server.wait_for(r"Refused the client at 127.0.0.1:\d+: users share pool connections here")


def test_where_transports_have_streams_of_their_own_nobody_need_insist(np: Runner) -> None:
    tunnel = np.tunnel(server="type=3&pool=mux", client="pool=mux")
    with Echo(tunnel.target):
        assert echoed(tunnel.users)


# No user pays for another.


@every_way
@pytest.mark.parametrize("flow", ["reverse", "forward"])
def test_a_user_that_is_not_read_stalls_alone(np: Runner, flow: str, transport: PoolTransport, tls: int) -> None:
    # One connection for all, so that those who are served share it with the one who stalls.
    tunnel = np.tunnel(flow, client="min=1", server=f"type={transport}&tls={tls}")
    with Obedient(tunnel.target) as target, connect(tunnel.users) as stalled:
        stalled.sendall(target.SULK)
        stalled.settimeout(1)
        sent = 1
        with suppress(TimeoutError):
            while True:
                sent += stalled.send(bytes(CHUNK))
        for _ in range(20):
            data = b"E" + os.urandom(100_000)
            with connect(tunnel.users) as user:
                assert exchange(user, data) == data
        # It was held back, not lost.
        target.release.set()
        stalled.shutdown(socket.SHUT_WR)
        assert target.received.get(timeout=10) == sent


@every_way
def test_a_connection_that_is_cut_takes_its_own_users_along_and_no_others(
    np: Runner, transport: PoolTransport, tls: int
) -> None:
    with Cables() as cables, ExitStack() as stack:
        tunnel = through(np, cables, server=f"type={transport}&tls={tls}")
        stack.enter_context(Echo(tunnel.target))
        users = [stack.enter_context(connect(tunnel.users)) for _ in range(5 * CARRIERS)]
        for user in users:
            assert exchange(user, b"hello") == b"hello"
        assert exchange(users[7], bytes(1_000_000)) == bytes(1_000_000)
        cables.cut_the_busiest()
        assert ended(users[7])
        alive = [user for user in users if still_served(user)]
        assert len(alive) == len(users) - len(users) // CARRIERS
        assert all(echoed(tunnel.users, 10_000) for _ in range(2 * CARRIERS))
        tunnel.server.checkpoint(having=rf"POOL={CARRIERS}\|")
        assert len(tunnel.client.matches("Session with the server at .* is ready")) == 1


def still_served(user: socket.socket) -> bool:
    """Whether an echo still answers."""
    try:
        return exchange(user, b"still here?") == b"still here?"
    except (OSError, EOFError):
        return False


def test_a_client_that_is_killed_takes_its_users_along_and_the_next_one_serves(np: Runner) -> None:
    tunnel = np.tunnel()
    with Echo(tunnel.target), ExitStack() as stack:
        users = [stack.enter_context(connect(tunnel.users)) for _ in range(20)]
        for user in users:
            assert exchange(user, b"hello") == b"hello"
        tunnel.client.kill()
        assert all(ended(user) for user in users)
        since = len(tunnel.server.lines)
        np.run(tunnel.client.argv[-1]).ready()
        tunnel.server.ready(since=since)
        assert echoed(tunnel.users)
        tunnel.server.checkpoint(having=r"TCPS=0\|")


# Ends.


@every_way
@pytest.mark.parametrize("which", ["server", "client"])
def test_all_users_in_progress_are_let_finish(np: Runner, which: str, transport: PoolTransport, tls: int) -> None:
    tunnel = np.tunnel(server=f"type={transport}&tls={tls}")
    process = tunnel.server if which == "server" else tunnel.client
    with Echo(tunnel.target), ExitStack() as stack:
        users = [stack.enter_context(connect(tunnel.users)) for _ in range(10)]
        for user in users:
            assert exchange(user, b"begun") == b"begun"
        process.send_signal()
        process.wait_for("Waiting up to 5 s for 10 sessions")
        for user in users:
            data = os.urandom(200_000)
            assert exchange(user, data) == data
            user.close()
        assert process.wait() == 0


@every_way
def test_resets_pass_both_ways_and_break_nobody_else(np: Runner, transport: PoolTransport, tls: int) -> None:
    tunnel = np.tunnel(client="min=1", server=f"type={transport}&tls={tls}")
    with ExitStack() as stack:
        with Recorder(tunnel.target) as target:
            with connect(tunnel.users) as user:
                user.sendall(b"never finished")
                received = target.next()
                user.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            assert received.ended.wait(10)
            assert received.ended_by == "reset"
        obedient = stack.enter_context(Obedient(tunnel.target))
        witness = stack.enter_context(connect(tunnel.users))
        assert exchange(witness, b"hello") == b"hello"
        with connect(tunnel.users) as user:
            user.sendall(obedient.RESET)
            with pytest.raises(ConnectionResetError):
                read_all(user)
        assert exchange(witness, b"still here") == b"still here"
        # Half-close, both ways.
        witness.shutdown(socket.SHUT_WR)
        assert read_all(witness) == b""


@every_way
def test_datagrams_share_connections_and_keep_their_boundaries(np: Runner, transport: PoolTransport, tls: int) -> None:
    with Cables() as cables, ExitStack() as stack:
        tunnel = through(np, cables, server=f"type={transport}&tls={tls}")
        stack.enter_context(UdpEcho(tunnel.target))
        stack.enter_context(Echo(tunnel.target))
        users = [stack.enter_context(udp_socket(tunnel.users)) for _ in range(50)]
        for size in (1, 1200, 9000):
            for user in users:
                datagram = os.urandom(size)
                user.send(datagram)
                assert user.recv(65536) == datagram
        assert echoed(tunnel.users)
        assert tunnel.ingress.checkpoint(having=r"UDPS=50\|")["POOL"] == str(CARRIERS)
        assert cables.total == HANDSHAKE + CONTROL + CARRIERS


def test_a_target_that_refuses_turns_away_its_user_only(np: Runner) -> None:
    tunnel = np.tunnel(client="min=1")
    assert turned_away(tunnel.users, b"hello")
    with Echo(tunnel.target), connect(tunnel.users) as user:
        assert exchange(user, b"here") == b"here"
        assert echoed(tunnel.users)
        assert exchange(user, b"still") == b"still"
    tunnel.server.checkpoint(having=r"POOL=1\|")
