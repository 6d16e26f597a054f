"""`lbs`: how several targets share the users, and what happens when one is down."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack

import pytest

from tests.harness import (
    Echo,
    Runner,
    Tunnel,
    UdpEcho,
    connect,
    free_port,
    read_exactly,
    turned_away,
    udp_socket,
    unanswering,
)

NAMES = (b"A", b"B", b"C")
ENDS = ["egress", "single"]


class Trio:
    """Three targets that tell their names."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.ports = [free_port() for _ in NAMES]
        self.targets = [self.start(index) for index in range(len(NAMES))]

    def start(self, index: int) -> Echo:
        """Start one, anew."""
        return self._stack.enter_context(Echo(self.ports[index], greeting=NAMES[index]))

    @property
    def to(self) -> str:
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)


def of(tunnel: Tunnel) -> bytes:
    """The name of the target that serves one user."""
    with connect(tunnel.users) as user:
        return read_exactly(user, 1)


@pytest.mark.parametrize("end", ENDS)
def test_round_robin(np: Runner, end: str) -> None:
    with ExitStack() as stack:
        trio = Trio(stack)
        tunnel = np.at(end, "lbs=0", to=trio.to)
        assert Counter(of(tunnel) for _ in range(9)) == dict.fromkeys(NAMES, 3)


@pytest.mark.parametrize("lbs", [0, 1, 2])
@pytest.mark.parametrize("end", ENDS)
def test_failing_over_loses_no_user(np: Runner, end: str, lbs: int) -> None:
    with ExitStack() as stack:
        trio = Trio(stack)
        tunnel = np.at(end, f"lbs={lbs}", to=trio.to, env={"NP_REPORT_INTERVAL": "1h"})
        trio.targets[0].stop()
        assert {of(tunnel) for _ in range(6)} <= {b"B", b"C"}
        trio.targets[1].stop()
        assert {of(tunnel) for _ in range(6)} == {b"C"}
        trio.targets[2].stop()
        assert turned_away(tunnel.users)
        trio.start(0)
        assert {of(tunnel) for _ in range(3)} == {b"A"}


@pytest.mark.parametrize("end", ENDS)
def test_lowest_latency(np: Runner, end: str) -> None:
    with ExitStack() as stack:
        slow = unanswering(stack)
        quick = stack.enter_context(Echo(greeting=b"Q"))
        env = {"NP_TCP_DIAL_TIMEOUT": "500ms", "NP_REPORT_INTERVAL": "1s"}
        tunnel = np.at(end, "lbs=1", to=f"127.0.0.1:{slow},127.0.0.1:{quick.port}", env=env)
        # The second is probed after the first, so by then both have been measured.
        quick.peers.get(timeout=10)
        since = len(tunnel.egress.lines)
        assert [of(tunnel) for _ in range(5)] == [b"Q"] * 5
        assert not [line for line in tunnel.egress.lines[since:] if "trying the next" in line]


def test_round_robin_waits_for_the_slow_one(np: Runner) -> None:
    with ExitStack() as stack:
        slow = unanswering(stack)
        quick = stack.enter_context(Echo(greeting=b"Q"))
        env = {"NP_TCP_DIAL_TIMEOUT": "300ms"}
        tunnel = np.tunnel(egress="lbs=0", to=f"127.0.0.1:{slow},127.0.0.1:{quick.port}", env=env)
        assert [of(tunnel) for _ in range(2)] == [b"Q"] * 2
        tunnel.egress.wait_for(f"Target 127.0.0.1:{slow}: .*no answer in time; trying the next")


@pytest.mark.parametrize("end", ENDS)
def test_primary_serves_all_and_comes_back(np: Runner, end: str) -> None:
    with ExitStack() as stack:
        trio = Trio(stack)
        tunnel = np.at(end, "lbs=2", to=trio.to, env={"NP_FALLBACK_INTERVAL": "1s"})
        assert {of(tunnel) for _ in range(4)} == {b"A"}
        trio.targets[0].stop()
        assert of(tunnel) == b"B"
        trio.start(0)
        # Whoever comes within the interval stays with the backup; the time of the first that does not is not ours.
        names = [of(tunnel)]
        while names[-1] == b"B" and len(names) < 20_000:
            names.append(of(tunnel))
        assert names[-1] == b"A"
        assert names[0] == b"B"


@pytest.mark.parametrize("end", ENDS)
def test_backup_serves_until_the_fallback_interval_is_over(np: Runner, end: str) -> None:
    with ExitStack() as stack:
        trio = Trio(stack)
        tunnel = np.at(end, "lbs=2", to=trio.to, env={"NP_FALLBACK_INTERVAL": "1h"})
        trio.targets[0].stop()
        assert of(tunnel) == b"B"
        trio.start(0)
        assert {of(tunnel) for _ in range(6)} == {b"B"}
        trio.targets[1].stop()
        assert {of(tunnel) for _ in range(3)} == {b"C"}


@pytest.mark.parametrize("end", ENDS)
def test_udp_tells_when_no_target_is_left(np: Runner, end: str) -> None:
    first, last = free_port(), free_port()
    tunnel = np.at(end, "lbs=2", to=f"127.0.0.1:{first},127.0.0.1:{last}")
    with udp_socket(tunnel.users) as user:
        user.send(b"hello")
        tunnel.egress.wait_for(
            rf"ERROR .*No target for the user at \S+: cannot send to 127.0.0.1:{last}: Connection refused"
        )


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("lbs", [0, 2])
def test_udp_fails_over_while_nothing_answered(np: Runner, end: str, lbs: int) -> None:
    dead = free_port()
    with UdpEcho(greeting=b"B") as backup:
        tunnel = np.at(end, f"lbs={lbs}", to=f"127.0.0.1:{dead},127.0.0.1:{backup.port}")
        for _ in range(2):
            with udp_socket(tunnel.users) as user:
                user.send(b"hello")
                assert user.recv(100) == b"Bhello"


def test_end_that_binds_takes_the_first_target(np: Runner) -> None:
    # The server's list is of places to bind: the first counts, and nothing is dialled there.
    with Echo(greeting=b"T") as target:
        first, second, port = free_port(), free_port(), free_port()
        np.run(f"server://k@127.0.0.1:{port}/127.0.0.1:{first},127.0.0.1:{second}?mode=1").listening()
        np.run(f"client://k@127.0.0.1:{port}/127.0.0.1:{target.port}?mode=2").ready()
        with connect(first) as user:
            assert read_exactly(user, 1) == b"T"
        with pytest.raises(ConnectionRefusedError):
            connect(second)
