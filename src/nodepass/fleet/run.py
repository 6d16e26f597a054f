"""`nodepass run FILE`: from the first reading of the file to the exit code."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Final

from setproctitle import setproctitle

from nodepass.console import make_logger
from nodepass.errors import RunError
from nodepass.fleet.fleet import Fleet, first_reading
from nodepass.fleet.problems import Report
from nodepass.fleet.runtime import LOCK, open_folder, paths_of, runtime_folder, take_lock
from nodepass.fleet.state import Health
from nodepass.notify import Notifier
from nodepass.runner import READY_PATIENCE, run, until_signalled

if TYPE_CHECKING:
    from pathlib import Path

EXIT_CANNOT_RUN: Final = 1
EXIT_BAD_INPUT: Final = 2

LOOK_INTERVAL: Final = 0.1
"""Seconds between two looks at tunnels that have just been started."""


def run_file(path: Path, *, watched: bool) -> int:
    """Run the tunnels of a file until a signal ends them; gives the exit code.

    Args:
        path: of the file.
        watched: whether it is read again when it has been saved; SIGHUP has it read in any case.
    """
    environ = dict(os.environ)
    reading = first_reading(path, environ)
    if isinstance(reading, Report):
        for problem in reading.problems:
            _say(str(problem))
        return EXIT_BAD_INPUT
    try:
        folder = runtime_folder(environ)
        open_folder(folder)
        files = paths_of(path, folder)
        # Held until the process ends.
        take_lock(files.with_name(files.name + LOCK))
        setproctitle(f"nodepass run {path}")
        logger = make_logger(reading.file.tunables.log_format)
        notifier = Notifier(os.environ)
        return run(_live(Fleet(path, reading, environ, files, logger, notifier, watched=watched), notifier))
    except RunError as error:
        _say(f"{path}: {error}")
        return EXIT_CANNOT_RUN


async def _live(fleet: Fleet, notifier: Notifier) -> int:
    announcing: list[asyncio.Task[None]] = []

    def announce() -> None:
        announcing.append(asyncio.create_task(_announce(fleet, notifier)))

    try:
        return await until_signalled(fleet, started=announce, ending=notifier.stopping)
    finally:
        for task in announcing:
            task.cancel()
        notifier.close()


async def _announce(fleet: Fleet, notifier: Notifier) -> None:
    """Say that it runs: when all tunnels do, or have had a while to."""
    loop = asyncio.get_running_loop()
    end = loop.time() + READY_PATIENCE
    while fleet.health() is Health.BROKEN and loop.time() < end:  # noqa: ASYNC110 - many may become ready
        await asyncio.sleep(LOOK_INTERVAL)
    notifier.ready(fleet.status)


def _say(text: str) -> None:
    sys.stderr.write(f"nodepass: {text}\n")
