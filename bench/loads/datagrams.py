"""UDP: one user sends datagrams to a target that counts them.

First as fast as the sender can, which is more than most carry: what arrives is the peak. Then evenly at half of that.
What counts is what arrives while the sender sends: what is queued then, and comes later, is only no loss. Each datagram
carries its number, so one that was changed ends the measurement, and those that come twice or out of order are noted.

A v1 tunnel puts datagrams into a stream without saying where one ends, so they may arrive joined or cut. The rates go by
bytes, and one figure says how much of that arrived in datagrams as they had been sent.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.echo_target import datagram, filler
from bench.loads.costs import CPU_PER_GIGABYTE, GIGA, MEGA, PEAK_MEMORY, costs
from bench.model import BenchError, Better, Figure, Load, Sample
from bench.processes import Meter
from bench.users import READ_SIZE

if TYPE_CHECKING:
    import socket

    from bench.echo_target import Counts
    from bench.stage import Stage

RATE = Figure("datagrams", "1/s")
THROUGHPUT = Figure("throughput", "MB/s")
LOSS_AT_PEAK = Figure("loss when flooded", "%", Better.NEITHER)
LOSS_AT_HALF = Figure("loss at half the peak", "%", Better.LOWER)
WHOLE = Figure("arrived whole at half the peak", "%")

TICK = 0.001
"""Seconds between batches of an even rate."""

CLOCK_INTERVAL = 32
"""Datagrams between two looks at the clock."""

QUIET_SECONDS = 0.2
"""When nothing has arrived for this long, nothing is on its way any more."""

DRAIN_SECONDS = 10.0

WAKE_SECONDS = 20.0
PAUSE = 0.05

PROOF_TIMES = 20
"""Datagrams that are sent one by one and expected back before anything is measured."""

PROOF_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Sending:
    """What came of sending for a while.

    Args:
        sent: datagrams.
        rate: datagrams that arrived each second until the last was sent.
        counts: what had arrived when nothing was on its way any more.
        arrived: datagrams in that, as far as the target's socket.
    """

    sent: int
    rate: float
    counts: Counts
    arrived: float


class Datagrams(Load):
    """Datagrams of one size.

    Args:
        size: in bytes.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        main = RATE if size < 1000 else THROUGHPUT
        self.figures = (main, LOSS_AT_PEAK, LOSS_AT_HALF, WHOLE, CPU_PER_GIGABYTE, PEAK_MEMORY)
        self._rest = filler(size)
        self._next = 0
        """The next datagram's number: none is used twice."""

    def verify(self, stage: Stage) -> None:
        stage.targets.count_datagrams(0)
        with stage.connect(PROOF_SECONDS) as sock:
            for number in range(PROOF_TIMES):
                sent = self._datagram(number)
                sock.send(sent)
                answer = sock.recv(READ_SIZE)
                while stage.contender.joins_datagrams and len(answer) < len(sent):
                    answer += sock.recv(READ_SIZE)
                if answer != sent:
                    raise BenchError("a datagram came back changed")

    def measure(self, stage: Stage) -> Sample:
        with stage.connect() as sock:
            self._wake(stage, sock)
            with Meter(stage.processes) as meter:
                flood = self._send(stage, sock, 0)
            half = self._send(stage, sock, flood.rate / 2)
        stage.targets.count_datagrams(0)
        for sending in (flood, half):
            check_contents(sending.counts, may_be_resized=stage.contender.joins_datagrams)
        values = {
            RATE.name: flood.rate,
            THROUGHPUT.name: flood.rate * self._size / MEGA,
            LOSS_AT_PEAK.name: loss(flood.sent, flood.arrived),
            LOSS_AT_HALF.name: loss(half.sent, half.arrived),
            WHOLE.name: whole(half.counts),
            **costs(meter, CPU_PER_GIGABYTE, flood.arrived * self._size / GIGA),
        }
        return Sample(values, tuple(_notes(flood.counts, half.counts)))

    def _wake(self, stage: Stage, sock: socket.socket) -> None:
        """Send until one arrives: the first may be lost on a way that is still being made."""
        stage.targets.count_datagrams(self._size, self._next)
        end = time.monotonic() + WAKE_SECONDS
        while not stage.targets.counted().datagrams:
            if time.monotonic() > end:
                raise BenchError(f"no datagram arrived in {WAKE_SECONDS:g} s")
            _send(sock, self._datagram(self._next))
            self._next += 1
            time.sleep(PAUSE)
        self._settled(stage)

    def _send(self, stage: Stage, sock: socket.socket, rate: float) -> Sending:
        """Send for as long as a run takes.

        Args:
            stage: through which.
            sock: the user's.
            rate: datagrams per second, or 0 for as many as can be.
        """
        stage.targets.count_datagrams(self._size, self._next)
        begun = time.perf_counter()
        sent = self._evenly(sock, rate, stage.seconds) if rate else self._flood(sock, stage.seconds)
        in_time = self._arrived(stage.targets.counted())
        # Until it was counted: what comes while the target is asked belongs to both.
        seconds = time.perf_counter() - begun
        counts = self._settled(stage)
        return Sending(sent, in_time / seconds, counts, self._arrived(counts))

    def _flood(self, sock: socket.socket, seconds: float) -> int:
        sent, first, rest = 0, self._next, self._rest
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            for _ in range(CLOCK_INTERVAL):
                sent += _send(sock, datagram(first + sent, rest))
        self._next += sent
        return sent

    def _evenly(self, sock: socket.socket, rate: float, seconds: float) -> int:
        tried, sent = 0, 0
        begun = time.perf_counter()
        while (now := time.perf_counter() - begun) < seconds:
            for number in range(tried, int(now * rate)):
                tried += 1
                sent += _send(sock, self._datagram(self._next + number))
            time.sleep(TICK)
        self._next += tried
        return sent

    def _settled(self, stage: Stage) -> Counts:
        """Wait until nothing arrives any more; gives what did."""
        counts = stage.targets.counted()
        end = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < end:
            time.sleep(QUIET_SECONDS)
            before, counts = counts, stage.targets.counted()
            if counts == before:
                break
        return counts

    def _datagram(self, number: int) -> bytes:
        return datagram(number, self._rest)

    def _arrived(self, counts: Counts) -> float:
        """Datagrams that came as far as the target's socket."""
        return counts.bytes / self._size + counts.dropped


