"""`python -m tests.adversity --soak`: mixed traffic for minutes, with a restart every so often, and a verdict.

Two ends, a target, users over TCP and UDP whose every byte is known. In turn server, client and target are killed and
started again; each time service must be back. In the end every connection is accounted for on both sides, what the two ends
counted of a stretch without restarts is what was sent in it, and an end that ran on has not grown.
"""

from __future__ import annotations

import io
import itertools
import time
from contextlib import closing, redirect_stdout
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nodepass.config import PoolTransport
from tests.adversity.bounds import COOLDOWN, ENV, HANDSHAKE_TIMEOUT, NOTICED, PATIENT
from tests.adversity.catalogue import PROCESSES
from tests.adversity.content import HEAD_SIZE, TRAILER_SIZE
from tests.adversity.faults import kill
from tests.adversity.scene import Scene, Setup
from tests.adversity.table import Row, keep
from tests.adversity.traffic import Outcome
from tests.harness import Runner

if TYPE_CHECKING:
    from tests.harness import NodePass

MEGABYTE: Final = 1 << 20
GROWTH: Final = 3 * MEGABYTE
"""What an end may grow by in the last two thirds of a part: in the first, the allocator finds how much it needs at a time.

1.2 MB at most were measured, in 16 seconds with a hundred users a second, and nearly nothing in the last ten of them.
"""

SPARE: Final = 12
"""Descriptors that may be there one time and not another."""

WITHIN: Final = COOLDOWN + 1 + HANDSHAKE_TIMEOUT
SETUPS: Final = (
    Setup(PoolTransport.TCP, 1),
    Setup(PoolTransport.QUIC, 1),
    Setup(PoolTransport.WEBSOCKET, 1),
    Setup(PoolTransport.HTTP2, 1),
    Setup(PoolTransport.TCP, 0, "forward", "single"),
)


@dataclass(frozen=True)
class Size:
    """How large a process is.

    Args:
        memory: bytes.
        descriptors: files and sockets, but for those of idle connections where each user has one: that pool follows demand.
    """

    memory: int
    descriptors: int

    @classmethod
    def of(cls, process: NodePass, setup: Setup) -> Size:
        """That of one."""
        idle = int(process.checkpoint()["POOL"]) if setup.pool == "single" else 0
        return cls(process.rss(), process.descriptors() - idle)


def soak(seconds: float, every: float) -> list[str]:
    """Run it, an equal part over each kind of tunnel; gives what was found, nothing where all is well."""
    found = []
    for setup in SETUPS:
        for restarted in ((), PROCESSES):
            part = seconds / len(SETUPS) / 2
            # In each part there is time for everybody's turn.
            pause = min(every, part / (len(PROCESSES) + 1))
            logs = io.StringIO()
            try:
                with redirect_stdout(logs), closing(Runner()) as runner:
                    one_tunnel(runner, setup, part, pause, restarted)
            except Exception as error:  # noqa: BLE001 - whatever it is, the other parts have their turn
                print(logs.getvalue())
                found.append(f"{setup} {'with' if restarted else 'without'} restarts: {error!r}")
    return found


def one_tunnel(runner: Runner, setup: Setup, seconds: float, every: float, restarted: tuple[str, ...]) -> None:
    """Traffic through one tunnel for so long.

    Raises:
        AssertionError: something was lost, or has grown.
    """
    # Where nothing goes wrong, an end that the machine kept waiting must not seem dead.
    with Scene(runner, setup, env=ENV if restarted else PATIENT) as scene:
        scene.warm_up()
        end, turns = time.monotonic() + seconds, itertools.cycle(restarted)
        worst, grown = 0.0, 0
        if restarted:
            while time.monotonic() + every < end:
                time.sleep(every)
                kill(scene, (next(turns),))
                worst = max(worst, scene.back_after(time.monotonic(), WITHIN + 10))
                assert worst < WITHIN, f"back after {worst:.2f} s only"
        else:
            time.sleep(seconds / 3)
            before = [Size.of(process, setup) for process in scene.ends]
            time.sleep(max(0.0, end - time.monotonic()))
            grown = growth(scene, before)
            assert grown < GROWTH, f"an end has grown by {grown} bytes"
        scene.settle(NOTICED + 10)
        outcomes = scene.traffic.outcomes()
        if not restarted:
            assert set(outcomes) == {Outcome.WHOLE}, f"without a fault: {outcomes}"
            assert_counted(scene)
        broken = outcomes[Outcome.BROKEN] + outcomes[Outcome.CUT]
        name = f"soak {setup}{', restarts' if restarted else ''}"
        verified = scene.traffic.verified + scene.datagrams.verified
        keep(Row(name, worst, verified, outcomes[Outcome.WHOLE], broken, scene.twice, grown=grown))


def growth(scene: Scene, before: list[Size]) -> int:
    """By how many bytes that end has grown which has done so more; neither has more descriptors than it had."""
    grown = []
    for process, then in zip(scene.ends, before, strict=True):
        now = Size.of(process, scene.setup)
        grown.append(now.memory - then.memory)
        assert now.descriptors <= then.descriptors + SPARE, f"{process.name} has grown from {then} to {now}"
    return max(grown)


def assert_counted(scene: Scene) -> None:
    """The ends have counted exactly what users sent and got."""
    heads = [record.head for record in scene.traffic.records.values()]
    up = sum(HEAD_SIZE + head.up for head in heads)
    down = sum(TRAILER_SIZE + head.down for head in heads)
    ingress, egress = (scene.server, scene.client) if scene.ingress == "server" else (scene.client, scene.server)
    for process, (received, sent) in ((ingress, (up, down)), (egress, (down, up))):
        counted = process.checkpoint(having=r"TCPS=0\|UDPS=0\|")
        found = int(counted["TCPRX"]), int(counted["TCPTX"])
        assert found == (received, sent), f"{process.name} counted {found}, and {received, sent} were sent"
        echoed = scene.datagrams.verified
        assert int(counted["UDPRX"]) == int(counted["UDPTX"]) == echoed, f"{process.name}: {counted}, of {echoed} bytes"
