"""Faults of a master, its fork server and its instances while traffic runs through these."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import psutil
import pytest

from tests.adversity.bounds import COOLDOWN, HANDSHAKE_TIMEOUT, LONG_SILENCE, NOT_NOTICED, NOTICED, WITHIN
from tests.adversity.content import HEAD_SIZE, TRAILER_SIZE
from tests.adversity.faults import last
from tests.adversity.governed import DRAIN, IMPORTS, NAMES, Governed
from tests.adversity.table import Row, is_long, keep
from tests.adversity.traffic import Outcome
from tests.harness import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

PAUSE: Final = 1.0
"""Seconds that a master waits before it starts again what has crashed for the first time."""

PATIENCE: Final = 20.0


@dataclass(frozen=True)
class MasterFault:
    """Something that goes wrong.

    Args:
        name: what.
        happen: does it, and puts it right.
        ended: processes that are no more when it is over.
        killed: instances whose connections the system ends for them, which nobody can tell from a proper end.
        slack: seconds that users may have to wait beyond the cooldown and a second.
        told: what the log says of it.
        harmless: nobody's connection breaks of it.
        short: whether it is part of the short form.
    """

    name: str
    happen: Callable[[Governed], None]
    ended: Sequence[str] = ()
    killed: Sequence[str] = ()
    slack: float = 0.0
    told: str = ""
    harmless: bool = False
    short: bool = True

    def __str__(self) -> str:
        return self.name.replace(" ", "-")


def kill(stage: Governed, names: Sequence[str]) -> None:
    """`kill -9` of some; where the master is one of them, another is started."""
    processes = stage.processes()
    for name in names:
        processes[name].kill()
    if "master" in names:
        stage.replace_master()


def freeze(stage: Governed, names: Sequence[str], seconds: float) -> None:
    """SIGSTOP and, later, SIGCONT."""
    processes = stage.processes()
    for name in names:
        processes[name].send_signal(signal.SIGSTOP)
    last(seconds)
    for name in names:
        processes[name].send_signal(signal.SIGCONT)


def restart(stage: Governed) -> None:
    """SIGTERM, and another master."""
    assert stage.master.stop() == 0
    stage.start_master()


ALL: Final = ("master", "fork server", *NAMES)
CRASHED: Final = "It starts again in 1 s"

FAULTS: Final = (
    *(
        MasterFault(
            f"kill -9 of a master's {name}",
            partial(kill, names=(name,)),
            (name,),
            (name,),
            PAUSE,
            CRASHED,
            short=name == "client",
        )
        for name in NAMES
    ),
    # A client that is there before its server tries again a cooldown later.
    MasterFault(
        "kill -9 of a master's both instances",
        partial(kill, names=NAMES),
        NAMES,
        NAMES,
        PAUSE + COOLDOWN,
        CRASHED,
        short=False,
    ),
    *(
        MasterFault(
            f"SIGSTOP of a master's {name}, short", partial(freeze, names=(name,), seconds=NOT_NOTICED), short=False
        )
        for name in NAMES
    ),
    *(
        MasterFault(
            f"SIGSTOP of a master's {name}, long",
            partial(freeze, names=(name,), seconds=LONG_SILENCE),
            slack=HANDSHAKE_TIMEOUT,
            told="It has not reported for 3 intervals",
            short=False,
        )
        for name in NAMES
    ),
    MasterFault("SIGSTOP of a master", partial(freeze, names=("master",), seconds=LONG_SILENCE), harmless=True),
    MasterFault(
        "SIGSTOP of a fork server",
        partial(freeze, names=("fork server",), seconds=LONG_SILENCE),
        harmless=True,
        short=False,
    ),
    # Whoever drains has so long, and nothing is started before that.
    MasterFault("kill -9 of a master", partial(kill, names=("master",)), ALL, slack=DRAIN + IMPORTS),
    MasterFault(
        "kill -9 of a fork server",
        partial(kill, names=("fork server",)),
        ("fork server", *NAMES),
        NAMES,
        PAUSE + COOLDOWN + IMPORTS,
        CRASHED,
        short=False,
    ),
    MasterFault("kill -9 of all of a master's", partial(kill, names=ALL), ALL, NAMES, IMPORTS, short=False),
    MasterFault("a master is restarted", restart, ALL, slack=IMPORTS, short=False),
)


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault.short or is_long()], ids=str)
def test_a_fault_of_a_master_costs_nothing_but_what_it_hits(tmp_path: Path, fault: MasterFault) -> None:
    with Governed(tmp_path) as stage:
        stage.warm_up()
        before, counted, processes = stage.instances(), stage.stored(), stage.processes()
        fault.happen(stage)
        recovered = stage.back_after(time.monotonic(), PATIENCE)
        stage.settle(before, counted, NOTICED + PATIENCE)
        now = stage.processes()
        for name, process in processes.items():
            if name in fault.ended:
                assert process != now[name]
            else:
                assert process == now[name], f"the {name} is another one"
        _, left = psutil.wait_procs([processes[name] for name in fault.ended if name != "master"], TIMEOUT)
        assert not left
        outcomes = stage.traffic.outcomes()
        broken = outcomes[Outcome.BROKEN] + outcomes[Outcome.CUT]
        verified = stage.traffic.verified + stage.datagrams.verified
        print(f"{fault.name}: back after {recovered:.2f} s, {verified} bytes, {outcomes}")
        keep(Row(fault.name, recovered, verified, outcomes[Outcome.WHOLE], broken, stage.twice))
        assert recovered < WITHIN + fault.slack
        if fault.told:
            stage.master.wait_for(fault.told)
        if "server" not in fault.killed:
            assert outcomes[Outcome.CUT] == 0
        if "client" not in fault.killed:
            assert stage.cut_at_target() == 0
        assert fault.killed or stage.twice == 0
        if fault.harmless:
            # Who only looks whether it is served again does not wait long.
            assert set(outcomes) - {Outcome.LEFT} == {Outcome.WHOLE}
            heads = [record.head for record in stage.traffic.records.values()]
            up, down = sum(HEAD_SIZE + head.up for head in heads), sum(TRAILER_SIZE + head.down for head in heads)
            stage.wait_for_counted("server", tcprx=up, tcptx=down)
            stage.wait_for_counted("client", tcprx=down, tcptx=up)
