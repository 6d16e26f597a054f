"""What users and targets say became of each connection, held against each other when all are over."""

from __future__ import annotations

import re
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.adversity.traffic import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.adversity.datagrams import Datagrams
    from tests.adversity.traffic import Traffic
    from tests.harness import Process


def settle(traffic: Traffic, datagrams: Datagrams, targets: Sequence[Process], timeout: float, noticed: float) -> int:
    """Let nobody come any more, and assert that all there were are over at both sides, and that both say the same.

    Args:
        traffic: users over TCP.
        datagrams: a user over UDP.
        targets: the one there is, and those before it.
        timeout: seconds that users have to end.
        noticed: seconds within which the target has heard of each end.

    Returns:
        How many connections a target heard the beginning of more than once.
    """
    hanging = traffic.settle(timeout)
    datagrams.stop()
    assert not hanging, f"users were never told: {hanging}"
    records = traffic.records
    assert [each for each in records.values() if each.outcome is Outcome.WRONG] == []
    assert datagrams.wrong == []
    wrong = [target.matches("^wrong") for target in targets]
    assert not any(wrong), wrong
    whole = {number for number, each in records.items() if each.outcome is Outcome.WHOLE}
    for number in whole - {number for what, number in _told(targets) if what == "whole"}:
        # It was said before the user was served, and is to be read yet.
        targets[-1].wait_for(rf"^whole {number}\b", noticed)
    told = _told(targets)
    begun = {number for what, number in told if what == "begun"}
    _assert_target_is_done(targets[-1], begun, told, noticed)
    return sum(told["begun", number] > 1 for number in begun)


@dataclass(frozen=True)
class Late:
    """How late it was noticed, at most, that a connection had broken: seconds.

    Args:
        users: from the end of the fault, or that user's beginning, until the user was told.
        targets: from the end of the fault, or the user's end or the target's beginning, until the target was told.
    """

    users: float
    targets: float

    @classmethod
    def of(cls, traffic: Traffic, targets: Sequence[Process], over: float) -> Late:
        """Of all that there were, when the fault was over then."""
        broken = [each for each in traffic.records.values() if each.outcome in (Outcome.BROKEN, Outcome.CUT)]
        users = [each.ended - max(each.begun, over) for each in broken]
        ends = []
        begun: dict[int, float] = {}
        for line in (line for target in targets for line in tuple(target.lines)):
            if match := re.match(r"(begun|cut|broken) (\d+) ([\d.]+)", line):
                number, when = int(match[2]), float(match[3])
                if match[1] == "begun":
                    begun[number] = when
                else:
                    ends.append(when - max(traffic.records[number].ended, begun.get(number, 0.0), over))
        return cls(max(users, default=0.0), max(ends, default=0.0))


def cut_at(targets: Sequence[Process]) -> int:
    """How many connections ended early at the targets as if properly."""
    return sum(len(target.matches("^cut")) for target in targets)


def _assert_target_is_done(target: Process, begun: set[int], told: Counter[tuple[str, int]], noticed: float) -> None:
    """Every connection of the target that still runs is over there too."""
    last = {int(match[1]) for match in target.matches(r"^begun (\d+)")} & begun
    left = [number for number in last if not any(told[how, number] for how in ("whole", "cut", "broken"))]
    end = time.monotonic() + noticed
    while left and time.monotonic() < end:
        target.wait_for(rf"^(whole|cut|broken) {left[0]}\b", noticed)
        left.pop(0)
    assert not left, f"the target was never told: {left}"


def _told(targets: Sequence[Process]) -> Counter[tuple[str, int]]:
    """How often the targets said what of which connection."""
    lines = (line for target in targets for line in tuple(target.lines))
    found = (re.match(r"(begun|whole|cut|broken) (\d+)", line) for line in lines)
    return Counter((match[1], int(match[2])) for match in found if match)
