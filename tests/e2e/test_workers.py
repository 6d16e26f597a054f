"""`workers`: one instance as several processes on one listener."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import struct
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Self

import psutil
import pytest

from nodepass.config import PoolTransport, TlsMode
from nodepass.protocol.agreement import Agreement, Flow
from nodepass.protocol.client_handshake import ClientHandshake
from nodepass.protocol.extension import ClientExtension
from nodepass.protocol.handshake import ServerHandshake
from nodepass.protocol.tunnel_key import pre_shared_key
from nodepass.tunnel.memory import FAILURES_PER_SECOND, FREE_FAILURES
from tests.harness import (
    KEY,
    Echo,
    Master,
    Recorder,
    Runner,
    TcpTarget,
    UdpEcho,
    connect,
    echoed,
    free_port,
    read_all,
    read_exactly,
    turned_away,
    udp_socket,
    wait_tcp,
)
from tests.harness.raw import ID_SIZE
from tests.harness.stranger import forged
from tests.harness.workers import COUNT, QUERY, Users, carries, dies_with, gone, kill, pids, serving

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.harness import NodePass, Tunnel

MANY = "pool=single&min=64"
"""Of the client of a server that is several processes: so many connections that each of those has some."""

SETUPS = ["single", "reverse client", "forward client", "reverse server", "forward server"]
"""Which way users go, and which end is several processes."""

MBIT = 125_000


@dataclass(frozen=True)
class Stage:
    """What is there.

    Args:
        tunnel: or forwarder.
        several: the end that is several processes.
        port: at which users show in them: that for users, or the target's.
    """

    tunnel: Tunnel
    several: NodePass
    port: int


def expendable(process: NodePass) -> int:
    """A process whose end ends no session that others carry users of."""
    needed = {int(match[1]) for match in process.matches(r"Process (\d+) (keeps the session|leads .* to process)")}
    return next(place for place in pids(process) if place not in needed)


def not_over_quic(np: Runner) -> None:
    """A server of several processes refuses it."""
    if np.transport is PoolTransport.QUIC:
        pytest.skip("type=1 is refused at a server of several processes")


def not_over_http2(np: Runner) -> None:
    """A client opens few connections of it: a process of the server may have none, and idles
    where users do not come to it."""
    if np.transport is PoolTransport.HTTP2:
        pytest.skip("which processes carry users is chance")


def begin(np: Runner, setup: str, query: str = "", env: Mapping[str, str] | None = None) -> Stage:
    """Start it, and wait until all processes serve."""
    flow, _, end = setup.partition(" ")
    if end == "server":
        not_over_quic(np)
        if flow == "forward":
            not_over_http2(np)
    query = f"{QUERY}&{query}" if query else QUERY
    if flow == "single":
        tunnel = np.forwarder(query, env=env)
    else:
        server, client = (f"strict=1&{query}", MANY) if end == "server" else ("", query)
        tunnel = np.tunnel(flow, server=server, client=client, env=env)
    several = serving(tunnel.server if end == "server" else tunnel.client)
    return Stage(tunnel, several, tunnel.users if several is tunnel.ingress else tunnel.target)


@pytest.mark.every_transport
@pytest.mark.parametrize("setup", SETUPS)
def test_all_processes_serve_and_one_that_is_killed_comes_back(np: Runner, setup: str) -> None:
    stage = begin(np, setup)
    with Echo(stage.tunnel.target), Users(stage.tunnel.users) as users:
        users.until_all_carry(stage.several, stage.port)
        place = expendable(stage.several)
        lost = dies_with(stage.several, place, stage.port)
        since = kill(stage.several, place)
        assert len(users.all) - users.alive() in lost
        serving(stage.several, since=since)
        users.until_all_carry(stage.several, stage.port)
        for _ in range(4 * COUNT):
            users.come()


@pytest.mark.parametrize("setup", SETUPS)
def test_one_line_has_the_figures_of_all(np: Runner, setup: str) -> None:
    # UDP users are there for longer than a stop waits for them.
    stage = begin(np, setup, env={"NP_SHUTDOWN_TIMEOUT": "300ms"})
    size, lines = 1000, []
    with Echo(stage.tunnel.target), UdpEcho(stage.tunnel.target), Users(stage.tunnel.users) as users, ExitStack() as more:
        users.until_all_carry(stage.several, stage.port)
        for _ in range(2 * COUNT):
            user = more.enter_context(udp_socket(stage.tunnel.users))
            user.send(bytes(size))
            assert len(user.recv(size)) == size
        tcp, udp = len(users.all) * len(b"hello"), 2 * COUNT * size
        figures = rf"TCPRX={tcp}\|TCPTX={tcp}\|UDPRX={udp}\|UDPTX={udp}"
        stage.several.checkpoint(having=rf"TCPS={len(users.all)}\|UDPS={2 * COUNT}\|{figures}")
        # They go on where a process starts again, and what it carried is not in progress any more.
        place = expendable(stage.several)
        lost = dies_with(stage.several, place, stage.port)
        serving(stage.several, since=kill(stage.several, place))
        left = "|".join(str(len(users.all) - each) for each in lost)
        stage.several.checkpoint(having=rf"TCPS=({left})\|.*{figures}")
    assert stage.several.stop() == 0
    lines = stage.several.matches(r"CHECK_POINT\|MODE=.\|PING=\d+ms\|POOL=\d+\|TCPS=")
    assert len(lines) == len(stage.several.matches("CHECK_POINT"))


@pytest.mark.parametrize("setup", SETUPS)
def test_slots_are_of_all_together(np: Runner, setup: str) -> None:
    slots = 2 * COUNT + 1
    stage = begin(np, setup, f"slot={slots}")
    with Echo(stage.tunnel.target), ExitStack() as stack:
        users = stack.enter_context(Users(stage.tunnel.users))
        for _ in range(slots):
            users.come()
        assert all(turned_away(stage.tunnel.users) for _ in range(4 * COUNT))
        assert users.alive() == slots
        # Those of a process that is killed are free again.
        serving(stage.several, since=kill(stage.several, expendable(stage.several)))
        for _ in range(slots - users.alive()):
            users.come()
        assert all(turned_away(stage.tunnel.users) for _ in range(4 * COUNT))


@pytest.mark.parametrize("setup", SETUPS)
def test_rate_is_of_all_together(np: Runner, setup: str) -> None:
    # Two seconds' worth for all together, were it not for the burst; for each by itself, hardly any time.
    stage = begin(np, setup, "rate=8")
    size, count = 2 * MBIT, 8 * COUNT
    total = count * size // COUNT
    with Recorder(stage.tunnel.target, answer=b"ok"), Users(stage.tunnel.users), ExitStack() as stack:
        users = [stack.enter_context(connect(stage.tunnel.users)) for _ in range(count)]
        begun = time.monotonic()
        threads = [threading.Thread(target=send_all, args=(user, total // count)) for user in users]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - begun
    assert took > total / (8 * MBIT) / 2


def send_all(user: socket.socket, size: int) -> None:
    """Send, and wait until the target has got it all."""
    user.sendall(bytes(size))
    user.shutdown(socket.SHUT_WR)
    assert read_all(user) == b"ok"


@pytest.mark.parametrize("setup", SETUPS)
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_is_left(np: Runner, setup: str, how: signal.Signals) -> None:
    stage = begin(np, setup)
    children = list(pids(stage.several).values())
    with Echo(stage.tunnel.target), Users(stage.tunnel.users) as users:
        users.until_all_carry(stage.several, stage.port)
        for user in users.all:
            user.close()
    stage.several.send_signal(how)
    assert stage.several.wait() == (0 if how is signal.SIGTERM else -how)
    assert gone(children)


def test_users_in_progress_may_finish(np: Runner) -> None:
    stage = begin(np, "single")
    with Echo(stage.tunnel.target), Users(stage.tunnel.users) as users:
        users.until_all_carry(stage.several, stage.port)
        stage.several.send_signal()
        stage.several.wait_for(r"Waiting up to .* for \d+ sessions")
        assert users.alive() == len(users.all)
        assert turned_away(stage.tunnel.users)
    assert stage.several.wait() == 0
    assert not stage.several.matches("had not finished in time|is killed")


def test_a_second_signal_ends_all_at_once(np: Runner) -> None:
    stage = begin(np, "single")
    children = list(pids(stage.several).values())
    with Echo(stage.tunnel.target), Users(stage.tunnel.users) as users:
        users.until_all_carry(stage.several, stage.port)
        stage.several.send_signal()
        stage.several.wait_for(r"Waiting up to .* for \d+ sessions")
        stage.several.send_signal()
        assert stage.several.wait() == 128 + signal.SIGTERM
        assert gone(children)


def test_a_signal_to_one_of_them_is_not_for_it(np: Runner) -> None:
    stage = begin(np, "single")
    with Echo(stage.tunnel.target):
        for pid in pids(stage.several).values():
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGINT)
        assert echoed(stage.tunnel.users, 1000)
    assert stage.several.stop() == 0
    assert not stage.several.matches("another takes its place")


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_that_is_taken_is_found(np: Runner, kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        # Whoever is there may share ports as well.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(kind is socket.SOCK_STREAM))
        taken.bind(("127.0.0.1", port := free_port()))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        process = np.run(f"client://127.0.0.1:{port}/127.0.0.1:{free_port()}?mode=1&{QUERY}")
        name = "TCP" if kind is socket.SOCK_STREAM else "UDP"
        process.wait_for(f"Client error: cannot listen on {name} 127.0.0.1:{port}: Address already in use")
    serving(process)


def test_which_end_a_client_is_is_decided_for_all(np: Runner) -> None:
    stage = begin(np, "single", "mode=0")
    assert len(stage.several.matches("Forwarding .* to")) == COUNT
    tunnel = np.tunnel(client=f"{QUERY}&mode=0")
    serving(tunnel.client)
    tunnel.server.kill()
    # Its port is free now: one that starts again must not take it.
    since = kill(tunnel.client, 1)
    tunnel.client.wait_for("Shaking hands", since=since)
    assert not tunnel.client.matches("Forwarding .* to")


def test_all_show_one_certificate(np: Runner) -> None:
    stage = begin(np, "single", "tls=1")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    shown = set()
    with Echo(stage.tunnel.target), ExitStack() as stack:
        while not all(carries(pid, stage.port) for pid in pids(stage.several).values()):
            user = stack.enter_context(context.wrap_socket(connect(stage.tunnel.users)))
            shown.add(user.getpeercert(binary_form=True))
    assert len(shown) == 1


def test_a_udp_user_stays_with_one(np: Runner) -> None:
    stage = begin(np, "single")
    with UdpEcho(stage.tunnel.target) as target, udp_socket(stage.tunnel.users) as user:
        sources = set()
        for _ in range(4 * COUNT):
            user.send(b"again")
            sources.add(target.next()[1])
        assert len(sources) == 1


def test_files_that_are_no_good_are_told_at_once(np: Runner) -> None:
    process = np.run(f"client://127.0.0.1:{free_port()}/127.0.0.1:1?mode=1&tls=2&crt=/none&key=/none&{QUERY}")
    np.forgive(process)
    assert process.wait() == 2
    assert process.stderr == ["nodepass: crt=/none: cannot be read: No such file or directory"]


@pytest.mark.every_transport
def test_users_go_through_another_process_where_theirs_has_no_connection(np: Runner) -> None:
    not_over_quic(np)
    tunnel = np.tunnel(server=f"strict=1&{QUERY}", client="pool=single&min=1")
    serving(tunnel.server)
    with Echo(tunnel.target), UdpEcho(tunnel.target), Users(tunnel.users) as users, ExitStack() as stack:
        # There is one connection that is idle, at one of them; users come to all.
        users.until_all_carry(tunnel.server, tunnel.users)
        assert users.alive() == len(users.all)
        for _ in range(4 * COUNT):
            user = stack.enter_context(udp_socket(tunnel.users))
            for size in (1, 1000, 0, 1400):
                user.send(bytes(size))
                assert len(user.recv(2000)) == size
        total = len(users.all) * len(b"hello" + b"still here")
        tunnel.server.checkpoint(having=rf"TCPS={len(users.all)}\|.*TCPRX={total}\|TCPTX={total}\|")


class Breaks(TcpTarget):
    """Answers, and breaks the connection instead of ending it."""

    def serve(self, sock: socket.socket) -> None:
        sock.recv(100)
        sock.sendall(b"half of it")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_a_break_is_no_end_through_another_process_either(np: Runner) -> None:
    tunnel = np.tunnel(server=f"strict=1&{QUERY}", client="pool=single&min=1")
    serving(tunnel.server)
    with Breaks(tunnel.target):
        for _ in range(4 * COUNT):
            with connect(tunnel.users) as user:
                user.sendall(b"go on")
                with pytest.raises(ConnectionResetError):
                    read_all(user)


def test_a_client_shares_few_connections_and_all_processes_serve(np: Runner) -> None:
    tunnel = np.tunnel(server=f"strict=1&{QUERY}", client="pool=mux")
    serving(tunnel.server)
    with Echo(tunnel.target), Users(tunnel.users) as users:
        users.until_all_carry(tunnel.server, tunnel.users)
        assert users.alive() == len(users.all)


REPLAYS = 12


def test_a_recorded_handshake_or_proof_is_worth_nothing_at_any_process(np: Runner) -> None:
    port = free_port()
    server = np.run(f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{free_port()}?mode=1&strict=1&{QUERY}")
    serving(server)
    extension = ClientExtension(pre_shared_key(KEY), "f" * 16)
    handshake = ClientHandshake("none", extension=extension.header(time.time()))
    answers = [say(port, handshake.request()) for _ in range(REPLAYS)]
    assert [answer.split()[1] for answer in answers] == [b"200"] + [b"401"] * (REPLAYS - 1)
    answer = handshake.receive(answers[0])
    assert answer is not None
    terms, keys = extension.conclude(answer.extension)
    assert terms.workers == COUNT
    with ExitStack() as stack:
        given = []
        for counter in range(1, REPLAYS):
            fresh = stack.enter_context(connect(port))
            fresh.sendall(keys.proof(counter))
            given.append(read_exactly(fresh, ID_SIZE))
            # The same again, at whatever process it comes to.
            for _ in range(3):
                assert say(port, keys.proof(counter)) == b""
        assert given[0] == bytes(ID_SIZE)
        assert len(set(given)) == len(given)
    assert say(port, forged(terms.session)) == b""


def say(port: int, data: bytes) -> bytes:
    """Say this on a connection of its own; what comes back until its end, however it ends."""
    with connect(port) as sock:
        sock.sendall(data)
        try:
            return read_all(sock)
        except ConnectionResetError:
            return b""


def test_guesses_are_counted_for_all(np: Runner) -> None:
    port = free_port()
    server = np.run(f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{free_port()}?mode=1&strict=1&{QUERY}")
    serving(server)
    begun = time.monotonic()
    request = ClientHandshake("none", "0" * 64).request()
    told = [say(port, request).split()[1] for _ in range(3 * COUNT * FREE_FAILURES)]
    took = time.monotonic() - begun
    assert set(told) == {b"401", b"429"}
    assert told.count(b"401") <= FREE_FAILURES + FAILURES_PER_SECOND * took + 1


@pytest.mark.parametrize(
    ("query", "message"), [("type=0", "needs strict=1"), ("strict=1&type=1", "expected 1 at a server")]
)
def test_a_server_says_what_several_processes_do_not_do(np: Runner, query: str, message: str) -> None:
    process = np.run(f"server://{KEY}@127.0.0.1:{free_port()}/127.0.0.1:{free_port()}?{QUERY}&{query}")
    np.forgive(process)
    assert process.wait() == 2
    assert process.stderr[0].startswith(f"nodepass: workers={COUNT}: {message}")


def test_several_processes_at_both_ends(np: Runner) -> None:
    tunnel = np.tunnel(server=f"strict=1&tls=1&{QUERY}", client=QUERY)
    serving(tunnel.server)
    serving(tunnel.client)
    with Echo(tunnel.target), Users(tunnel.users) as users:
        users.until_all_carry(tunnel.server, tunnel.users)
        users.until_all_carry(tunnel.client, tunnel.target)
        assert users.alive() == len(users.all)


class VersionOne:
    """A server of version 1 as far as the handshake: it knows nothing of the extension, and of no more than one client."""

    def __init__(self, port: int) -> None:
        self._listening = socket.create_server(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listening.accept()
            except OSError:
                return
            # A pool connection, which it does not take, may be broken off.
            with sock, suppress(ConnectionError):
                handshake = ServerHandshake(KEY)
                request = sock.recv(65536)
                verdict = handshake.receive(request)
                if verdict is None:
                    continue
                if b"Authorization" in request:
                    sock.sendall(handshake.accept(Agreement(Flow.FORWARD, 8, TlsMode.NONE, PoolTransport.TCP), ""))
                else:
                    sock.sendall(handshake.refuse(HTTPStatus.UNAUTHORIZED, "unauthorized", ""))


def test_a_v1_server_gets_one_client_until_there_is_another(np: Runner) -> None:
    port, users, target = free_port(), free_port(), free_port()
    with VersionOne(port):
        client = np.run(
            f"client://{KEY}@127.0.0.1:{port}/127.0.0.1:{users}?mode=2&min=2&log=debug&{QUERY}",
            env={"NP_HANDSHAKE_TIMEOUT": "300ms"},
        )
        client.wait_for("The server is of version 1")
        client.wait_for("Client restart")
        client.wait_for("The server decides", since=len(client.lines))
        assert list(pids(client)) == [1]
    np.run(f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{target}?mode=2").listening()
    serving(client)
    with Echo(target), Users(users) as all_users:
        all_users.until_all_carry(client, users)


def of_one_instance(master: Master) -> list[int]:
    """The processes of the only instance of a master, parent and children."""
    found = psutil.Process(master.pid).children(recursive=True)
    return [process.pid for process in found if "nodepass client" in " ".join(process.cmdline())]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_master_sees_one_instance(tmp_path: Path, how: str) -> None:
    users, target = free_port(), free_port()
    # These users stay: what ends waits for them.
    env = {"NP_SHUTDOWN_TIMEOUT": "300ms"}
    with Master(tmp_path, env=env) as master, Echo(target), Users(users) as all_users:
        master.ready()
        with master.events() as events:
            made = master.create(f"client://127.0.0.1:{users}/127.0.0.1:{target}?mode=1&log=none&{QUERY}")
            events.wait_for("update", id=made["id"], mode=1)
            wait_tcp(users)
            while sum(carries(pid, users) > 0 for pid in of_one_instance(master)) < COUNT:
                all_users.come()
            processes = of_one_instance(master)
            assert len(processes) == COUNT + 1
            sent = len(all_users.all) * len(b"hello")
            events.wait_for("update", id=made["id"], tcps=len(all_users.all), tcprx=sent, tcptx=sent)
            if how == "stop":
                all_users.come()
                master.call("PATCH", f"/instances/{made['id']}", {"action": "stop"})
                more = sent + len(b"hello")
                events.wait_for("update", id=made["id"], status="stopped", tcprx=more, tcptx=more)
            else:
                master.kill()
        assert gone(processes)


def test_one_per_processor(np: Runner) -> None:
    forwarder = np.forwarder("workers=0")
    processors = len(os.sched_getaffinity(0))
    if processors > 1:
        serving(forwarder.client, processors)
    assert len(pids(forwarder.client)) == (processors if processors > 1 else 0)
