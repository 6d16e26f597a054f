"""The faults: each does something to a scene and puts it right again, while users come.

A fault returns when it is over.
"""

from __future__ import annotations

import itertools
import signal
import socket
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from nodepass.config import PoolTransport
from tests.adversity.chaos import CLEAR, TcpTroubles
from tests.adversity.scene import COOLDOWN, NOTICED
from tests.adversity.table import is_long
from tests.harness import Troubles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.adversity.chaos import Chaos
    from tests.adversity.scene import Scene
    from tests.harness import Process, UdpWay

NOT_NOTICED: Final = NOTICED / 3
LONG_SILENCE: Final = NOTICED + 2 * COOLDOWN
"""Both sides have given up and tried again."""

WITHIN: Final = COOLDOWN + 1.0 if is_long() else 20.0
"""Seconds from the end of a fault until users are served again. The short form leaves looking at the clock to the long one:
how long things take beside all other tests says more about the machine.
"""

DEAD: Final = "ERROR +(Client|Server) error: .*(broke|peer closed|nothing was heard)"
NO_TARGET: Final = r"ERROR +No target for the user at [\d.:]+: cannot connect"
IN_USE: Final = "ERROR .*cannot listen on TCP .*in use"
"""Words for an operator."""

WHILE: Final = 0.5
"""Seconds that a trouble lasts."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Args:
        name: what.
        happen: does it, and puts it right.
        harmless: nobody's connection breaks of it.
        target: whether there is a target when it begins.
        udp_only: it happens to datagrams of QUIC.
        killed: processes whose connections the system ends for them, which nobody can tell from a proper end.
        query: parameters of both ends' URLs.
        told: what some end's log says of it: a pattern. Nothing, where nobody is there to tell, or nobody need notice.
    """

    name: str
    happen: Callable[[Scene], None]
    harmless: bool = False
    target: bool = True
    udp_only: bool = False
    killed: Sequence[str] = ()
    query: str = "log=info"
    told: str = ""

    def __str__(self) -> str:
        return self.name.replace(" ", "-")

    @property
    def repeats(self) -> bool:
        """Whether a target may hear the beginning of a connection twice: an end that dies takes along whom it had served.

        The word that a target was reached can get lost with it. The user is then sent another way (`relay/joining`), with
        what it had said so far.
        """
        return bool({"server", "client"} & set(self.killed))

    def suits(self, transport: PoolTransport) -> bool:
        """Whether it can happen to such a tunnel."""
        return not self.udp_only or transport is PoolTransport.QUIC


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


PROCESSES: Final = ("server", "client", "target")
ORDERS: Final = [order for size in (2, 3) for order in itertools.permutations(PROCESSES, size)]
WAYS: Final = ("near", "middle", "far")

FAULTS: Final = (
    *(
        Fault(
            f"kill -9 {name}",
            partial(kill, names=(name,)),
            killed=(name,),
            told="" if name == "target" else DEAD,
        )
        for name in PROCESSES
    ),
    *(Fault(f"kill -9, back as {', '.join(order)}", partial(kill, names=order), killed=order) for order in ORDERS),
    *(Fault(f"SIGSTOP {name}, short", partial(freeze, name=name, seconds=NOT_NOTICED)) for name in PROCESSES),
    *(
        Fault(
            f"SIGSTOP {name}, long",
            partial(freeze, name=name, seconds=LONG_SILENCE),
            told="" if name == "target" else DEAD,
        )
        for name in PROCESSES
    ),
    Fault("tunnel port taken", take_port, killed=("server",), told=IN_USE),
    Fault("target absent", absent_target, target=False, told=NO_TARGET),
    *(
        Fault(f"{what} at {where}", partial(trouble, where=where, troubles=troubles), harmless=harmless)
        for where in WAYS
        for what, troubles, harmless in (
            ("delay", TcpTroubles(delay=0.03), True),
            ("single bytes", TcpTroubles(drip=True), True),
            ("lost connections", TcpTroubles(lose=True), False),
        )
    ),
    *(Fault(f"resets at {where}", partial(reset, where=where)) for where in WAYS),
    Fault("black hole at middle", partial(silence, where="middle", seconds=LONG_SILENCE), told=DEAD),
    # Nobody can tell these from people who are silent; `read` says how long they may be.
    *(
        Fault(
            f"black hole at {where}",
            partial(silence, where=where, seconds=LONG_SILENCE),
            query="log=info&read=1s",
        )
        for where in ("near", "far")
    ),
    *(Fault(f"standstill at {where}", partial(hold, where=where), harmless=True) for where in WAYS),
    *(
        Fault(
            f"datagrams lost, repeated, swapped at {where}",
            partial(spoil_datagrams, where=where, troubles=Troubles(0.05, 0.05, 0.1)),
            harmless=True,
            udp_only=where == "middle",
        )
        for where in WAYS
    ),
    Fault("a NAT forgets", move, harmless=True, udp_only=True),
)
