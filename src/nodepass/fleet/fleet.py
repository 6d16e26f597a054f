"""All tunnels of one file, from the first reading on: started, kept as the file says, and ended.

What always holds:

- A tunnel that has not changed is not touched, whatever else changes but the tunables; and of these, another log format
  touches only tunnels whose processes write lines of their own.
- A file with an error changes nothing at all: it is told, and everything goes on as it was.
- The file is read by one task. What asks for a reading while that is busy, once or a thousand times, brings one more.
- A tunnel that has changed has ended before its successor begins: they may want the same port. So has what is gone before
  what is new begins.
"""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nodepass.config import MasterConfig, tunables
from nodepass.console import use_format
from nodepass.fleet.control import Control
from nodepass.fleet.entry import Processes as Place
from nodepass.fleet.file import read_file
from nodepass.fleet.problems import Severity
from nodepass.fleet.runtime import PROCESSES_LOCK, SOCKET
from nodepass.fleet.state import health_of, summary
from nodepass.fleet.tunnels import LocalTunnel, ProcessTunnel
from nodepass.fleet.watch import watch
from nodepass.log import DEBUG, INFO, Log
from nodepass.master.events import EventHub
from nodepass.master.processes import Processes
from nodepass.master.supervised import Surroundings
from nodepass.net.tasks import Tasks
from nodepass.version import __version__

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping
    from pathlib import Path

    from nodepass.fleet.entry import Entry
    from nodepass.fleet.file import TunnelsFile
    from nodepass.fleet.problems import Report
    from nodepass.fleet.state import Health
    from nodepass.fleet.tunnels import Tunnel
    from nodepass.notify import Notifier


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file was read.

    Args:
        file: what it says.
        report: what is wrong with it; nothing that keeps it from being used.
    """

    file: TunnelsFile
    report: Report


class Fleet:
    """The tunnels of one file.

    Args:
        path: of the file.
        reading: its first.
        environ: the environment, without what the file adds to it.
        files: the beginning of the paths of its socket and locks.
        logger: of the process.
        notifier: hears how the process does.
        watched: whether the file is read when it has been saved, and not only at SIGHUP.
    """

    def __init__(
        self,
        path: Path,
        reading: Reading,
        environ: Mapping[str, str],
        files: Path,
        logger: logging.Logger,
        notifier: Notifier,
        *,
        watched: bool,
    ) -> None:
        self._path = path
        self._file = reading.file
        self._report = reading.report
        self._environ = environ
        self._files = files
        self._logger = logger
        self._log = Log(INFO, logger)
        self._notifier = notifier
        self._watched = watched
        self._tasks = Tasks(self._log)
        self._tunnels: dict[str, Tunnel] = {}
        self._processes: Processes
        self._surroundings: Surroundings
        self._control = Control(files.with_name(files.name + SOCKET), self.members)
        self._asked = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = False
        self._begun = self._read = datetime.now(UTC)

    async def start(self) -> None:
        """Start all tunnels.

        Raises:
            RunError: the socket cannot be made.
        """
        await self._control.open()
        self._set_up()
        self._tell_problems(self._report)
        await self._make_missing()
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._asked.set)
        self._keeper = asyncio.create_task(self._keep_current(), name="reload")
        if self._watched:
            self._tasks.start(watch(lambda: self._report.seen, self._asked.set), "watch")

    async def stop(self) -> None:
        """End all tunnels gracefully."""
        self._stopping = True
        self._asked.set()
        if self._keeper is not None:
            await asyncio.wait((self._keeper,))
        await asyncio.gather(*(tunnel.stop() for tunnel in self._tunnels.values()))
        await self._processes.close()
        await self._tasks.cancelled()
        await self._control.close()

    def health(self) -> Health:
        """How all tunnels do together."""
        return health_of(tunnel.state().state for tunnel in self._tunnels.values())

    def status(self) -> str:
        """One line for people."""
        return summary(tunnel.state() for tunnel in self._tunnels.values())

    def members(self) -> dict[str, Any]:
        """All that is known, as JSON has it."""
        return {
            "file": os.path.abspath(self._path),  # noqa: PTH100 - symbolic links stay
            "pid": os.getpid(),
            "version": __version__,
            "started": self._begun.isoformat(timespec="seconds"),
            "read": self._read.isoformat(timespec="seconds"),
            "problems": [problem.members() for problem in self._report.problems],
            "tunnels": [tunnel.state().members() for tunnel in self._tunnels.values()],
        }

    # The file.

    async def _keep_current(self) -> None:
        """Read the file whenever somebody asks for it."""
        while True:
            await self._asked.wait()
            if self._stopping:
                return
            self._asked.clear()
            self._notifier.reloading()
            try:
                await self._read_again()
            except Exception as error:  # noqa: BLE001 - nobody foresaw it, and the next reading may go better
                self._log.error("%s: reading it failed: %r", self._path, error)
            self._notifier.reloaded(self.status())

    async def _read_again(self) -> None:
        file, self._report = await asyncio.to_thread(read_file, self._path, self._environ)
        self._tell_problems(self._report)
        if file is None:
            self._log.error("%s: not taken; everything goes on as it was", self._path)
        else:
            self._read = datetime.now(UTC)
            await self._apply(file)

    def _tell_problems(self, report: Report) -> None:
        for problem in report.problems:
            (self._log.error if problem.severity is Severity.ERROR else self._log.warning)("%s", problem)

    async def _apply(self, file: TunnelsFile) -> None:
        before, self._file = self._file, file
        reformatted = file.tunables.log_format is not before.tunables.log_format
        anew = file.tunables != replace(before.tunables, log_format=file.tunables.log_format)
        if anew:
            self._log.info("The tunables have changed: every tunnel begins anew")
        ending = [
            tunnel
            for name, tunnel in self._tunnels.items()
            if anew or file.entries.get(name) != tunnel.entry or (reformatted and tunnel.writes_lines)
        ]
        for tunnel in ending:
            name = tunnel.entry.name
            self._log.of(name).info("%s", "Changed" if name in file.entries else "Not in the file any more")
        await asyncio.gather(*(tunnel.stop() for tunnel in ending))
        for tunnel in ending:
            del self._tunnels[tunnel.entry.name]
        if anew:
            await self._processes.close()
            self._set_up()
        elif reformatted:
            self._set_variables()
        if not self._stopping:
            kept = len(self._tunnels)
            await self._make_missing()
            text = "%s: read; tunnels ended: %d, begun: %d, left alone: %d"
            self._log.info(text, self._path, len(ending), len(self._tunnels) - kept, kept)

    # The tunnels.

    def _set_variables(self) -> None:
        """Have the file's variables for all processes that are started from now on, and its format for all log lines."""
        for variable in tunables.ALL:
            if variable.name not in self._environ:
                os.environ.pop(variable.name, None)
        os.environ.update(self._file.variables)
        use_format(self._logger, self._file.tunables.log_format)

    def _set_up(self) -> None:
        """Have the file's tunables for all that is started from now on."""
        self._set_variables()
        self._processes = Processes(self._files.with_name(self._files.name + PROCESSES_LOCK), self._log)
        self._surroundings = Surroundings(
            processes=self._processes,
            events=EventHub(list),
            log=Log(DEBUG, self._logger),
            tasks=self._tasks,
            report_interval=self._file.tunables.report_interval,
            counted=lambda _: None,
        )

    async def _make_missing(self) -> None:
        """Start what the file has and does not run; all are in the file's order then."""
        made = {name: self._make(entry) for name, entry in self._file.entries.items() if name not in self._tunnels}
        self._tunnels = {name: made.get(name) or self._tunnels[name] for name in self._file.entries}
        for tunnel in made.values():
            await tunnel.start()

    def _make(self, entry: Entry) -> Tunnel:
        if entry.processes is Place.ONE or isinstance(entry.config, MasterConfig):
            return LocalTunnel(entry, self._file.tunables, self._logger)
        return ProcessTunnel(entry, self._surroundings)


def first_reading(path: Path, environ: Mapping[str, str]) -> Reading | Report:
    """Read a file for the first time; gives the report where it is no good."""
    file, report = read_file(path, environ)
    return report if file is None else Reading(file, report)
