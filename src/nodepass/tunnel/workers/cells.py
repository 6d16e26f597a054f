"""What the processes of one instance see of each other without asking: figures in memory that all have mapped.

What always holds:

- A figure of a child is written by that child alone, and by the parent once the child is dead. It is 8 bytes at a multiple
  of 8, which the machine reads and writes as one; so nobody locks to read it.
- What is decided by several figures (a rate, one of the last slots) is decided under a lock of the file. The system drops
  the lock of a process that dies, and it is held for microseconds, so nobody waits for long.
- Who takes a slot while many are free takes no lock: it tells first, and looks again then. So of two who take one at the
  same time the later sees the other. Should a processor still hold back what it has just written, that is one slot
  of each process at most: as many have to be free.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from nodepass.policy.limits import Direction, Limits
from nodepass.policy.slots import Slots
from nodepass.policy.token_bucket import TokenBucket
from nodepass.protocol.checkpoint import CheckPoint

if TYPE_CHECKING:
    from collections.abc import Iterator

CELL_SIZE: Final = 8


class Figure(IntEnum):
    """What each child tells of itself; see `Stats`."""

    MODE = 0
    PEERS = 1
    POOL = 2
    PING = 3
    """Microseconds."""
    TCP_SESSIONS = 4
    UDP_SESSIONS = 5
    SLOTS = 6
    TCP_RECEIVED = 7
    TCP_SENT = 8
    UDP_RECEIVED = 9
    UDP_SENT = 10
    KEPT = 11
    """Sessions that a server's child keeps."""


STAY: Final = (Figure.MODE, Figure.TCP_RECEIVED, Figure.TCP_SENT, Figure.UDP_RECEIVED, Figure.UDP_SENT)
"""Those that a child leaves behind when it ends."""

TOTALS: Final = (Figure.TCP_RECEIVED, Figure.TCP_SENT, Figure.UDP_RECEIVED, Figure.UDP_SENT)
"""Those that go on when a child is started again."""

BUCKET_CELLS: Final = 2
"""Level and time of a rate, for each direction."""

SLOTS_LOCK: Final = len(Direction)
"""The byte of the file whose lock the count of slots is under; those of the rates are under the direction's."""


class Cells:
    """The mapping.

    Args:
        descriptor: of the file; owned from here on.
        count: how many children there are.
    """

    def __init__(self, descriptor: int, count: int) -> None:
        self.descriptor = descriptor
        self._count = count
        memory = memoryview(mmap.mmap(descriptor, _size(count)))
        figures = len(Figure) * count * CELL_SIZE
        self._figures = memory[:figures].cast("Q")
        self._buckets = memory[figures:].cast("d")

    @classmethod
    def make(cls, count: int) -> Cells:
        """Those of a new instance, all 0."""
        descriptor = os.memfd_create("nodepass", os.MFD_CLOEXEC)
        os.ftruncate(descriptor, _size(count))
        return cls(descriptor, count)

    def close(self) -> None:
        """Let go of the file; the memory stays until nobody refers to it."""
        os.close(self.descriptor)

    def get(self, figure: Figure, index: int) -> int:
        """One figure of one child."""
        return self._figures[figure * self._count + index]

    def set(self, figure: Figure, index: int, value: int) -> None:
        """Write one figure of one child."""
        self._figures[figure * self._count + index] = value

    def of_all(self, figure: Figure) -> memoryview[int]:
        """One figure of each child."""
        return self._figures[figure * self._count : (figure + 1) * self._count]

    def forget(self, index: int) -> None:
        """A child is dead: what it had in progress is gone, and what it has counted stays."""
        for figure in Figure:
            if figure not in STAY:
                self.set(figure, index, 0)

    def checkpoint(self) -> CheckPoint:
        """The figures of all children together."""

        def total(figure: Figure) -> int:
            return sum(self.of_all(figure))

        return CheckPoint(
            mode=max(self.of_all(Figure.MODE)),
            ping=round(max(self.of_all(Figure.PING)) / 1000),
            pool=total(Figure.POOL),
            tcps=total(Figure.TCP_SESSIONS),
            udps=total(Figure.UDP_SESSIONS),
            tcp_received=total(Figure.TCP_RECEIVED),
            tcp_sent=total(Figure.TCP_SENT),
            udp_received=total(Figure.UDP_RECEIVED),
            udp_sent=total(Figure.UDP_SENT),
        )

    def bucket(self, direction: Direction) -> memoryview[float]:
        """Level and time of a rate; to be touched under its lock only."""
        return self._buckets[direction * BUCKET_CELLS : (direction + 1) * BUCKET_CELLS]

    @contextmanager
    def locked(self, lock: int) -> Iterator[None]:
        """Keep the other processes from what is under this lock. It does not nest."""
        fcntl.lockf(self.descriptor, fcntl.LOCK_EX, 1, lock)
        try:
            yield
        finally:
            fcntl.lockf(self.descriptor, fcntl.LOCK_UN, 1, lock)


def _size(count: int) -> int:
    return CELL_SIZE * (len(Figure) * count + len(Direction) * BUCKET_CELLS)


class SharedLimits(Limits):
    """The limits of an instance that is several processes, in one of them.

    Args:
        cells: of the instance.
        index: which of the children this is.
    """

    def __init__(self, cells: Cells, index: int) -> None:
        self._cells = cells
        self._index = index

    def slots(self, limit: int) -> Slots:
        return _SharedSlots(limit, self._cells, self._index)

    def bucket(self, direction: Direction, rate: float, burst: float) -> TokenBucket:
        return _SharedBucket(rate, burst, self._cells, direction)


class _SharedSlots(Slots):
    """Slots of which each child tells how many it has taken."""

    def __init__(self, limit: int, cells: Cells, index: int) -> None:
        super().__init__(limit)
        self._cells = cells
        self._index = index

    def acquire(self) -> bool:
        if not self._limit:
            return super().acquire()
        if self._many_left() and super().acquire():
            self._tell()
            # Whoever has taken some since the first look can be seen now, and sees this one.
            if self._many_left():
                return True
            self.release()
        with self._cells.locked(SLOTS_LOCK):
            return sum(self._cells.of_all(Figure.SLOTS)) < self._limit and super().acquire() and self._tell()

    def _many_left(self) -> bool:
        """Whether there is one for each process, and so for whoever takes one at this moment."""
        taken = self._cells.of_all(Figure.SLOTS)
        return sum(taken) + len(taken) <= self._limit

    def release(self) -> None:
        super().release()
        self._tell()

    def _tell(self) -> bool:
        self._cells.set(Figure.SLOTS, self._index, self.in_use)
        return True


class _SharedBucket(TokenBucket):
    """A bucket whose level all children see and change."""

    def __init__(self, rate: float, burst: float, cells: Cells, direction: Direction) -> None:
        super().__init__(rate, burst)
        self._cells = cells
        self._direction = direction
        self._shared = cells.bucket(direction)

    def spend(self, count: float, now: float) -> float:
        with self._up_to_date():
            return super().spend(count, now)

    def available(self, now: float) -> float:
        with self._up_to_date():
            return super().available(now)

    def _fill(self, now: float) -> None:
        # Each loop has its own idea of now, by a millisecond or so: time that has been paid for is not paid for again.
        super()._fill(now if self._filled_at is None else max(now, self._filled_at))

    @contextmanager
    def _up_to_date(self) -> Iterator[None]:
        with self._cells.locked(self._direction):
            if filled_at := self._shared[1]:
                self._level, self._filled_at = self._shared[0], filled_at
            yield
            self._shared[0], self._shared[1] = self._level, self._filled_at or 0.0
