"""The master's state in SQLite: what stands in the file, and how it gets there. Blocking; `store` has a thread for it.

How it works: the master's memory is the truth, and the file its durable copy. Nothing is read from the file after `open`.

What always holds:

- A method that changes something returns once it is on the disk (WAL, `synchronous=FULL`), or raises `StateError` and has
  changed nothing. What works again later, such as a disk that was full, is simply tried anew by the next change.
- `kept` is what has been written. After an error, and where the file is not the one that was opened any more, all of it is
  written anew: no change goes to a file that nobody will find, or that lacks others.
- A file that is damaged is never deleted or written to, but renamed.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from nodepass.errors import StateError
from nodepass.master import state_tables
from nodepass.master.state_tables import DamagedError, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from nodepass.log import Log
    from nodepass.master.model import Instance
    from nodepass.master.state_tables import MasterRow

FILE: Final = "nodepass.sqlite3"
BACKUP: Final = "nodepass.backup.sqlite3"
SIDE_FILES: Final = ("-wal", "-shm")
"""What SQLite keeps beside a file. They belong to that file, and to no other that takes its name."""

BUSY_TIMEOUT: Final = 5.0
"""Seconds that another program, such as a backup of the machine, may lock the file."""


class StateFile:
    """The file in one folder.

    Args:
        folder: where it and its backup are.
        log: of the master.
    """

    def __init__(self, folder: Path, log: Log) -> None:
        self.path = folder / FILE
        self.backup = folder / BACKUP
        self.kept = State(None, {})
        self._log = log
        self._opened = False
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    # Opening.

    def open(self) -> State:
        """Read the state; a file that is missing or damaged is replaced by its backup.

        Raises:
            StateError: it cannot be read, or a later version made it.
        """
        try:
            self.kept = self._open_or_recover()
            self._opened = True
        except (OSError, sqlite3.Error) as error:
            raise StateError(f"the state in {self.path} cannot be opened: {_reason(error)}") from None
        return self.kept

    def _open_or_recover(self) -> State:
        if not self._has_content() and self.backup.exists():
            self._log.warning("The state in %s is missing", self.path)
            self._restore()
        try:
            return self._read()
        except DamagedError as error:
            self._log.error("The state in %s is damaged: %s", self.path, error)
        self._set_aside()
        if self.backup.exists():
            self._restore()
            try:
                return self._read()
            except DamagedError as error:
                self._log.error("The backup %s is damaged as well: %s", self.backup, error)
            self._set_aside()
        self._log.error("There is no backup of the state: beginning with none")
        return self._read()

    def _has_content(self) -> bool:
        # SQLite takes an empty file for a new one.
        return self.path.exists() and self.path.stat().st_size > 0

    def _read(self) -> State:
        """Open the file and read all of it; where it cannot be written, it can be read all the same.

        Raises:
            DamagedError: it is damaged.
        """
        try:
            state = state_tables.read(self._connect())
        except DamagedError:
            self._disconnect()
            raise
        except (OSError, sqlite3.Error) as error:
            self._disconnect()
            if not self._has_content():
                raise
            self._log.error("The state in %s can only be read: %s", self.path, _reason(error))
            return self._read_only()
        self._identity = self._identity_now()
        return state

    def _read_only(self) -> State:
        journal = self.path.with_name(f"{FILE}-wal")
        # A file that is whole by itself needs nothing beside it.
        whole = not journal.exists() or not journal.stat().st_size
        uri = f"{self.path.absolute().as_uri()}?mode=ro{'&immutable=1' if whole else ''}"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as connection:
            # Alone with the file, SQLite keeps in memory what it else shares in another file.
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            return state_tables.read(connection)

    def _connect(self) -> sqlite3.Connection:
        # SQLite gives the files beside it the same mode.
        _make_private(self.path)
        connection = sqlite3.connect(self.path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False)
        try:
            state_tables.prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            connection, self._connection = self._connection, None
            with suppress(sqlite3.Error):
                connection.close()

    def _identity_now(self) -> tuple[int, int] | None:
        """Which file has the name."""
        with suppress(OSError):
            status = self.path.stat()
            return status.st_dev, status.st_ino
        return None

    def _set_aside(self) -> None:
        """Give the file, and what belongs to it, another name."""
        aside = _free_name(self.path)
        # The file itself last: if this is cut short, it is still found to be damaged.
        for suffix in (*SIDE_FILES, ""):
            with suppress(FileNotFoundError):
                self.path.with_name(FILE + suffix).rename(aside.with_name(aside.name + suffix))
        self._log.error("The damaged state is kept as %s", aside)

    def _restore(self) -> None:
        for suffix in SIDE_FILES:
            self.path.with_name(FILE + suffix).unlink(missing_ok=True)
        _write_durably(self.path, lambda unfinished: unfinished.write_bytes(self.backup.read_bytes()))
        self._log.warning("The backup %s of the state is used", self.backup)

    # Changing.

    def save(self, instance: Instance) -> None:
        """Keep an instance: all of it if it is new, else all but its counters."""
        before = self.kept.instances.get(instance.id)
        self._write(lambda connection: state_tables.save(connection, instance))
        figures = instance.figures if before is None else before.figures
        self.kept.instances[instance.id] = replace(instance, figures=figures)

    def remove(self, instance_id: str) -> None:
        """Forget an instance."""
        self._write(lambda connection: state_tables.remove(connection, instance_id))
        self.kept.instances.pop(instance_id, None)

    def save_totals(self, instances: Iterable[Instance]) -> None:
        """Keep the counters of instances; those that are not kept are left out."""
        known = [instance for instance in instances if instance.id in self.kept.instances]
        self._write(lambda connection: state_tables.save_totals(connection, known))
        for instance in known:
            self.kept.instances[instance.id] = replace(self.kept.instances[instance.id], figures=instance.figures)

    def save_master(self, master: MasterRow) -> None:
        """Keep the master's identity."""
        self._write(lambda connection: state_tables.save_master(connection, master))
        self.kept.master = master

    def back_up(self) -> None:
        """Copy the state to the backup, which is the old one or the new one at any moment.

        Raises:
            StateError: it cannot be written, or the copy is not sound; the old backup stays.
        """

        def copy(connection: sqlite3.Connection) -> None:
            _write_durably(self.backup, lambda unfinished: state_tables.copy(connection, unfinished))

        self._guarded(copy)

    def close(self) -> None:
        """Close the file; all of it is in one then."""
        self._disconnect()

    def _write(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Do something in a transaction.

        Raises:
            StateError: it could not be done, and nothing has changed.
        """
        self._guarded(lambda connection: _in_transaction(connection, lambda: work(connection)))

    def _guarded(self, work: Callable[[sqlite3.Connection], None]) -> None:
        try:
            work(self._connected())
        except (OSError, sqlite3.Error, DamagedError) as error:
            # What is open may be of no use any more, as after the disk was taken away.
            self._disconnect()
            raise StateError(f"the state in {self.path} cannot be written: {_reason(error)}") from None

    def _connected(self) -> sqlite3.Connection:
        """Give a connection to the file that has the name, with all in it that is kept."""
        if not self._opened:
            raise StateError("the state has not been opened")
        if self._connection is not None and self._identity_now() == self._identity:
            return self._connection
        self._disconnect()
        connection = self._connect()
        _in_transaction(connection, lambda: state_tables.write_anew(connection, self.kept))
        self._identity = self._identity_now()
        self._log.info("The state in %s has been written anew", self.path)
        return connection


def _in_transaction(connection: sqlite3.Connection, work: Callable[[], None]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        work()
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _make_private(path: Path) -> None:
    """Make the file, if it is not there, for its owner alone."""
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _write_durably(path: Path, write: Callable[[Path], object]) -> None:
    """Replace a file as a whole: after a crash there is the old one or the new one."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    _make_private(unfinished)
    try:
        write(unfinished)
        _sync(unfinished)
        unfinished.replace(path)
        _sync(path.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _free_name(path: Path) -> Path:
    """A name beside `path` that nothing has."""
    number = 1
    while (candidate := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    return candidate


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
