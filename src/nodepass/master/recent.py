"""What instances have done lately: their rates, and their last log lines. In memory only, for the dashboard.

How it works: every report of an instance says how many bytes it has counted so far, and the difference to the one before
is its rate. A clock that all instances share writes down their rates: so those of several can be added up. Reports come at
about that pace but at times of their own; were the clock to count bytes, it would find now none and now twice as many.

What always holds: each instance has at most so many points and lines, whatever it reports or logs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from itertools import takewhile
from typing import TYPE_CHECKING, Final, NamedTuple

from nodepass.master.model import EventType, Figures, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nodepass.master.events import EventHub
    from nodepass.master.model import Event, Instance

SPAN: Final = 600.0
"""Seconds that are remembered."""

MOST_LINES: Final = 300
"""Log lines that are remembered of each instance."""

SHORTEST_STEP: Final = 1.0
"""Seconds between two points at least."""

SHORTEST_REPORT: Final = 0.2
"""Seconds between two reports below which they give no rate."""

STALE_STEPS: Final = 3
"""Steps without a report after which there is no rate."""


class Point(NamedTuple):
    """How an instance, or all, did at one moment.

    Args:
        received: bytes a second, read from users or targets.
        sent: bytes a second, written to them.
        connections: sessions in progress, TCP and UDP.
    """

    received: float = 0.0
    sent: float = 0.0
    connections: int = 0


NOTHING: Final = Point()


class LogLine(NamedTuple):
    """One line of output.

    Args:
        number: of all lines of the master, in order.
        text: without its line break or colours.
    """

    number: int
    text: str


@dataclass(slots=True)
class _History:
    """Of one instance."""

    points: deque[Point]
    lines: deque[LogLine] = field(default_factory=lambda: deque(maxlen=MOST_LINES))
    figures: Figures | None = None
    reported: float = 0.0
    now: Point = NOTHING


class Recent:
    """Listens to the events of a master, for ever.

    Args:
        events: of the master.
        report_interval: seconds between two reports of an instance.
    """

    def __init__(self, events: EventHub, report_interval: float) -> None:
        self._events = events
        self.step = max(report_interval, SHORTEST_STEP)
        """Seconds between two points."""
        self._most_points = round(SPAN / self.step) + 1
        self._of: dict[str, _History] = {}
        self._total: deque[Point] = deque(maxlen=self._most_points)
        self._lines = 0

    async def keep(self) -> None:
        """Listen, for ever."""
        clock = asyncio.create_task(self._keep_time(), name="recent figures")
        try:
            while not self._events.closed:
                # The streams end when the key changes; a new one begins with all instances.
                async for event in self._events.subscribe():
                    self._take(event, asyncio.get_running_loop().time())
        finally:
            clock.cancel()

    def points(self, instance_id: str) -> Sequence[Point]:
        """The points of an instance, the latest last; fewer than those of `total` where it is younger."""
        history = self._of.get(instance_id)
        return () if history is None else history.points

    def now(self, instance_id: str) -> Point:
        """How an instance does now."""
        points = self.points(instance_id)
        return points[-1] if points else NOTHING

    def total(self) -> Sequence[Point]:
        """The points of all instances together, the latest last."""
        return self._total

    def lines(self, instance_id: str, after: int = 0) -> list[LogLine]:
        """The last lines of an instance with a number above this."""
        history = self._of.get(instance_id)
        if history is None:
            return []
        newer = list(takewhile(lambda line: line.number > after, reversed(history.lines)))
        return newer[::-1]

    # How that comes about.

    def _take(self, event: Event, now: float) -> None:
        instance = event.instance
        if instance is None:
            return
        if event.type is EventType.DELETE:
            self._of.pop(instance.id, None)
            return
        history = self._of.get(instance.id)
        if history is None:
            history = self._of[instance.id] = _History(deque(maxlen=self._most_points))
        if event.type is EventType.LOG:
            self._lines += 1
            history.lines.append(LogLine(self._lines, event.logs))
        else:
            _measure(history, instance, now)

    async def _keep_time(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self.step)
            self._tick(loop.time())

    def _tick(self, now: float) -> None:
        received = sent = 0.0
        connections = 0
        for history in self._of.values():
            if now - history.reported > STALE_STEPS * self.step:
                history.now = NOTHING
            point = history.now
            history.points.append(point)
            received += point.received
            sent += point.sent
            connections += point.connections
        self._total.append(Point(received, sent, connections))


def _measure(history: _History, instance: Instance, now: float) -> None:
    """Make a rate of what an instance has counted since it was last measured."""
    figures, before = instance.figures, history.figures
    if instance.status is Status.STOPPED:
        history.now, history.figures, history.reported = NOTHING, figures, now
        return
    connections = figures.tcps + figures.udps
    elapsed = now - history.reported
    if before is None or elapsed >= SHORTEST_REPORT:
        received, sent = (
            (0, 0) if before is None else (_received(figures) - _received(before), _sent(figures) - _sent(before))
        )
        # Somebody who zeroes the counters makes them go back.
        history.now = Point(max(received, 0) / max(elapsed, 1e-9), max(sent, 0) / max(elapsed, 1e-9), connections)
        history.figures, history.reported = figures, now
    else:
        history.now = history.now._replace(connections=connections)


def _received(figures: Figures) -> int:
    return figures.tcprx + figures.udprx


def _sent(figures: Figures) -> int:
    return figures.tcptx + figures.udptx