def loss(sent: float, arrived: float) -> float:
    """The part that did not arrive, in percent."""
    return max(0.0, 100 * (1 - arrived / sent)) if sent else 0.0


def whole(counts: Counts) -> float:
    """The part of the bytes that came in datagrams as they had been sent, in percent."""
    as_sent = counts.datagrams - counts.resized - counts.changed
    return 100 * as_sent * counts.size / counts.bytes if counts.bytes else 0.0


def check_contents(counts: Counts, *, may_be_resized: bool) -> None:
    """Raise if datagrams were changed on their way.

    Args:
        counts: what arrived.
        may_be_resized: whether they may be joined and cut. A piece may then be as long as a whole one by chance.

    Raises:
        BenchError: they were.
    """
    if may_be_resized:
        return
    if counts.changed or counts.resized:
        raise BenchError(f"of {counts.datagrams} datagrams, {counts.changed} were changed, {counts.resized} cut or joined")


def _send(sock: socket.socket, data: bytes) -> int:
    """Send one; 1 if it was taken."""
    try:
        sock.send(data)
    except OSError:
        # The system has no room for it, or an ICMP error was waiting to be told.
        return 0
    return 1


def _notes(flood: Counts, half: Counts) -> list[str]:
    notes = []
    for name, counts in (("flooded", flood), ("at half", half)):
        if counts.dropped:
            notes.append(f"{name}: the target's own socket dropped {counts.dropped}, which are counted as arrived")
        if counts.duplicates:
            notes.append(f"{name}: {counts.duplicates} came twice, and are counted once")
        if counts.reordered:
            notes.append(f"{name}: {counts.reordered} came out of order")
    return notes
