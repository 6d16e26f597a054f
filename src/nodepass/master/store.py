"""Where the master's state is, who may use it, and a thread that does what blocks."""

from __future__ import annotations

import asyncio
import fcntl
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from nodepass.errors import StateError
from nodepass.master.state_file import StateFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from nodepass.log import Log
    from nodepass.master.model import Instance
    from nodepass.master.state_tables import MasterRow, State

VARIABLE: Final = "NP_STATE_DIR"

MASTER_LOCK: Final = "master.lock"
PROCESSES_LOCK: Final = "processes.lock"

P = ParamSpec("P")
T = TypeVar("T")


def state_folder(environ: Mapping[str, str]) -> Path:
    """Where a master keeps its state: NP_STATE_DIR, else the platform's folder for a user's data."""
    from platformdirs import user_data_path  # noqa: PLC0415 - not needed where the variable says it

    named = environ.get(VARIABLE)
    return Path(named) if named else user_data_path("nodepass", appauthor=False)


class Store:
    """The state of one master: durable when a method returns. Changes wait for each other, and nothing else for them.

    Args:
        folder: where it is; made for its owner alone if it is not there.
        log: of the master.
    """

    def __init__(self, folder: Path, log: Log) -> None:
        self.folder = folder
        self.processes_lock = folder / PROCESSES_LOCK
        """The file that the fork server and all processes hold a lock on."""
        self._file = StateFile(folder, log)
        self._lock: int | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="state")

    async def open(self) -> State:
        """Take the folder, and read the state.

        Raises:
            StateError: it cannot be read, or another master uses it.
        """
        return await self._run(self._open)

    async def save(self, instance: Instance) -> None:
        """Keep an instance: all of it if it is new, else all but its counters.

        Raises:
            StateError: it cannot be written, and nothing has changed.
        """
        await self._run(self._file.save, instance)

    async def remove(self, instance_id: str) -> None:
        """Forget an instance.

        Raises:
            StateError: see `save`.
        """
        await self._run(self._file.remove, instance_id)

    async def save_totals(self, instances: Iterable[Instance]) -> None:
        """Keep the counters of instances.

        Raises:
            StateError: see `save`.
        """
        await self._run(self._file.save_totals, instances)

    async def save_master(self, master: MasterRow) -> None:
        """Keep the master's identity.

        Raises:
            StateError: see `save`.
        """
        await self._run(self._file.save_master, master)

    async def back_up(self) -> None:
        """Make a fresh backup.

        Raises:
            StateError: it cannot be made; the old one stays.
        """
        await self._run(self._file.back_up)

    async def close(self) -> None:
        """Let go of the folder, whether it was opened or not."""
        await self._run(self._close)
        self._thread.shutdown()

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *args, **kwargs))

    def _open(self) -> State:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.folder / MASTER_LOCK, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateError(f"another master uses the state in {self.folder}; set {VARIABLE} to another folder") from None
        except OSError as error:
            raise StateError(f"the state in {self.folder} cannot be opened: {error.strerror}") from None
        return self._file.open()

    def _close(self) -> None:
        self._file.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
