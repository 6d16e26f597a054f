"""Faults while traffic runs: who is served is served whole, who is not is told, and service is back in time."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Final

import pytest

from nodepass.config import PoolTransport
from tests.adversity.accounts import Late
from tests.adversity.bounds import ENV, NOTICED, PATIENT, TOLD_WITHIN, WITHIN
from tests.adversity.catalogue import FAULTS, Fault
from tests.adversity.scene import FROM_FILES, Scene, Setup
from tests.adversity.table import Row, is_long, keep
from tests.adversity.traffic import Outcome
from tests.harness import TIMEOUT

if TYPE_CHECKING:
    from tests.harness import Runner

SETUPS: Final = [
    Setup(transport, tls, flow, pool)
    for transport, tls, pool in (
        (PoolTransport.TCP, 0, "auto"),
        (PoolTransport.QUIC, 1, "auto"),
        (PoolTransport.WEBSOCKET, 1, "auto"),
        (PoolTransport.HTTP2, 1, "auto"),
        (PoolTransport.TCP, 1, "single"),
        (PoolTransport.TCP, 1, "auto"),
        (PoolTransport.WEBSOCKET, 0, "auto"),
        (PoolTransport.TCP, 0, "single"),
        (PoolTransport.WEBSOCKET, 0, "single"),
    )
    for flow in ("reverse", "forward")
] + [
    Setup(PoolTransport.TCP, FROM_FILES, "reverse"),
    Setup(PoolTransport.QUIC, FROM_FILES, "forward"),
    Setup(PoolTransport.WEBSOCKET, FROM_FILES, "forward"),
    Setup(PoolTransport.HTTP2, FROM_FILES, "reverse"),
]

MORE_ORDERS: Final = [fault for fault in FAULTS if len(fault.killed) > 1][::2]
"""Half of the orders in which processes can come back are enough for the short form."""

PATIENCE: Final = 20.0
"""Seconds after which a test gives up; only a failure takes that long."""


def cases() -> list[tuple[Fault, Setup]]:
    """All pairs, or for each fault the next kind of tunnel that it suits."""
    if is_long():
        return [(fault, setup) for fault in FAULTS for setup in SETUPS if fault.suits(setup)]
    round_and_round = itertools.cycle(SETUPS)
    faults = [fault for fault in FAULTS if fault not in MORE_ORDERS]
    return [(fault, next(each for each in round_and_round if fault.suits(each))) for fault in faults]


def told(np: Runner, pattern: str) -> bool:
    """Whether some end's log says so; its lines take a moment."""
    end = time.monotonic() + TIMEOUT
    while not np.matches(pattern) and time.monotonic() < end:
        time.sleep(0.02)
    return bool(np.matches(pattern))


def may_look_ended(fault: Fault, setup: Setup) -> set[str]:
    """The processes whose death the system makes look like a proper end to the one beside them.

    Where each user has a plain TCP connection of its own, that is the other end of the tunnel as well: nothing on it but
    the system's FIN says how it ended.
    """
    bare = setup.transport is PoolTransport.TCP and not setup.tls and setup.pool == "single"
    return {"server", "client", *fault.killed} if bare and {"server", "client"} & set(fault.killed) else set(fault.killed)


@pytest.mark.parametrize(("fault", "setup"), cases(), ids=str)
def test_a_fault_costs_nothing_but_what_it_hits(np: Runner, fault: Fault, setup: Setup) -> None:
    # Where nobody is to break, an end that the machine kept waiting must not seem dead.
    env = PATIENT if fault.harmless and not is_long() else ENV
    several = fault.several
    # Our way for UDP has one sender at a time, and several processes are several.
    with Scene(np, setup, fault.query, target=fault.target, env=env, several=several, direct=bool(several)) as scene:
        if fault.target:
            scene.warm_up()
        fault.happen(scene)
        over = time.monotonic()
        recovered = scene.back_after(over, PATIENCE)
        scene.settle(NOTICED + PATIENCE)
        outcomes = scene.traffic.outcomes()
        broken = outcomes[Outcome.BROKEN] + outcomes[Outcome.CUT]
        verified = scene.traffic.verified + scene.datagrams.verified
        how = f"{verified} bytes, {outcomes}, {scene.cut_at_target()} cut at the target"
        late = Late.of(scene.traffic, scene.targets, over)
        print(f"{fault.name} {setup}: back after {recovered:.2f} s, {how}, {late}")
        for why in {f"{each.outcome.value} {each.why}" for each in scene.traffic.records.values() if each.why}:
            print(why)
        # What broke looks broken, not ended: an end that is early would pass for a whole file.
        lost = 0
        if not {scene.ingress, "target"} & may_look_ended(fault, setup):
            lost += outcomes[Outcome.CUT]
        if not {"server", "client"} & may_look_ended(fault, setup):
            lost += scene.cut_at_target()
        keep(Row(fault.name, recovered, verified, outcomes[Outcome.WHOLE], broken, scene.twice, lost))
        assert fault.missed(scene) == []
        assert broken or not fault.breaks, "nobody's connection broke"
        assert lost == 0
        assert max(late.users, late.targets) < TOLD_WITHIN, late
        assert recovered < WITHIN
        assert fault.repeats or scene.twice == 0
        assert not fault.told or told(np, fault.told), "no log says what happened"
        if fault.harmless:
            # Who only looks whether it is served again does not wait long.
            assert set(outcomes) - {Outcome.LEFT} == {Outcome.WHOLE}
