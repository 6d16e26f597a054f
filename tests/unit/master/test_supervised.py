"""The states of one instance, over processes that the test ends as it likes."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from nodepass.errors import ProcessError
from nodepass.log import Log
from nodepass.master import pauses, supervised
from nodepass.master.events import EventHub
from nodepass.master.model import EventType, Figures, Instance, Kind, Status
from nodepass.master.output import Line
from nodepass.master.supervised import Supervised, Surroundings
from nodepass.net.tasks import Tasks
from nodepass.protocol.checkpoint import CheckPoint
from tests.harness import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from nodepass.master.model import Event

WITHOUT_PROCESS = Figures()


class FakeProcess:
    """Ends when it is told to."""

    def __init__(self, number: int, take: Callable[[Line], None]) -> None:
        self.pid = number
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.stopped = False
        self._take = take

    async def stop(self) -> int:
        self.stopped = True
        self.report(tcprx=1000)
        self.ended.set_result(0)
        return 0

    def write(self, text: str) -> None:
        self._take(Line.parse(text.encode()))

    def report(self, tcprx: int = 0, pool: int = 0) -> None:
        line = CheckPoint(1, 2, pool, 0, 0, tcprx, 0, 0, 0).format()
        self.write(f"2026-11-22 13:29:33.212  EVENT  {line}")

    def error(self, text: str = "Client error: no way") -> None:
        self.write(f"2026-11-22 13:29:33.212  ERROR  {text}")


class FakeProcesses:
    """Starts fakes."""

    def __init__(self) -> None:
        self.started: asyncio.Queue[FakeProcess] = asyncio.Queue()
        self.count = 0
        self.fails = False

    async def start(self, url: str, take: Callable[[Line], None]) -> FakeProcess:
        self.count += 1
        if self.fails:
            message = "no process for you"
            raise ProcessError(message)
        process = FakeProcess(self.count, take)
        self.started.put_nowait(process)
        return process


class Stage:
    """One instance, and somebody who listens."""

    def __init__(self, *, interval: float = TIMEOUT, restart: bool = True) -> None:
        log = Log(logging.DEBUG)
        self.processes = FakeProcesses()
        self.tasks = Tasks(log)
        self.counted: list[str] = []
        instance = Instance("00000001", "", Kind.CLIENT, Status.STOPPED, "client://k@h:1/:2", "", restart)
        self.hub = EventHub(lambda: (self.supervised.instance,))
        around = Surroundings(self.processes, self.hub, log, self.tasks, interval, self.counted.append)  # type: ignore[arg-type]
        self.supervised = Supervised(instance, around)
        self.events = self.hub.subscribe()

    def shows(self, status: Status) -> bool:
        return self.supervised.instance.status is status

    @property
    def figures(self) -> Figures:
        return self.supervised.instance.figures

    async def process(self) -> FakeProcess:
        """The next process that is started."""
        async with asyncio.timeout(TIMEOUT):
            process = await self.processes.started.get()
        assert self.supervised.pid == process.pid
        return process

    async def next(self, wanted: Callable[[Event], bool]) -> Event:
        """The next event of a kind."""
        async with asyncio.timeout(TIMEOUT):
            async for event in self.events:
                if wanted(event):
                    return event
        raise AssertionError

    async def becomes(self, status: Status) -> None:
        """Until an event says so; a line that comes late tells of a state that is over."""
        await self.next(
            lambda event: event.type is EventType.UPDATE and event.instance is not None and event.instance.status is status
        )


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    stage = Stage()
    yield stage
    await stage.supervised.stop()
    await stage.tasks.cancelled()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pauses, "FIRST", 0.001)


async def test_it_runs_and_stops(stage: Stage) -> None:
    assert stage.shows(Status.STOPPED)
    await stage.supervised.start()
    assert stage.shows(Status.RUNNING)
    process = await stage.process()
    process.report(tcprx=10, pool=3)
    assert stage.figures == Figures(mode=1, ping=2, pool=3, tcprx=10)
    await stage.supervised.stop()
    assert process.stopped
    assert stage.shows(Status.STOPPED)
    # Of its last report the counters stay.
    assert stage.figures == Figures(tcprx=1000)
    assert stage.supervised.pid is None


async def test_to_start_what_runs_does_nothing(stage: Stage) -> None:
    await stage.supervised.start()
    process = await stage.process()
    await stage.supervised.start()
    assert stage.processes.count == 1
    assert not process.stopped


async def test_to_stop_what_has_stopped_does_nothing(stage: Stage) -> None:
    await stage.supervised.stop()
    await stage.supervised.stop()
    assert stage.shows(Status.STOPPED)


async def test_restart_is_another_process_after_the_end_of_the_first(stage: Stage) -> None:
    await stage.supervised.start()
    first = await stage.process()
    await stage.supervised.restart()
    assert first.ended.done()
    assert (await stage.process()).pid == 2
    assert stage.shows(Status.RUNNING)


async def test_counters_go_on_over_restarts_and_crashes(stage: Stage) -> None:
    await stage.supervised.start()
    for run in range(1, 4):
        process = await stage.process()
        process.report(tcprx=7)
        process.report(tcprx=100)
        assert stage.figures.tcprx == 100 * run
        process.ended.set_result(1)
    process = await stage.process()
    process.report(tcprx=5)
    assert stage.figures.tcprx == 305
    assert set(stage.counted) == {"00000001"}


async def test_reset_zeroes_the_counters_of_a_running_process(stage: Stage) -> None:
    await stage.supervised.start()
    process = await stage.process()
    process.report(tcprx=100, pool=9)
    stage.supervised.reset()
    assert stage.figures == Figures(mode=1, ping=2, pool=9)
    process.report(tcprx=130)
    assert stage.figures.tcprx == 30


@pytest.mark.parametrize("line", ["Server error: x", "Client error: x"])
async def test_an_error_line_and_a_report_after_it(stage: Stage, line: str) -> None:
    await stage.supervised.start()
    process = await stage.process()
    process.error(line)
    assert stage.shows(Status.ERROR)
    process.report()
    assert stage.shows(Status.RUNNING)
    assert stage.processes.count == 1


async def test_a_crash_is_an_error_until_another_process_reports(stage: Stage) -> None:
    await stage.supervised.start()
    first = await stage.process()
    first.write("Segmentation fault, or so")
    first.ended.set_result(-11)
    await stage.becomes(Status.ERROR)
    second = await stage.process()
    assert stage.shows(Status.ERROR)
    second.report()
    assert stage.shows(Status.RUNNING)


async def test_the_last_lines_before_a_crash_are_told_before_it(stage: Stage) -> None:
    await stage.supervised.start()
    process = await stage.process()
    for text in ("one", "two"):
        process.write(text)
    process.ended.set_result(3)
    lines: list[str] = []

    def is_error(event: Event) -> bool:
        lines.extend([event.logs] if event.type is EventType.LOG else [])
        return bool(event.instance and event.instance.status is Status.ERROR)

    await stage.next(is_error)
    assert lines == ["one", "two", "nodepass: The process has ended: exit code 3"]


async def test_a_tight_loop_of_crashes_slows_down(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def after(_: pauses.Pauses, lived: float) -> float:
        asked.append(lived)
        return 0.0

    monkeypatch.setattr(pauses.Pauses, "after", after)
    await stage.supervised.start()
    for _ in range(20):
        (await stage.process()).ended.set_result(1)
    await stage.process()
    assert len(asked) == 20


async def test_an_end_in_order_is_no_error(stage: Stage) -> None:
    await stage.supervised.start()
    (await stage.process()).ended.set_result(0)
    await stage.becomes(Status.STOPPED)
    assert stage.processes.count == 1


async def test_without_restart_a_crash_is_the_end_until_somebody_starts_it() -> None:
    stage = Stage(restart=False)
    await stage.supervised.start()
    (await stage.process()).ended.set_result(1)
    await stage.becomes(Status.ERROR)
    await stage.supervised.start()
    assert (await stage.process()).pid == 2
    assert stage.shows(Status.RUNNING)
    await stage.supervised.stop()


async def test_stop_and_start_in_a_pause(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pauses, "FIRST", 3600.0)
    await stage.supervised.start()
    (await stage.process()).ended.set_result(1)
    await stage.becomes(Status.ERROR)
    await stage.supervised.stop()
    assert stage.shows(Status.STOPPED)
    await stage.supervised.start()
    (await stage.process()).ended.set_result(1)
    await stage.becomes(Status.ERROR)
    await stage.supervised.start()
    assert (await stage.process()).pid == 3


async def test_a_process_that_cannot_be_started(stage: Stage) -> None:
    stage.processes.fails = True
    await stage.supervised.start()
    await stage.next(lambda event: event.logs == "nodepass: no process for you")
    await stage.becomes(Status.ERROR)
    stage.processes.fails = False
    (await stage.process()).report()
    assert stage.shows(Status.RUNNING)


async def test_silence_is_an_error_and_a_report_ends_it() -> None:
    stage = Stage(interval=0.01)
    await stage.supervised.start()
    process = await stage.process()
    process.report()
    await stage.next(lambda event: f"not reported for {supervised.SILENT_INTERVALS} intervals" in event.logs)
    assert stage.shows(Status.ERROR)
    assert not process.ended.done()
    process.report()
    assert stage.shows(Status.RUNNING)
    await stage.supervised.stop()


async def test_a_process_that_never_reports_is_an_error() -> None:
    stage = Stage(interval=0.01)
    await stage.supervised.start()
    await stage.process()
    await stage.becomes(Status.ERROR)
    await stage.supervised.stop()


async def test_no_change_without_an_event(stage: Stage) -> None:
    await stage.supervised.start()
    process = await stage.process()
    changes: list[Callable[[], object]] = [
        lambda: process.report(tcprx=1),
        process.error,
        lambda: stage.supervised.set(alias="x"),
        stage.supervised.reset,
    ]
    for change in changes:
        change()
        event = await stage.next(lambda event: event.type is not EventType.LOG)
        while event.instance != stage.supervised.instance:
            event = await stage.next(lambda event: event.type is not EventType.LOG)
    stage.supervised.set(alias="x")
    assert not stage.events._waiting
