"""What processes share: no limit is exceeded, whoever asks at the same time, and a rate is one for all."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys

import pytest

from nodepass.policy.limits import Direction
from nodepass.relay.meter import Meter
from nodepass.tunnel.workers.cells import SLOTS_LOCK, Cells, Figure, SharedLimits

COUNT = 3


@pytest.fixture
def cells() -> Cells:
    return Cells.make(COUNT)


def test_figures_are_kept_apart_and_seen_by_all(cells: Cells) -> None:
    other = Cells(os.dup(cells.descriptor), COUNT)
    for figure in Figure:
        for index in range(COUNT):
            cells.set(figure, index, 1000 * figure + index)
    assert [list(other.of_all(figure)) for figure in Figure] == [
        [1000 * figure + index for index in range(COUNT)] for figure in Figure
    ]
    other.set(Figure.TCP_RECEIVED, 1, 2**63)
    assert cells.get(Figure.TCP_RECEIVED, 1) == 2**63


def test_of_one_that_is_dead_only_what_it_carried_stays(cells: Cells) -> None:
    for figure in Figure:
        for index in range(COUNT):
            cells.set(figure, index, 7)
    cells.forget(1)
    assert list(cells.of_all(Figure.TCP_SENT)) == list(cells.of_all(Figure.MODE)) == [7, 7, 7]
    assert list(cells.of_all(Figure.SLOTS)) == list(cells.of_all(Figure.POOL)) == [7, 0, 7]


def test_slots_are_of_all(cells: Cells) -> None:
    one, two = (SharedLimits(cells, index).slots(3) for index in range(2))
    assert one.acquire()
    assert two.acquire()
    assert one.acquire()
    assert not one.acquire()
    assert not two.acquire()
    one.release()
    assert two.acquire()
    assert not one.acquire()
    assert (one.in_use, two.in_use) == (1, 2)
    cells.forget(1)
    assert one.acquire()


def test_without_a_limit_there_are_any_number(cells: Cells) -> None:
    slots = SharedLimits(cells, 0).slots(0)
    assert all(slots.acquire() for _ in range(1000))
    slots.release()
    assert slots.in_use == 999


@pytest.fixture
def locks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The bytes of the file that are locked and unlocked, one after the other."""
    asked: list[int] = []
    lockf = fcntl.lockf

    def counted(descriptor: int, command: int, length: int, start: int) -> None:
        asked.append(start)
        lockf(descriptor, command, length, start)

    monkeypatch.setattr(fcntl, "lockf", counted)
    return asked


class Reader:
    """Somebody whose reading a rate holds."""

    def released(self) -> None:
        """It reads nothing."""


@pytest.mark.parametrize("size", [1, 10**9])
async def test_a_chunk_under_a_rate_takes_one_lock(cells: Cells, locks: list[int], size: int) -> None:
    meter = Meter(0, 10**6, 0, SharedLimits(cells, 0))
    assert meter.rate_rx is not None
    assert meter.rate_rx.spend(size, Reader()) == (size == 1)
    assert locks == [Direction.RECEIVED] * 2


def test_where_most_slots_are_free_nobody_locks(cells: Cells, locks: list[int]) -> None:
    one, two = (SharedLimits(cells, index).slots(100) for index in range(2))
    for _ in range(45):
        assert one.acquire()
        assert two.acquire()
    one.release()
    assert locks == []
    assert list(cells.of_all(Figure.SLOTS)) == [44, 45, 0]
    # Near the limit they do, and it holds.
    taken = [slots.acquire() for _ in range(20) for slots in (one, two)]
    assert taken == [True] * 11 + [False] * 29
    assert set(locks) == {SLOTS_LOCK}
    assert sum(cells.of_all(Figure.SLOTS)) == one.in_use + two.in_use == 100


TAKER = """
import sys
from nodepass.tunnel.workers.cells import Cells, Figure, SharedLimits
descriptor, index, limit = map(int, sys.argv[1:])
cells = Cells(descriptor, 3)
slots = SharedLimits(cells, index).slots(limit)
def give_back():
    cells.set(Figure.POOL, index, slots.in_use - 1)
    slots.release()
sys.stdin.read()
refused = most = 0
for turn in range(20_000):
    if not slots.acquire():
        refused += 1
    else:
        # Not the cells of the slots: one that is given back as there were not many left is in them for a moment.
        cells.set(Figure.POOL, index, slots.in_use)
        most = max(most, sum(cells.of_all(Figure.POOL)))
        # Some are kept, so that all are taken now and then, and given back, so that there are many free ones, too.
        if turn % 3 or slots.in_use > limit // 2:
            give_back()
        if turn % 1000 == 0:
            while slots.in_use:
                give_back()
while slots.in_use:
    give_back()
print(most, refused)
"""


@pytest.mark.parametrize("limit", [2, 30], ids=["with the lock", "with and without"])
def test_slots_hold_where_processes_ask_at_the_same_time(cells: Cells, limit: int) -> None:
    takers = [
        subprocess.Popen(
            [sys.executable, "-c", TAKER, str(cells.descriptor), str(index), str(limit)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=(cells.descriptor,),
        )
        for index in range(COUNT)
    ]
    for taker in takers:
        assert taker.stdin is not None
        taker.stdin.close()
        taker.stdin = None
    told = [list(map(int, taker.communicate(timeout=60)[0].split())) for taker in takers]
    assert max(most for most, _ in told) == limit
    assert sum(refused for _, refused in told) > 0
    assert sum(cells.of_all(Figure.SLOTS)) == 0


def test_a_rate_is_one_for_all(cells: Cells) -> None:
    one, two = (SharedLimits(cells, index).bucket(Direction.SENT, rate=100, burst=50) for index in range(2))
    assert one.available(10) == 50
    two.spend(150, now=10)
    assert one.available(10) == -100
    assert one.delay(10) == 1
    # Who has not looked for long owes nothing for what the other spent meanwhile and time has paid for.
    for now in range(11, 20):
        two.spend(100, now=now)
    assert one.available(20) == 0
    # A loop that is a little behind does not make time count twice.
    assert two.available(19.5) == 0
    assert one.available(21) == 50


def test_directions_are_apart(cells: Cells) -> None:
    limits = SharedLimits(cells, 0)
    sent, received = (limits.bucket(direction, rate=100, burst=50) for direction in (Direction.SENT, Direction.RECEIVED))
    sent.spend(1000, now=1)
    assert received.available(1) == 50


WAITER = """
import sys
from nodepass.tunnel.workers.cells import Cells
with Cells(int(sys.argv[1]), 3).locked(2):
    print("in")
"""


def test_a_lock_keeps_other_processes_out(cells: Cells) -> None:
    with cells.locked(SLOTS_LOCK):
        other = subprocess.Popen(
            [sys.executable, "-c", WAITER, str(cells.descriptor)],
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=(cells.descriptor,),
        )
        with pytest.raises(subprocess.TimeoutExpired):
            other.communicate(timeout=1)
    assert other.communicate(timeout=60)[0] == "in\n"
