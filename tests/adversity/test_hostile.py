"""Hostile input on every port of a tunnel, while users come and go: none of them notices, and no process grows."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import pytest

from nodepass.config import PoolTransport
from tests.adversity import strangers
from tests.adversity.abuse import ABUSES
from tests.adversity.bounds import PATIENT
from tests.adversity.insider import ENDLESS_LINE, FRAMES, LAUNCHES, LINES, Insider
from tests.adversity.scene import Scene, Setup
from tests.adversity.strangers import Door
from tests.adversity.table import Row, is_long, keep
from tests.adversity.traffic import Outcome
from tests.harness import TIMEOUT, Echo, connect, exchange, free_port, user_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.transport.base import Link
    from tests.harness import Process, Runner

MEGABYTE: Final = 1 << 20
GROWTH: Final = 48 * MEGABYTE
"""What a process may need on top: a thousand strangers with their TLS, and what the allocator keeps of that.

Up to 20 MB were measured in the short form. A line, header or body of 100 MB, of which all get some, is more if gathered.
"""

MANY: Final = 5000 if is_long() else 1200
PER_HANDSHAKE: Final = 64 * 1024

USERS_MEANWHILE: Final = 10
LINE: Final = re.compile(r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) +(.*)")
APART: Final = 0.9
"""Seconds between two lines of one kind: one, less what clocks and timers are rounded by."""

BESIDES: Final = strangers.PLAIN if is_long() else (strangers.random_bytes,)
"""What they say to all ports, and in the short form only to those of two kinds."""

KINDS: Final = {
    Setup(PoolTransport.TCP, 0): (strangers.PLAIN, None),
    Setup(PoolTransport.TCP, 1): (strangers.PLAIN, ()),
    Setup(PoolTransport.QUIC, 1): ((*BESIDES, *strangers.QUIC), None),
    Setup(PoolTransport.WEBSOCKET, 0): ((*BESIDES, *strangers.WEBSOCKET), None),
    Setup(PoolTransport.WEBSOCKET, 1): ((*BESIDES, *strangers.WEBSOCKET), ()),
    Setup(PoolTransport.HTTP2, 1): ((*BESIDES, *strangers.HTTP2), ("h2",)),
}
"""For each kind of tunnel, what strangers say to its port, and what TLS they speak."""

RESETS: Final = 1000 if is_long() else 60


class Watch:
    """What a process was like before, and what of it must not change.

    Args:
        process: which.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self._memory = process.rss()
        process.reset_peak()
        self._lines = len(process.lines)
        self._begun = time.monotonic()

    def assert_unmoved(self, growth: int = GROWTH, sessions: int = 0) -> None:
        """It is alive, has never been much larger, and has not written two lines of one kind within a second.

        Args:
            growth: bytes that it may need.
            sessions: how many began in between: what is told of each may come at once.
        """
        assert self._process.is_running
        grown = self._process.rss() - self._memory
        # What is gathered and let go again is seen in this alone.
        most = self._process.peak() - self._memory
        seconds = time.monotonic() - self._begun
        kinds = kinds_of(self._process.lines[self._lines :])
        counts = {kind: len(times) for kind, times in kinds.items()}
        print(f"{self._process.name}: {grown / MEGABYTE:+.1f} MB, {most / MEGABYTE:+.1f} at most, in {seconds:.1f} s")
        print(*counts.items(), sep="\n")
        assert most < growth
        floods = {kind: counts[kind] for kind, times in kinds.items() if close(times) > sessions}
        assert floods == {}


def kinds_of(lines: list[str]) -> dict[str, list[float]]:
    """When each kind of line was written: a line without what differs. CHECK_POINTs are asked for."""
    found = defaultdict(list)
    for line in lines:
        if "CHECK_POINT" not in line and (match := LINE.match(line)):
            kind = re.sub(r"\[[^]]*\]|'[^']*'|[\d.]+|: .*", "#", match[2])
            found[kind].append(datetime.fromisoformat(match[1]).timestamp())
    return found


def close(times: list[float]) -> int:
    """How many lines came within a second of the one before."""
    return sum(later - earlier < APART for earlier, later in pairwise(times))


