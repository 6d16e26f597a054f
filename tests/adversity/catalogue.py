"""Every fault by its name: whom it hits, what may come of it, and in what words an operator learns of it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from nodepass.config import PoolTransport
from tests.adversity.bounds import LONG_SILENCE, NOT_NOTICED
from tests.adversity.chaos import TcpTroubles
from tests.adversity.faults import (
    NO_TARGET,
    SPOILT,
    absent_target,
    counted_at,
    freeze,
    freeze_each,
    hold,
    kill,
    kill_each,
    move,
    reset,
    silence,
    spoil_datagrams,
    take_port,
    trouble,
)
from tests.adversity.scene import SEVERAL
from tests.harness import OF_UDP, Harm, Troubles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.adversity.scene import Scene, Setup

DEAD: Final = "ERROR +(Client|Server) error: .*(broke|peer closed|nothing was heard)"
IN_USE: Final = "ERROR .*cannot listen on {} .*in use"
"""Words for an operator."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Args:
        name: what.
        happen: does it, and puts it right.
        harmless: nobody's connection breaks of it.
        breaks: somebody's does for certain: users are under way all the time.
        where: the way that it happens on.
        harms: what it does to something there.
        target: whether there is a target when it begins.
        udp_only: it happens to datagrams of QUIC.
        killed: processes whose connections the system ends for them, which nobody can tell from a proper end.
        query: parameters of both ends' URLs.
        several: the end that is several processes.
        told: what some end's log says of it: a pattern. Nothing, where nobody is there to tell, or nobody need notice.
    """

    name: str
    happen: Callable[[Scene], None]
    harmless: bool = False
    breaks: bool = False
    where: str = ""
    harms: Sequence[Harm] = ()
    target: bool = True
    udp_only: bool = False
    killed: Sequence[str] = ()
    query: str = "log=info"
    several: str = ""
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

    def missed(self, scene: Scene) -> list[Harm]:
        """What it should have done to something, and did to nothing."""
        return [harm for harm in self.harms if not all(counts[harm] for counts in counted_at(scene, self.where, harm))]

    def suits(self, setup: Setup) -> bool:
        """Whether it can happen to such a tunnel. A server of several processes takes no QUIC, and dials no HTTP/2.

        Where there is QUIC, no TCP connection is left between the two ends once they have shaken hands.
        """
        if self.udp_only:
            return setup.transport is PoolTransport.QUIC
        if self.where == "middle" and not OF_UDP.issuperset(self.harms) and setup.transport is PoolTransport.QUIC:
            return False
        refused = [PoolTransport.QUIC, *([PoolTransport.HTTP2] if setup.flow == "forward" else [])]
        return self.several != "server" or setup.transport not in refused


ENDS: Final = ("server", "client")
PROCESSES: Final = (*ENDS, "target")
ORDERS: Final = [order for size in (2, 3) for order in itertools.permutations(PROCESSES, size)]
WAYS: Final = ("near", "middle", "far")

FAULTS: Final = (
    *(
        Fault(
            f"kill -9 {name}",
            partial(kill, names=(name,)),
            breaks=True,
            killed=(name,),
            told="" if name == "target" else DEAD,
        )
        for name in PROCESSES
    ),
    *(
        Fault(
            f"kill -9, back as {', '.join(order)}",
            partial(kill, names=order),
            breaks=True,
            killed=order,
            # Where both ends die, nobody is there to tell.
            told="" if set(ENDS) <= set(order) else DEAD,
        )
        for order in ORDERS
    ),
    *(Fault(f"SIGSTOP {name}, short", partial(freeze, name=name, seconds=NOT_NOTICED)) for name in PROCESSES),
    *(
        Fault(
            f"SIGSTOP {name}, long",
            partial(freeze, name=name, seconds=LONG_SILENCE),
            breaks=name != "target",
            told="" if name == "target" else DEAD,
        )
        for name in PROCESSES
    ),
    *(
        Fault(
            f"kill -9 each of the {name}'s processes",
            partial(kill_each, name=name),
            breaks=True,
            killed=(name,),
            several=name,
            told=f"WARN .*Process . of {SEVERAL} ended with -9: another takes its place",
        )
        for name in ENDS
    ),
    *(
        Fault(
            f"SIGSTOP each of the {name}'s processes",
            partial(freeze_each, name=name, seconds=LONG_SILENCE),
            breaks=True,
            several=name,
            told=DEAD,
        )
        for name in ENDS
    ),
    *(
        Fault(
            f"tunnel port taken, {protocol}",
            partial(take_port, protocol=protocol),
            breaks=True,
            udp_only=protocol == "UDP",
            killed=("server",),
            told=IN_USE.format(protocol),
        )
        for protocol in ("TCP", "UDP")
    ),
    Fault("target absent", absent_target, breaks=True, target=False, told=NO_TARGET),
    *(
        Fault(
            f"{what} at {where}",
            partial(trouble, where=where, troubles=troubles, harm=harm),
            harmless=not troubles.lose,
            breaks=troubles.lose,
            where=where,
            harms=(harm,),
        )
        for where in WAYS
        for what, troubles, harm in (
            ("delay", TcpTroubles(delay=0.03), Harm.DELAYED),
            ("single bytes", TcpTroubles(drip=True), Harm.DRIPPED),
            ("lost connections", TcpTroubles(lose=True), Harm.TURNED_AWAY),
        )
    ),
    *(
        Fault(f"resets at {where}", partial(reset, where=where), breaks=True, where=where, harms=(Harm.RESET,))
        for where in WAYS
    ),
    Fault(
        "black hole at middle",
        partial(silence, where="middle", seconds=LONG_SILENCE),
        breaks=True,
        where="middle",
        harms=(Harm.SWALLOWED,),
        told=DEAD,
    ),
    # Nobody can tell these from people who are silent; `read` says how long they may be.
    *(
        Fault(
            f"black hole at {where}",
            partial(silence, where=where, seconds=LONG_SILENCE),
            breaks=True,
            where=where,
            harms=(Harm.SWALLOWED,),
            query="log=info&read=1s",
        )
        for where in ("near", "far")
    ),
    *(
        Fault(f"standstill at {where}", partial(hold, where=where), harmless=True, where=where, harms=(Harm.HELD,))
        for where in WAYS
    ),
    *(
        Fault(
            f"datagrams lost, repeated, swapped at {where}",
            partial(spoil_datagrams, where=where, troubles=Troubles(0.05, 0.05, 0.1)),
            harmless=True,
            where=where,
            harms=SPOILT,
            udp_only=where == "middle",
        )
        for where in WAYS
    ),
    Fault("a NAT forgets", move, harmless=True, where="middle", harms=(Harm.MOVED,), udp_only=True),
)
