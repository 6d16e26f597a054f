"""The faults: each does something to a scene and puts it right again, while users come.

A fault returns when it is over.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from typing import TYPE_CHECKING, Final

from tests.adversity.bounds import NOT_NOTICED
from tests.adversity.chaos import CLEAR
from tests.adversity.scene import SEVERAL
from tests.harness import Troubles, workers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.adversity.chaos import Chaos, TcpTroubles
    from tests.adversity.scene import Scene
    from tests.harness import Process, UdpWay

NO_TARGET: Final = r"ERROR +No target for the user at [\d.:]+: cannot connect"
"""An operator's word of it."""

WHILE: Final = 0.5
"""Seconds that a trouble lasts."""


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
    last(seconds)
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
        last(seconds)
        os.kill(pid, signal.SIGCONT)


def last(seconds: float) -> None:
    """Let what is wrong be wrong for so long: time is the only thing that makes it so."""
    time.sleep(seconds)


def take_port(scene: Scene) -> None:
    """The server dies, and its tunnel port is somebody else's until it has tried in vain."""
    scene.server.kill()
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", scene.port))
        squatter.listen()
        scene.start_server()
        scene.server.wait_for("cannot listen on TCP")
        scene.server.wait_for("Server restart")


def absent_target(scene: Scene) -> None:
    """There has been no target since the start, and users have come."""
    egress = scene.client if scene.ingress == "server" else scene.server
    egress.wait_for(NO_TARGET)
    last(WHILE)
    scene.start_target()


def trouble(scene: Scene, where: str, troubles: TcpTroubles) -> None:
    """Troubles on one of the ways, for a while."""
    way, datagrams = way_of(scene, where), udp_way_of(scene, where)
    way.troubles = troubles
    if datagrams is not None:
        datagrams.troubles = Troubles(delay=troubles.delay)
    last(WHILE)
    way.troubles = CLEAR
    if datagrams is not None:
        datagrams.troubles = Troubles()


def reset(scene: Scene, where: str) -> None:
    """All connections of a way break, three times."""
    for _ in range(3):
        way_of(scene, where).reset_all()
        last(WHILE / 5)


def silence(scene: Scene, where: str, seconds: float) -> None:
    """A way swallows everything, and closes nothing; users and targets give up what they had on it."""
    datagrams = udp_way_of(scene, where)
    way_of(scene, where).fall_silent()
    if datagrams is not None:
        datagrams.silent = True
    last(seconds)
    if where != "middle":
        # Who waits at the far side of it is not ours to tell.
        way_of(scene, where).give_up(near=where == "near")
    way_of(scene, where).speak()
    if datagrams is not None:
        datagrams.silent = False


def hold(scene: Scene, where: str) -> None:
    """A way stands still, and goes on where it was, before anybody gives it up."""
    datagrams = udp_way_of(scene, where)
    way_of(scene, where).hold()
    if datagrams is not None:
        datagrams.held = True
    last(NOT_NOTICED)
    if datagrams is not None:
        datagrams.held = False
    way_of(scene, where).go_on()


def spoil_datagrams(scene: Scene, where: str, troubles: Troubles) -> None:
    """Datagrams, users' or those of QUIC, are lost, repeated and swapped."""
    datagrams = udp_way_of(scene, where)
    assert datagrams is not None
    datagrams.troubles = troubles
    last(2 * WHILE)
    datagrams.troubles = Troubles()


def move(scene: Scene) -> None:
    """The client's port is another one all of a sudden, three times, as behind a NAT that forgets."""
    assert scene.middle_udp is not None
    for _ in range(3):
        scene.middle_udp.move()
        last(WHILE / 2)


def way_of(scene: Scene, where: str) -> Chaos:
    """One of the three ways."""
    return {"near": scene.near, "middle": scene.middle, "far": scene.far}[where]


def udp_way_of(scene: Scene, where: str) -> UdpWay | None:
    """The same for datagrams; between the two ends there is one where QUIC goes."""
    return {"near": scene.near_udp, "middle": scene.middle_udp, "far": scene.far_udp}[where]