def unmoved(scene: Scene, watches: list[Watch], name: str, sessions: int = 0) -> None:
    """Users of now are served, those of before were, and the processes are as they were."""
    scene.traffic.wait_for(USERS_MEANWHILE)
    scene.datagrams.first_returned()
    for watch in watches:
        watch.assert_unmoved(sessions=sessions)
    scene.settle(TIMEOUT)
    outcomes = scene.traffic.outcomes()
    assert set(outcomes) == {Outcome.WHOLE}, [each.why for each in scene.traffic.records.values() if each.why]
    keep(Row(name, 0, scene.traffic.verified, outcomes[Outcome.WHOLE], 0))


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("setup", KINDS, ids=str)
def test_strangers_at_the_tunnel_port(np: Runner, setup: Setup) -> None:
    attacks, alpn = KINDS[setup]
    with Scene(np, setup, env=PATIENT) as scene:
        scene.warm_up()
        watches = [Watch(scene.server), Watch(scene.client)]
        for attack in attacks:
            for door in (Door(scene.port, None, many=MANY), Door(scene.port, alpn, source="127.0.0.1", many=MANY // 2)):
                begun = time.monotonic()
                attack(door)
                print(f"{attack.__name__} {door}: {time.monotonic() - begun:.2f} s")
            scene.traffic.wait_for(3)
        unmoved(scene, watches, "strangers at the tunnel port")


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("flow", ["reverse", "forward"])
def test_strangers_at_the_users_port(np: Runner, flow: str) -> None:
    with Scene(np, Setup(PoolTransport.TCP, 0, flow), f"log=info&proxyin={strangers.STRANGER}", env=PATIENT) as scene:
        scene.warm_up()
        watches = [Watch(scene.server), Watch(scene.client)]
        for attack in strangers.USERS:
            attack(Door(scene.users_port, many=MANY))
            scene.traffic.wait_for(3)
        unmoved(scene, watches, "strangers at the users' port")


@pytest.mark.usefixtures("many_files")
def test_half_a_proxy_header_of_thousands(np: Runner) -> None:
    with Scene(np, Setup(PoolTransport.TCP, 0), f"log=info&proxyin={strangers.STRANGER}", env=PATIENT) as scene:
        scene.warm_up()
        watches = [Watch(scene.server), Watch(scene.client)]
        strangers.false_proxy_headers(Door(scene.users_port, many=MANY))
        unmoved(scene, watches, "half a PROXY header of thousands")


@pytest.mark.usefixtures("many_files")
def test_strangers_at_a_forwarder_that_terminates_tls(np: Runner) -> None:
    """What they say in the clear and half of a TLS handshake are for nobody; what is whole goes to the target."""
    with Echo() as target:
        forwarder = np.forwarder("log=info&tls=1", to=f"127.0.0.1:{target.port}")
        watch = Watch(forwarder.client)
        with user_context().wrap_socket(connect(forwarder.users)) as user:
            for attack in (strangers.random_bytes, strangers.half_tls, strangers.half_handshakes, strangers.huge_headers):
                attack(Door(forwarder.users, None, many=MANY))
                assert exchange(user, b"still here") == b"still here"
            strangers.random_bytes(Door(forwarder.users, ()))
            assert exchange(user, b"to the end") == b"to the end"
        forwarder.client.checkpoint(having=r"TCPS=0\|")
        # Whoever begins TLS may be a user, and has so much until the time for that is over.
        watch.assert_unmoved(GROWTH + MANY * PER_HANDSHAKE)


@pytest.mark.parametrize(
    ("transport", "tls", "pool"),
    [
        (PoolTransport.TCP, 0, "auto"),
        (PoolTransport.WEBSOCKET, 1, "auto"),
        (PoolTransport.TCP, 1, "single"),
        (PoolTransport.QUIC, 1, "auto"),
        (PoolTransport.HTTP2, 1, "auto"),
    ],
)
def test_a_client_that_has_the_key_and_means_harm(np: Runner, transport: PoolTransport, tls: int, pool: str) -> None:
    """It harms its own session; users of another do not notice."""
    shares = pool == "auto" and transport in (PoolTransport.TCP, PoolTransport.WEBSOCKET)
    with Scene(np, Setup(transport, tls, "forward", pool), env=PATIENT) as scene:
        scene.warm_up()
        watches = [Watch(scene.server), Watch(scene.client)]
        words: list[bytes | Callable[[Link], None]] = [*(FRAMES if shares else LAUNCHES), *ABUSES[transport]]
        lines = (*LINES * (20 if is_long() else 1), ENDLESS_LINE)
        with Insider(scene.port, free_port(), words, RESETS, lines) as insider:
            insider.say_all(600)
            assert insider.said == len(words)
            print(f"{insider.said} said, after {insider.ended} of which the connection was ended")
            assert insider.ended
        unmoved(scene, watches, f"a client with the key that means harm, {transport.name.lower()}", insider.sessions)
