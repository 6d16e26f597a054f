"""One instance: its process, kept running, and what is known of it.

How it works: `start` begins a life, a task that starts a process, waits for its end, and starts another after a pause,
until `stop`. What the process writes comes in through `_take`.

What always holds:

- There is at most one life, and in it at most one process.
- `instance` is how it is now. Whoever may see a difference is told: no change without an event.
- A status of ERROR ends with a report, or when somebody starts or stops the instance; not because another process was
  started in place of one that crashed.
- The byte counts only grow, whatever its processes report, until somebody resets them.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from nodepass.errors import ProcessError
from nodepass.log import DEBUG, ERROR, EVENT, INFO, WARN
from nodepass.master import figures
from nodepass.master.model import EventType, Figures, Status
from nodepass.master.pauses import Pauses
from nodepass.net.life import Stage

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.log import Log
    from nodepass.master.events import EventHub
    from nodepass.master.fork_connection import Process
    from nodepass.master.model import Instance
    from nodepass.master.output import Line
    from nodepass.master.processes import Processes
    from nodepass.net.tasks import Tasks
    from nodepass.protocol.checkpoint import CheckPoint

SILENT_INTERVALS: Final = 3
"""Report intervals without a report after which something is wrong (spec: master.md, `status`)."""

NOTHING: Final = Figures()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all instances of a master share.

    Args:
        processes: starts processes.
        events: hears of every change.
        log: of the master.
        tasks: holds the lives.
        report_interval: seconds between the reports of a process.
        counted: called when the byte counts of an instance have changed.
    """

    processes: Processes
    events: EventHub
    log: Log
    tasks: Tasks
    report_interval: float
    counted: Callable[[str], None]


class Supervised:
    """One instance.

    Args:
        instance: how it is to begin with; it does not run.
        surroundings: what it shares with others.
    """

    def __init__(self, instance: Instance, surroundings: Surroundings) -> None:
        self.instance = instance
        self.turn = asyncio.Lock()
        """Held by whoever changes the instance, for as long as that takes: requests about it take turns."""
        self._around = surroundings
        self.stage = Stage.STARTING
        """How far its process has come, as that last told."""
        self._log = surroundings.log.of(instance.id)
        self._life: asyncio.Task[None] | None = None
        self._process: Process | None = None
        self._stopping = asyncio.Event()
        self._reported = NOTHING
        self._silence: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int | None:
        """Process ID of its process; None while it has none."""
        return None if self._process is None else self._process.pid

    def set(self, **changes: Any) -> None:
        """Change fields of `instance`, and tell if that makes a difference."""
        changed = replace(self.instance, **changes)
        if changed != self.instance:
            self.instance = changed
            self._around.events.tell(EventType.UPDATE, changed)

    async def start(self) -> None:
        """Begin a life, unless it has a process. It need not wait for anything but the rest of the life before."""
        if self._process is not None and not self._stopping.is_set():
            return
        await self.stop()
        self._stopping = asyncio.Event()
        self.set(status=Status.RUNNING)
        self._life = self._around.tasks.start(self._live(self._stopping), f"instance {self.instance.id}")

    async def stop(self) -> None:
        """End its life; returns when its process has ended."""
        self._stopping.set()
        if self._life is not None:
            await asyncio.wait((self._life,))
            self._life = None
        self.set(status=Status.STOPPED)

    async def restart(self) -> None:
        """End its life and begin another."""
        await self.stop()
        await self.start()

    def reset(self) -> None:
        """Zero the byte counts."""
        self.set(figures=figures.without_totals(self.instance.figures))

    # Its life.

    async def _live(self, stopping: asyncio.Event) -> None:
        pauses = Pauses()
        loop = asyncio.get_running_loop()
        stopped = asyncio.create_task(stopping.wait(), name="stop")
        try:
            while not stopping.is_set():
                begun = loop.time()
                code = await self._run(stopped)
                if stopping.is_set() or not code:
                    self.set(status=Status.STOPPED)
                    return
                self.set(status=Status.ERROR)
                pause = pauses.after(loop.time() - begun)
                self._say(ERROR, f"It starts again in {pause:g} s")
                await asyncio.wait((stopped,), timeout=pause)
        finally:
            stopped.cancel()

    async def _run(self, stopped: asyncio.Task[Any]) -> int:
        """Run one process until it ends or is to be stopped; gives its exit code."""
        self._reported = NOTHING
        self.stage = Stage.STARTING
        try:
            process = await self._around.processes.start(self.instance.url, self._take)
        except ProcessError as error:
            if not self._stopping.is_set():
                self._say(ERROR, str(error))
            return 1
        self._process = process
        self._expect_report()
        try:
            await asyncio.wait((process.ended, stopped), return_when=asyncio.FIRST_COMPLETED)
            if not process.ended.done():
                return await process.stop()
            code = process.ended.result()
            self._say(ERROR if code else INFO, f"The process has ended: {_how(code)}")
            return code
        finally:
            self._process = None
            self.stage = Stage.STARTING
            self._expect_none()
            self.set(figures=figures.without_process(self.instance.figures))

    # What it writes.

    def _take(self, line: Line) -> None:
        report = line.report
        if report is not None:
            self._report(report)
            return
        if (stage := line.stage) is not None:
            self.stage = stage
            return
        self._tell(line.level, line.text, line.whole)
        if line.tells_error:
            self.set(status=Status.ERROR)

    def _report(self, report: CheckPoint) -> None:
        before, self._reported = self._reported, figures.of_report(report)
        shown = figures.advanced(self.instance.figures, before, self._reported)
        # Of what is told to stop, the last report is no news about how it does.
        status = self.instance.status if self._stopping.is_set() else Status.RUNNING
        self._expect_report()
        if before != self._reported:
            self._around.counted(self.instance.id)
        if (shown, status) == (self.instance.figures, self.instance.status):
            # A sign of life is news as well (spec: master.md, Events).
            self._around.events.tell(EventType.UPDATE, self.instance)
        self.set(figures=shown, status=status)

    def _say(self, level: int, text: str) -> None:
        """Tell something about its process, where its own lines are told."""
        self._tell(level, text, f"nodepass: {text}")

    def _tell(self, level: int, text: str, line: str) -> None:
        log = self._log
        write = {DEBUG: log.debug, INFO: log.info, WARN: log.warning, ERROR: log.error, EVENT: log.event}[level]
        write("%s", text)
        self._around.events.tell_line(self.instance, line)

    def _expect_report(self) -> None:
        """From now on, be silent for a few intervals at most."""
        self._expect_none()
        patience = SILENT_INTERVALS * self._around.report_interval
        self._silence = asyncio.get_running_loop().call_later(patience, self._silent)

    def _expect_none(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _silent(self) -> None:
        # What is told to stop has nothing to report while it waits for its last sessions.
        if self.instance.status is not Status.ERROR and not self._stopping.is_set():
            self._say(ERROR, f"It has not reported for {SILENT_INTERVALS} intervals")
            self.set(status=Status.ERROR)


def _how(code: int) -> str:
    """Say how a process has ended."""
    if code >= 0:
        return f"exit code {code}"
    return f"{signal.Signals(-code).name}" if -code in set(signal.Signals) else f"signal {-code}"
