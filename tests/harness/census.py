"""What a process of the product has in memory, counted: its tasks, and its objects of each class of the product.

A process that was started with `env` of a `Census`, as a fork (`forks`), counts when it gets a signal, after it has
collected what nobody holds. So what a dead session leaves behind is seen, whatever it is: a task, a place, a link.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

FOLDER: Final = "NODEPASS_CENSUS"
"""The variable that names the folder in which processes write what they counted."""

SIGNAL: Final = signal.SIGUSR2
TASKS: Final = "tasks"
PATIENCE: Final = 15.0


def install() -> None:
    """Count when asked to, if this process was started for that."""
    if FOLDER in os.environ:
        signal.signal(SIGNAL, _write)


def _write(*_: object) -> None:
    """In the process: between two callbacks of its loop."""
    path = Path(os.environ[FOLDER]) / str(os.getpid())
    gc.collect()
    found = Counter(_name(type(each)) for each in gc.get_objects() if type(each).__module__.startswith("nodepass."))
    found[TASKS] = len(asyncio.all_tasks(asyncio.get_running_loop()))
    written = path.with_suffix(".new")
    written.write_text(json.dumps(found), "utf-8")
    written.rename(path)


def _name(kind: type) -> str:
    return f"{kind.__module__.removeprefix('nodepass.')}.{kind.__qualname__}"


class Census:
    """Asks processes.

    Args:
        folder: where they write; for this alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.env: Mapping[str, str] = {FOLDER: str(folder)}
        """Variables of a process that is to answer."""

    def take(self, pid: int) -> Counter[str]:
        """What a process has now. Nothing tells that the file is there, so it is looked for."""
        path = self._folder / str(pid)
        os.kill(pid, SIGNAL)
        end = time.monotonic() + PATIENCE
        while not path.exists():
            assert time.monotonic() < end, f"{pid} does not count"
            time.sleep(0.005)
        found = Counter(json.loads(path.read_text("utf-8")))
        path.unlink()
        return found
