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
    absent_target,
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
from tests.harness import Troubles

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.adversity.scene import Scene, Setup

DEAD: Final = "ERROR +(Client|Server) error: .*(broke|peer closed|nothing was heard)"
IN_USE: Final = "ERROR .*cannot listen on TCP .*in use"
"""Words for an operator."""


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
        several: the end that is several processes.
        told: what some end's log says of it: a pattern. Nothing, where nobody is there to tell, or nobody need notice.
    """

    name: str
    happen: Callable[[Scene], None]
    harmless: bool = False
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

    def suits(self, setup: Setup) -> bool:
        """Whether it can happen to such a tunnel. A server of several processes takes no QUIC, and dials no HTTP/2."""
        if self.udp_only:
            return setup.transport is PoolTransport.QUIC
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
            killed=(name,),
            told="" if name == "target" else DEAD,
        )
        for name in PROCESSES
    ),
    *(
        Fault(
            f"kill -9, back as {', '.join(order)}",
            partial(kill, names=order),
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
            told="" if name == "target" else DEAD,
        )
        for name in PROCESSES
    ),
    *(
        Fault(
            f"kill -9 each of the {name}'s processes",
            partial(kill_each, name=name),
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
            several=name,
            told=DEAD,
        )
        for name in ENDS
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
