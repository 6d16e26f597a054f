"""Limits of the system and of patience: descriptors that run out, a full queue, thousands who stand still."""

from __future__ import annotations

import signal
import socket
import struct
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final

import pytest

from nodepass.config import PoolTransport
from tests.adversity.bounds import PATIENT
from tests.adversity.content import ENDLESS, NEVER_READ, SMALL, Head
from tests.adversity.scene import Scene, Setup
from tests.adversity.table import Row, is_long, keep
from tests.adversity.traffic import Outcome
from tests.harness import KEY, TIMEOUT, Echo, connect, echoed, ended, exchange, free_port, unanswering

if TYPE_CHECKING:
    from tests.harness import Runner

MEGABYTE: Final = 1 << 20
FIRST_STILL: Final = 1 << 40
"""Their numbers, apart from those of the users who are served."""

FEW: Final = 256
STALLED: Final = 2000 if is_long() else 100
SHARED: Final = 96 * MEGABYTE
PER_STALLED: Final = 400 * 1024
"""Bytes of memory of one end that connections which stand still may take: windows that have grown, which come out of one
budget, and what each has at least.
"""

AT_ONCE: Final = 50
FILLS: Final = 20
PATIENCE: Final = 60.0
"""Seconds for users who are served beside so many; what these have sent and not had read is a gigabyte in all."""

FLAT: Final = 16 * MEGABYTE
"""Bytes by which an end may still grow once nothing is taken any more, for the users who are served meanwhile."""

BACKLOG: Final = 4096
"""Connections that wait to be accepted (`nodepass.net.listen`), where the system lets as many wait."""

SETUPS: Final = [
    Setup(PoolTransport.TCP, 0),
    Setup(PoolTransport.QUIC, 1),
    Setup(PoolTransport.WEBSOCKET, 1),
    Setup(PoolTransport.HTTP2, 1),
    Setup(PoolTransport.TCP, 1, "forward", "single"),
][: None if is_long() else 1]


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("limited", ["server", "client"])
@pytest.mark.parametrize(
    ("transport", "pool"),
    [
        (PoolTransport.TCP, "single"),
        (PoolTransport.TCP, "auto"),
        (PoolTransport.QUIC, "auto"),
        (PoolTransport.WEBSOCKET, "single"),
        (PoolTransport.WEBSOCKET, "auto"),
        (PoolTransport.HTTP2, "auto"),
    ][: None if is_long() else 1],
)
def test_descriptors_run_out_and_come_back(np: Runner, limited: str, transport: PoolTransport, pool: str) -> None:
    """More users than one end has descriptors for: who is in goes on, who is not is told, and later all are served."""
    port, users = free_port(), free_port()
    few: dict[str, Any] = {"prefix": ("bash", "-c", f'ulimit -n {FEW}; exec "$@"', "few")}
    common = f"log=info&pool={pool}"
    with Echo() as target, ExitStack() as stack:
        server = np.run(
            f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{users}?mode=1&type={transport}&{common}",
            **(few if limited == "server" else {}),
        ).listening()
        client = np.run(
            f"client://{KEY}@127.0.0.1:{port}/127.0.0.1:{target.port}?mode=2&min=4&{common}",
            **(few if limited == "client" else {}),
        ).ready()
        server.ready()
        first = stack.enter_context(connect(users))
        assert exchange(first, b"first") == b"first"
        crowd, served = [], 0
        for _ in range(FEW + 150):
            with suppress(OSError):
                user = stack.enter_context(connect(users, timeout=TIMEOUT))
                user.send(b"?")
                crowd.append(user)
        limit = server if limited == "server" else client
        limit.wait_for("Too many open files|descriptors")
        assert exchange(first, b"still") == b"still"
        for user in crowd:
            user.close()
        crowd.clear()
        end = time.monotonic() + TIMEOUT
        while served < 3 and time.monotonic() < end:
            with suppress(OSError, EOFError):
                served = served + 1 if echoed(users, 100) else 0
        assert served == 3
        assert exchange(first, b"to the end") == b"to the end"
        assert len(limit.matches("Too many open files|descriptors")) < 40
        assert not server.matches("session with .* ended")


