"""One tunnel of a file while it runs: in this process, or in one of its own. Both look alike to the fleet."""

from __future__ import annotations

import asyncio
import logging
import os
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from nodepass.config import MasterConfig, Mode
from nodepass.errors import NodePassError
from nodepass.fleet.state import TunnelState, state_of
from nodepass.log import ERROR, tunnel_logger
from nodepass.master.model import Instance as Row
from nodepass.master.model import Kind, Status
from nodepass.master.supervised import Supervised
from nodepass.net.life import Stage, stage_of
from nodepass.runner import make_instance

if TYPE_CHECKING:
    from nodepass.config import Tunables
    from nodepass.fleet.entry import Entry
    from nodepass.master.output import Line
    from nodepass.master.supervised import Surroundings
    from nodepass.runner import Runnable
    from nodepass.tunnel.instance import Instance
    from nodepass.tunnel.workers.parent import Workers

LONGEST_ERROR: Final = 500
"""Characters of an error that are kept."""


class Tunnel(ABC):
    """One tunnel.

    Args:
        entry: what it is.
    """

    writes_lines = False
    """Whether it has processes that write to standard output themselves, in the format that was in force when they began.

    What has a process of its own has not: its lines come here, and are written here.
    """

    def __init__(self, entry: Entry) -> None:
        self.entry = entry

    @abstractmethod
    async def start(self) -> None:
        """Begin to run in the background."""

    @abstractmethod
    async def stop(self) -> None:
        """End gracefully."""

    @abstractmethod
    def state(self) -> TunnelState:
        """How it does."""


class _LastError(logging.Filter):
    """Remembers the last error that went through a logger, and lets everything pass."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def filter(self, record: logging.LogRecord) -> bool:
        """Look at a record."""
        if record.levelno == ERROR:
            self.text = record.getMessage()[:LONGEST_ERROR]
        return True


class LocalTunnel(Tunnel):
    """In this process.

    Args:
        entry: what it is.
        tunables: the NP_* settings.
        logger: of the process.
    """

    def __init__(self, entry: Entry, tunables: Tunables, logger: logging.Logger) -> None:
        super().__init__(entry)
        self.writes_lines = not isinstance(entry.config, MasterConfig) and entry.config.workers != 1
        self._tunables = tunables
        self._logger = tunnel_logger(entry.name, logger)
        self._errors = _LastError()
        self._logger.addFilter(self._errors)
        self._runnable: Runnable | None = None
        self._instance: Instance[Any] | Workers | None = None
        """The same, unless it is a master, which has no figures."""
        self._life: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        self._life = asyncio.create_task(self._live(), name=f"tunnel {self.entry.name}")

    async def stop(self) -> None:
        self._stopping.set()
        if self._life is not None:
            await self._life

    def state(self) -> TunnelState:
        runnable = self._runnable
        stage = Stage.STARTING if runnable is None else stage_of(runnable)
        figures: dict[str, int] = {}
        if stage is not Stage.STARTING and self._instance is not None:
            figures = self._instance.checkpoint().figures()
        return state_of(self.entry, stage, self._errors.text, os.getpid(), figures)

    async def _live(self) -> None:
        """Run it until `stop`. What keeps it from starting, such as a file gone bad, may be over in a while."""
        while not self._stopping.is_set():
            try:
                # What it imports would keep the loop, and with it the other tunnels, for a tenth of a second.
                self._runnable = await asyncio.to_thread(self._make)
                await self._runnable.start()
            except Exception as error:  # noqa: BLE001 - whatever it is, the other tunnels go on
                self._logger.log(ERROR, "It cannot start: %s", error if isinstance(error, NodePassError) else repr(error))
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._tunables.service_cooldown):
                        await self._stopping.wait()
            else:
                await self._stopping.wait()
                await self._runnable.stop()

    def _make(self) -> Runnable:
        config = self.entry.config
        if not isinstance(config, MasterConfig):
            self._instance = make_instance(self.entry.url, self._tunables, self._logger)
            return self._instance
        from nodepass.master.master import Master  # noqa: PLC0415 - it brings a web server

        return Master(config, tunables=self._tunables, logger=self._logger, folder=self.entry.state_folder)


class ProcessTunnel(Tunnel):
    """In a process of its own, which a master's fork server starts and a master's supervision keeps running.

    Args:
        entry: what it is; not a master.
        surroundings: what all such tunnels share.
    """

    def __init__(self, entry: Entry, surroundings: Surroundings) -> None:
        super().__init__(entry)
        kind = Kind.SERVER if entry.config.scheme is Mode.SERVER else Kind.CLIENT
        row = Row(entry.name, "", kind, Status.STOPPED, entry.url, entry.url)
        self._supervised = _Told(row, surroundings)

    async def start(self) -> None:
        await self._supervised.start()

    async def stop(self) -> None:
        await self._supervised.stop()

    def state(self) -> TunnelState:
        supervised = self._supervised
        figures = supervised.figures if supervised.stage is not Stage.STARTING else {}
        return state_of(self.entry, supervised.stage, supervised.error, supervised.pid, figures)


class _Told(Supervised):
    """Writes the reports of its process to the log, as `nodepass URL` does, and remembers its last error."""

    def __init__(self, instance: Row, surroundings: Surroundings) -> None:
        super().__init__(instance, surroundings)
        self.error = ""
        self.figures: dict[str, int] = {}

    def _take(self, line: Line) -> None:
        super()._take(line)
        if (report := line.report) is not None:
            self.figures = report.figures()
            self._log.event(line.text)

    def _tell(self, level: int, text: str, line: str) -> None:
        super()._tell(level, text, line)
        if level == ERROR:
            self.error = text[:LONGEST_ERROR]
