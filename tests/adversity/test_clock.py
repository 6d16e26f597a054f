"""Clocks that jump by an hour while traffic runs: nobody who is there notices, and sessions begin as security.md says."""

from __future__ import annotations

import itertools
import re
import time
from typing import TYPE_CHECKING, Final

import pytest

from nodepass.config import PoolTransport
from nodepass.protocol.extension import HEADER
from nodepass.tunnel.control import SILENT_INTERVALS
from tests.adversity.bounds import NOTICED, PATIENT, PATIENT_INTERVAL, WITHIN
from tests.adversity.clock import Clock
from tests.adversity.faults import kill
from tests.adversity.scene import Scene, Setup
from tests.adversity.table import Row, is_long, keep
from tests.adversity.test_faults import SETUPS
from tests.adversity.traffic import Outcome
from tests.e2e.test_extension_replay import answer_to
from tests.harness import Echo, Recording, connect, exchange

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import Runner

HOUR: Final = 3600
PATIENCE: Final = 20.0
FOLLOWED: Final = r"The server's clock is ([-+]\d+) s off this machine's"
OFF: Final = r"its time is 3[56]\d\d s off"

Case = tuple[Setup, str, int]


def cases() -> list[Case]:
    """Every kind of tunnel, and whose clock jumps which way in turn; or one."""
    if is_long():
        whose = itertools.cycle(itertools.product(("server", "client", "both"), (1, -1)))
        return [(setup, who, way * HOUR) for setup, (who, way) in zip(SETUPS, whose, strict=False)]
    return [(Setup(PoolTransport.QUIC, 1), "server", -HOUR)]


@pytest.mark.parametrize(("setup", "who", "jump"), cases(), ids=str)
def test_a_clock_that_jumps_is_noticed_by_nobody_who_is_there(
    np: Runner, tmp_path: Path, setup: Setup, who: str, jump: int
) -> None:
    clocks = {name: Clock(tmp_path / name) for name in ("server", "client")}
    jumping = [clocks[name] for name in clocks if who in (name, "both")]
    # An end that the machine kept waiting must not seem dead.
    envs = [{**PATIENT, **clocks[name].env} for name in ("server", "client")]
    with Scene(np, setup, env=envs[0], client_env=envs[1]) as scene:
        scene.warm_up()
        before = [len(process.lines) for process in scene.ends]
        for clock in jumping:
            clock.set(jump)
        scene.warm_up(12)
        for process, since in zip(scene.ends, before, strict=True):
            process.checkpoint()
            process.checkpoint()
            assert not re.search("WARN.*(clock|ended)|ERROR", "\n".join(process.lines[since:]))
        assert set(scene.traffic.outcomes()) <= {Outcome.WHOLE, Outcome.OPEN}
        # A session that begins now, of a client that knows nothing.
        kill(scene, ("client",))
        # It is a Python that has to start first.
        scene.client.wait_for("Client started")
        recovered = scene.back_after(time.monotonic(), PATIENCE)
        off = 0 if who == "both" else jump if who == "server" else -jump
        assert [abs(int(found[1]) - off) < 10 for found in scene.client.matches(FOLLOWED)] == ([True] if off else [])
        assert bool(scene.server.matches(f"Handshake from .* refused: {OFF}")) == bool(off)
        # And one that begins when they have been put right, of a client that has followed the wrong one.
        for clock in jumping:
            clock.set(0)
        scene.warm_up()
        kill(scene, ("server",))
        recovered = max(recovered, scene.back_after(time.monotonic(), PATIENCE))
        scene.settle(NOTICED + PATIENCE)
        outcomes = scene.traffic.outcomes()
        verified, broken = (
            scene.traffic.verified + scene.datagrams.verified,
            outcomes[Outcome.BROKEN] + outcomes[Outcome.CUT],
        )
        keep(Row(f"clock jumps, {who}", recovered, verified, outcomes[Outcome.WHOLE], broken, scene.twice))
        # Over UDP nothing but its silence tells that the other end has died.
        silence = SILENT_INTERVALS * PATIENT_INTERVAL if setup.transport is PoolTransport.QUIC else 0
        assert recovered < WITHIN + silence


def test_a_recorded_handshake_is_worth_nothing_whatever_the_clock_says(np: Runner, tmp_path: Path) -> None:
    """Neither when it is too old or too early for the server's clock, nor when that is right again."""
    clock = Clock(tmp_path / "server")
    with Recording() as wire, Echo() as target:
        tunnel = np.tunnel(via=wire.port, to=f"127.0.0.1:{target.port}", env=clock.env, client_env={}, wait=False)
        wire.to = tunnel.port
        tunnel.client.ready()
        tunnel.server.ready()
        request = bytes(next(each for each in wire.requests if HEADER.encode() in each))
        with connect(tunnel.users) as user:
            for offset, reason in (
                (HOUR, OFF),
                (-HOUR, OFF),
                (0, "it has been used before"),
            ):
                clock.set(offset)
                since = len(tunnel.server.lines)
                assert answer_to(tunnel.port, request).startswith(b"HTTP/1.1 401 ")
                tunnel.server.wait_for(f"Handshake from .* refused: {reason}", since=since)
                assert exchange(user, b"still here") == b"still here"
                # Such lines come once a second at most.
                tunnel.server.checkpoint()
                tunnel.server.checkpoint()
        assert len(tunnel.server.matches("Handshake with .*, proves the key")) == 1
        assert not tunnel.server.matches("session with .* ended")
