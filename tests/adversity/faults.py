"""The faults: each does something to a scene and puts it right again, while users come.

A fault returns when it is over.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import psutil

from tests.adversity.bounds import NOT_NOTICED
from tests.adversity.chaos import CLEAR
from tests.adversity.scene import SEVERAL
from tests.harness import OF_TCP, OF_UDP, TIMEOUT, Harm, Troubles, workers

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Sequence

    from tests.adversity.chaos import Chaos, TcpTroubles
    from tests.adversity.scene import Scene
    from tests.harness import Process, UdpWay

NO_TARGET: Final = r"ERROR +No target for the user at [\d.:]+: cannot connect"
"""An operator's word of it."""

WHILE: Final = 0.5
"""Seconds that a trouble lasts."""

SPOILT: Final = (Harm.LOST, Harm.REPEATED, Harm.SWAPPED)


def role(scene: Scene, name: str) -> Process:
    """A process of the scene."""
    return {"server": scene.server, "client": scene.client, "target": scene.targets[-1]}[name]


def start(scene: Scene, name: str) -> None:
    """Start one of them again."""
    {"server": scene.start_server, "client": scene.start_client, "target": scene.start_target}[name]()


def kill(scene: Scene, names: Sequence[str]) -> None:
    """`kill -9` of some, at once; they come back in this order."""
    for name in names:
        role(scene, name).kill()
    for name in names:
        start(scene, name)
        if name == "server":
            scene.server.listening()


def freeze(scene: Scene, name: str, seconds: float) -> None:
    """SIGSTOP and, later, SIGCONT."""
    process = role(scene, name)
    process.send_signal(signal.SIGSTOP)
    last(seconds, lambda: stands_still(process.pid))
    process.send_signal(signal.SIGCONT)


def kill_each(scene: Scene, name: str) -> None:
    """`kill -9` of each of an end's processes, one when another has taken the place of the one before."""
    process = scene.end(name)
    for place in range(1, SEVERAL + 1):
        since = workers.kill(process, place)
        workers.serving(process, SEVERAL, since=since)


def freeze_each(scene: Scene, name: str, seconds: float) -> None:
    """SIGSTOP and, later, SIGCONT of each of an end's processes, one after another."""
    for pid in workers.pids(scene.end(name)).values():
        os.kill(pid, signal.SIGSTOP)
        last(seconds, partial(stands_still, pid))
        os.kill(pid, signal.SIGCONT)


def stands_still(pid: int) -> bool:
    """Whether a process has been stopped."""
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


def last(seconds: float, until: Callable[[], object] | None = None) -> None:
    """Let what is wrong be wrong for so long, as time is the only thing that makes it so, and on until this holds."""
    time.sleep(seconds)
    end = time.monotonic() + TIMEOUT
    while until is not None and not until():
        assert time.monotonic() < end, "it hits nobody"
        time.sleep(0.01)


def strikes(scene: Scene, where: str, *harms: Harm) -> Callable[[], bool]:
    """Gives whether a way has, from now on, done each of these to something."""
    counts = [(harm, counted, counted[harm]) for harm in harms for counted in counted_at(scene, where, harm)]
    return lambda: all(counted[harm] > before for harm, counted, before in counts)


def counted_at(scene: Scene, where: str, harm: Harm) -> list[Counter[Harm]]:
    """The counts of all that can do this: TCP's way, and that of datagrams, by which alone users go where there is QUIC."""
    datagrams = udp_way_of(scene, where) if harm in OF_UDP else None
    quic = where == "middle" and datagrams is not None
    ways = [way_of(scene, where) if harm in OF_TCP and not quic else None, datagrams]
    return [way.harm for way in ways if way is not None]


def take_port(scene: Scene, protocol: str) -> None:
    """The server dies, and its tunnel port of `TCP` or `UDP` is somebody else's until it has tried in vain."""
    scene.server.kill()
    with socket.socket(type=socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM) as squatter:
        if protocol == "TCP":
            squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", scene.port))
        if protocol == "TCP":
            squatter.listen()
        scene.start_server()
        scene.server.wait_for(f"cannot listen on {protocol}")
        scene.server.wait_for("Server restart")


def absent_target(scene: Scene) -> None:
    """There has been no target since the start, and users have come."""
    egress = scene.client if scene.ingress == "server" else scene.server
    egress.wait_for(NO_TARGET)
    last(WHILE)
    scene.start_target()


def trouble(scene: Scene, where: str, troubles: TcpTroubles, harm: Harm) -> None:
    """Troubles on one of the ways, for a while, and until they have done this harm."""
    way, datagrams = way_of(scene, where), udp_way_of(scene, where)
    struck = strikes(scene, where, harm)
    way.troubles = troubles
    if datagrams is not None:
        datagrams.troubles = Troubles(delay=troubles.delay)
    if where == "middle" and troubles.lose:
        # What is connected there stays so, and nobody comes who could be turned away.
        way.reset_all()
    last(WHILE, struck)
    way.troubles = CLEAR
    if datagrams is not None:
        datagrams.troubles = Troubles()


def reset(scene: Scene, where: str) -> None:
    """All connections of a way break, three times."""
    for _ in range(3):
        last(WHILE / 5, way_of(scene, where).reset_all)


def silence(scene: Scene, where: str, seconds: float) -> None:
    """A way swallows everything, and closes nothing; users and targets give up what they had on it."""
    datagrams = udp_way_of(scene, where)
    struck = strikes(scene, where, Harm.SWALLOWED)
    way_of(scene, where).fall_silent()
    if datagrams is not None:
        datagrams.silent = True
    last(seconds, struck)
    if where != "middle":
        # Who waits at the far side of it is not ours to tell.
        way_of(scene, where).give_up(near=where == "near")
    way_of(scene, where).speak()
    if datagrams is not None:
        datagrams.silent = False


def hold(scene: Scene, where: str) -> None:
    """A way stands still, and goes on where it was, before anybody gives it up."""
    datagrams = udp_way_of(scene, where)
    struck = strikes(scene, where, Harm.HELD)
    way_of(scene, where).hold()
    if datagrams is not None:
        datagrams.held = True
    last(NOT_NOTICED, struck)
    if datagrams is not None:
        datagrams.held = False
    way_of(scene, where).go_on()


def spoil_datagrams(scene: Scene, where: str, troubles: Troubles) -> None:
    """Datagrams, users' or those of QUIC, are lost, repeated and swapped."""
    datagrams = udp_way_of(scene, where)
    assert datagrams is not None
    struck = strikes(scene, where, *SPOILT)
    datagrams.troubles = troubles
    last(2 * WHILE, struck)
    datagrams.troubles = Troubles()


def move(scene: Scene) -> None:
    """The client's port is another one all of a sudden, three times, as behind a NAT that forgets."""
    assert scene.middle_udp is not None
    for _ in range(3):
        scene.middle_udp.move()
        last(WHILE / 2, strikes(scene, "middle", Harm.MOVED))


def way_of(scene: Scene, where: str) -> Chaos:
    """One of the three ways."""
    return {"near": scene.near, "middle": scene.middle, "far": scene.far}[where]


def udp_way_of(scene: Scene, where: str) -> UdpWay | None:
    """The same for datagrams; between the two ends there is one where QUIC goes."""
    return {"near": scene.near_udp, "middle": scene.middle_udp, "far": scene.far_udp}[where]
