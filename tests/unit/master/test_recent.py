"""Rates and log lines of the last minutes."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from nodepass.master.events import EventHub
from nodepass.master.model import EventType, Figures, Instance, Kind, Status
from nodepass.master.recent import MOST_LINES, NOTHING, SPAN, STALE_STEPS, Point, Recent

STEP = 5.0


def instance(id_: str = "a", **figures: int) -> Instance:
    return Instance(id_, "", Kind.SERVER, Status.RUNNING, "url", "config", figures=Figures(**figures))


class Told:
    """A `Recent` that is told by hand, at times of our own."""

    def __init__(self) -> None:
        self.all: list[Instance] = []
        self.hub = EventHub(lambda: self.all)
        self.recent = Recent(self.hub, STEP)
        self.reader = self.hub.subscribe()

    async def tell(self, type_: EventType, one: Instance, now: float) -> None:
        self.hub.tell(type_, one)
        self.recent._take(await anext(self.reader), now)

    def tick(self, now: float) -> None:
        self.recent._tick(now)


async def test_a_rate_is_what_was_counted_between_two_reports() -> None:
    told = Told()
    await told.tell(EventType.CREATE, instance(), 100)
    await told.tell(EventType.UPDATE, instance(tcprx=500, udprx=500, tcptx=10, tcps=2, udps=1), 105)
    told.tick(105)
    assert told.recent.now("a") == Point(200.0, 2.0, 3)
    await told.tell(EventType.UPDATE, instance(tcprx=500, udprx=500, tcptx=10), 110)
    told.tick(110)
    assert list(told.recent.points("a")) == [Point(200.0, 2.0, 3), NOTHING]


async def test_what_was_counted_before_it_was_seen_is_no_traffic() -> None:
    told = Told()
    await told.tell(EventType.UPDATE, instance(tcprx=10**12), 100)
    told.tick(101)
    assert told.recent.now("a").received == 0


async def test_two_reports_at_once_make_no_peak_and_lose_nothing() -> None:
    told = Told()
    await told.tell(EventType.CREATE, instance(), 100)
    await told.tell(EventType.UPDATE, instance(tcprx=1000), 105)
    await told.tell(EventType.UPDATE, instance(tcprx=1100, tcps=7), 105.01)
    told.tick(105.02)
    assert told.recent.now("a") == Point(200.0, 0.0, 7)
    await told.tell(EventType.UPDATE, instance(tcprx=1100), 110)
    told.tick(110)
    assert told.recent.now("a").received == 20.0


async def test_counters_that_go_back_are_no_traffic() -> None:
    told = Told()
    await told.tell(EventType.CREATE, instance(tcprx=1000, tcptx=1000), 100)
    await told.tell(EventType.UPDATE, instance(tcptx=2000), 105)
    told.tick(105)
    assert told.recent.now("a") == Point(0.0, 200.0, 0)


async def test_who_stops_or_falls_silent_has_no_rate() -> None:
    told = Told()
    for id_ in ("a", "b"):
        await told.tell(EventType.CREATE, instance(id_), 100)
        await told.tell(EventType.UPDATE, instance(id_, tcprx=1000, tcps=1), 105)
    told.tick(106)
    assert told.recent.total()[-1] == Point(400.0, 0.0, 2)
    await told.tell(EventType.UPDATE, replace(instance("a", tcprx=1000), status=Status.STOPPED), 106)
    told.tick(107)
    assert told.recent.now("a") == NOTHING
    assert told.recent.total()[-1] == Point(200.0, 0.0, 1)
    told.tick(105 + STALE_STEPS * STEP + 1)
    assert told.recent.now("b") == NOTHING
    assert told.recent.total()[-1] == NOTHING


async def test_only_so_much_is_remembered() -> None:
    told = Told()
    await told.tell(EventType.CREATE, instance(), 0)
    for number in range(MOST_LINES + 50):
        told.hub.tell_line(instance(), f"line {number}")
        told.recent._take(await anext(told.reader), 0)
    lines = told.recent.lines("a")
    assert len(lines) == MOST_LINES
    assert lines[-1].text == f"line {MOST_LINES + 49}"
    assert [line.text for line in told.recent.lines("a", lines[-3].number)] == [lines[-2].text, lines[-1].text]
    assert told.recent.lines("a", lines[-1].number) == []
    for second in range(1000):
        told.tick(second)
    assert len(told.recent.points("a")) == len(told.recent.total()) == SPAN / STEP + 1


async def test_who_is_deleted_is_forgotten() -> None:
    told = Told()
    await told.tell(EventType.CREATE, instance(), 0)
    told.hub.tell_line(instance(), "line")
    told.recent._take(await anext(told.reader), 0)
    await told.tell(EventType.DELETE, instance(), 1)
    told.tick(2)
    assert (list(told.recent.points("a")), told.recent.lines("a")) == ([], [])


async def test_it_goes_on_after_the_key_has_changed_and_ends_with_the_master() -> None:
    told = Told()
    told.all = [instance()]
    keeping = asyncio.create_task(told.recent.keep())
    await asyncio.sleep(0)
    told.hub.end_streams()
    # A few turns of the loop, in which the end is heard and a new stream begun; and one line is.
    for _ in range(10):
        await asyncio.sleep(0)
    told.hub.tell_line(instance(), "after")
    for _ in range(10):
        await asyncio.sleep(0)
    assert [line.text for line in told.recent.lines("a")] == ["after"]
    told.hub.close()
    async with asyncio.timeout(10):
        await keeping