@pytest.mark.parametrize("flow", ["reverse", "forward"])
def test_a_target_whose_queue_is_full_costs_nobody_more_than_the_time_to_dial(np: Runner, flow: str) -> None:
    """Nobody accepts there: users go on to the next target, and where there is none, they are told."""
    env = {"NP_TCP_DIAL_TIMEOUT": "500ms"}
    with ExitStack() as stack:
        full, other = unanswering(stack), stack.enter_context(Echo())
        tunnel = np.tunnel(flow, to=f"127.0.0.1:{full},127.0.0.1:{other.port}", env=env)
        users = [stack.enter_context(connect(tunnel.users)) for _ in range(30)]
        for user in users:
            assert exchange(user, b"served") == b"served"
            user.close()
        other.stop()
        for user in [stack.enter_context(connect(tunnel.users)) for _ in range(30)]:
            assert ended(user)
        tunnel.ingress.checkpoint(having=r"TCPS=0\|")
        assert len(tunnel.egress.matches("WARN|ERROR")) < 20


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("flow", ["reverse", "forward"])
def test_a_full_queue_of_users_is_worked_off(np: Runner, flow: str) -> None:
    """The ingress stands still until no more can wait to be accepted; then those who do are served, and the next."""
    tunnel = np.tunnel(flow, both="log=info", env={"NP_REPORT_INTERVAL": "10s"})
    with Echo(tunnel.target), ExitStack() as stack:
        assert echoed(tunnel.users, 1000)
        tunnel.ingress.send_signal(signal.SIGSTOP)
        stack.callback(tunnel.ingress.send_signal, signal.SIGCONT)
        waiting = []
        # One more than can wait is not even told so; its request to connect is dropped.
        for _ in range(2 * BACKLOG):
            with suppress(OSError):
                waiting.append(stack.enter_context(connect(tunnel.users, timeout=0.2)))
                continue
            break
        assert len(waiting) > 100
        tunnel.ingress.send_signal(signal.SIGCONT)
        for user in waiting[:: len(waiting) // 50]:
            user.settimeout(TIMEOUT)
            assert exchange(user, b"served at last") == b"served at last"
        assert echoed(tunnel.users, 1000)
        assert not tunnel.server.matches("session with .* ended")


@pytest.mark.usefixtures("many_files", *(["tcp_memory"] if is_long() else []))
@pytest.mark.parametrize("setup", SETUPS, ids=str)
def test_thousands_who_stand_still_cost_little_and_nobody_else(np: Runner, setup: Setup) -> None:
    """Half of them do not read what the target sends, half have a target that does not read what they send."""
    with Scene(np, setup, env=PATIENT, direct=True) as scene, ExitStack() as stack:
        scene.warm_up()
        before = {process.name: process.rss() for process in (scene.server, scene.client)}
        still: list[socket.socket] = []
        while len(still) < STALLED:
            still += [stack.enter_context(stalled(scene, len(still) + more)) for more in range(AT_ONCE)]
            # Others are served all the while.
            scene.traffic.wait_for(1, PATIENCE)
        filled = fill(still[::2])
        grown = [grown_since(before, scene)]
        for _ in range(FILLS):
            scene.traffic.wait_for(10, PATIENCE)
            filled += fill(still[::2])
            grown.append(grown_since(before, scene))
            if all(grown[-1][name] - grown[-2][name] < MEGABYTE for name in before):
                break
        full = grown[-1]
        scene.traffic.wait_for(20, PATIENCE)
        filled += fill(still[::2])
        grown.append(grown_since(before, scene))
        for name in before:
            each = [round(growth[name] / STALLED / 1024) for growth in grown]
            print(f"{name}: {each} KiB for each of {STALLED}; {filled / MEGABYTE:.0f} MB sent")
            assert grown[-1][name] < SHARED + STALLED * PER_STALLED
            assert grown[-1][name] - full[name] < FLAT, "it grows on after the fill"
        stack.close()
        scene.settle(TIMEOUT)
        outcomes = scene.traffic.outcomes()
        assert set(outcomes) == {Outcome.WHOLE}, [each.why for each in scene.traffic.records.values() if each.why]
        most = max(grown[-1].values()) // STALLED
        keep(Row(f"{STALLED} stand still, {setup}", 0, scene.traffic.verified, outcomes[Outcome.WHOLE], 0, memory=most))


def stalled(scene: Scene, number: int) -> socket.socket:
    """A user who reads nothing, or one whose target reads nothing."""
    user = connect(scene.users_port)
    # They break in the end: a target that does not read would keep what has been sent for as long as it lives.
    user.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    for buffer in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        user.setsockopt(socket.SOL_SOCKET, buffer, SMALL)
    head = Head(FIRST_STILL + number, 0, ENDLESS) if number % 2 else Head(FIRST_STILL + number, NEVER_READ, 0)
    user.sendall(head.pack())
    user.setblocking(False)
    return user


def fill(users: list[socket.socket]) -> int:
    """Send as much as is taken, until nothing is any more; gives how many bytes that was."""
    total, chunk = 0, bytes(1 << 16)
    for user in users:
        with suppress(BlockingIOError):
            while True:
                total += user.send(chunk)
    return total


def grown_since(before: dict[str, int], scene: Scene) -> dict[str, int]:
    """By how many bytes each end has grown."""
    return {process.name: process.rss() - before[process.name] for process in (scene.server, scene.client)}
