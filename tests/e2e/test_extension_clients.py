"""Several clients on one server: users are spread over them, and what one of them suffers is felt by its own users only.

A v1 server refuses the second client, or hands it the users' connections.
"""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from nodepass.protocol.conn_id import to_bytes
from nodepass.protocol.signals import Action, SignalCodec
from tests.harness import KEY, Echo, Load, Runner, connect, exchange, free_port, greeting
from tests.harness.raw import ask, pool_connection

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from tests.harness import NodePass
    from tests.harness.load import Broken

NAMES = (b"A", b"B", b"C")
HELD = 30
SOME = 40
"""Users whom the load must have brought before and after what happens to it."""

DIES_QUIETLY = {"NP_REPORT_INTERVAL": "300ms"}
"""Over QUIC, a server learns that its client has been killed by its silence."""

NO_PINGS = {"NP_REPORT_INTERVAL": "1h"}
"""A client made by hand does not answer them."""


@dataclass
class Clients:
    """A server, and clients each with a target of its own that greets by its name."""

    server: NodePass
    users: int
    clients: dict[bytes, NodePass]
    urls: dict[bytes, str]


@contextmanager
def three(np: Runner, query: str = "") -> Iterator[Clients]:
    """Clients on one server, all at one address."""
    port, users = free_port(), free_port()
    url = f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{users}?mode=1&log=debug&type={np.transport}&{query}"
    server = np.run(url, env=DIES_QUIETLY).listening()
    with ExitStack() as stack:
        urls = {}
        for name in NAMES:
            target = stack.enter_context(Echo(greeting=name))
            urls[name] = f"client://{KEY}@127.0.0.1:{port}/127.0.0.1:{target.port}?mode=2&min=4&log=debug"
        clients = {name: np.run(url, env=DIES_QUIETLY) for name, url in urls.items()}
        for client in clients.values():
            client.ready()
        server.checkpoint(having=r"POOL=(1[2-9]|[2-9]\d)\|")
        yield Clients(server, users, clients, urls)


def test_users_are_spread_over_the_clients(np: Runner) -> None:
    with three(np) as those, ExitStack() as stack:
        count = Counter(greeting(stack.enter_context(connect(those.users))) for _ in range(HELD))
        assert count == dict.fromkeys(NAMES, HELD // len(NAMES))


@pytest.mark.every_transport
@pytest.mark.parametrize("tls", [0, 1])
def test_a_client_that_is_killed_takes_its_own_connections_along_and_no_others(np: Runner, tls: int) -> None:
    with three(np, f"tls={tls}") as those, ExitStack() as stack:
        held = [stack.enter_context(connect(those.users)) for _ in range(6)]
        by_name = {greeting(user): user for user in held}
        assert set(by_name) == set(NAMES)
        with Load(those.users) as load:
            load.wait_for(SOME)
            those.clients[b"A"].kill()
            killed = time.monotonic()
            those.server.wait_for("session with .* ended")
            load.wait_for(SOME)
            since, restarted = len(those.server.lines), time.monotonic()
            again = np.run(those.urls[b"A"], env=DIES_QUIETLY).ready()
            those.server.ready(since=since)
            brought_back = time.monotonic()
            load.wait_for(SOME)
        others = [those.clients[name] for name in (b"B", b"C")]
        assert [one for one in load.broken if one.came > killed or not was_with_the_killed(one, others)] == []
        assert {name for came, name in load.served if came < killed} == set(NAMES)
        assert {name for came, name in load.served if came > brought_back} == set(NAMES)
        assert {name for came, name in load.served if killed < came < restarted} <= {b"B", b"C"}
        for name in (b"B", b"C"):
            assert exchange(by_name[name], b"still here") == b"still here"
        assert again.is_running
        assert len(those.server.matches("session with .* ended")) == 1


def was_with_the_killed(one: Broken, others: list[NodePass]) -> bool:
    """Whether none of the others served this user. One that A had reached its target for may not have been greeted yet."""
    return one.served_by in (b"A", b"") and not any(other.matches(f"{one.user}: ") for other in others)


def test_a_v1_client_is_served_beside_another_of_its_address(np: Runner) -> None:
    """The v1 client is made by hand, and says what its target would."""
    port, users = free_port(), free_port()
    server = np.run(f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{users}?mode=1&log=debug", env=NO_PINGS).listening()
    with Echo(greeting=b"A") as target, ExitStack() as stack:
        url = f"client://{KEY}@127.0.0.1:{port}/127.0.0.1:{target.port}?mode=2&log=debug"
        np.run(url).ready()
        assert ask(port)[0] == 200
        control_id, control = pool_connection(port)
        stack.enter_context(control)
        assert control_id == bytes(4)
        by_id = {}
        for _ in range(4):
            connection_id, sock = pool_connection(port)
            by_id[connection_id] = stack.enter_context(sock)
        assert b"" not in by_id
        # The session that carries fewer users gets the next.
        held = [stack.enter_context(connect(users)) for _ in range(2)]
        by_id[named_on(control)].sendall(b"V")
        assert {greeting(user) for user in held} == {b"A", b"V"}
        # One more of this project finds its place as well.
        since = len(server.lines)
        np.run(url).ready()
        server.ready(since=since)
        assert not server.matches("session with .* ended")


def named_on(control: socket.socket) -> bytes:
    """The connection that the next user's signal names."""
    codec = SignalCodec(KEY)
    with control.makefile("rb") as lines:
        for line in lines:
            signal = codec.decode(line.rstrip())
            if signal.action is Action.TCP:
                return to_bytes(signal.id)
    message = "the control channel has ended"
    raise EOFError(message)
