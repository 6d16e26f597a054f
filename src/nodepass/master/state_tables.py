"""The tables of the master's state, and the rows in them. Errors of SQLite pass through, but for one: damage."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from nodepass.config import Secret
from nodepass.errors import StateError
from nodepass.master.model import Figures, Instance, Kind, Peer, Status

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

VERSION: Final = 1
"""Of the tables; a later one is not read."""

_TABLES: Final = (
    """CREATE TABLE master (
        one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL, api_key TEXT NOT NULL, alias TEXT NOT NULL)""",
    """CREATE TABLE instance (
        position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, alias TEXT NOT NULL, type TEXT NOT NULL,
        url TEXT NOT NULL, config TEXT NOT NULL, restart INTEGER NOT NULL,
        peer_sid TEXT NOT NULL, peer_type TEXT NOT NULL, peer_alias TEXT NOT NULL, tags TEXT NOT NULL,
        tcprx INTEGER NOT NULL, tcptx INTEGER NOT NULL, udprx INTEGER NOT NULL, udptx INTEGER NOT NULL)""",
)
_COLUMNS: Final = "id, alias, type, url, config, restart, peer_sid, peer_type, peer_alias, tags, tcprx, tcptx, udprx, udptx"
_DAMAGE: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class DamagedError(Exception):
    """The file is no database, or one that does not hold together."""


@dataclass(frozen=True, slots=True)
class MasterRow:
    """Who the master is.

    Args:
        id: 16 hex digits.
        api_key: 32 hex digits.
        alias: a name for people.
    """

    id: str
    api_key: Secret
    alias: str = ""


@dataclass(slots=True)
class State:
    """Everything that is kept.

    Args:
        master: None before the first start.
        instances: by ID, in the order of their creation. Of their figures, only the counters are kept.
    """

    master: MasterRow | None
    instances: dict[str, Instance] = field(default_factory=dict)


def prepare(connection: sqlite3.Connection) -> None:
    """Make a connection durable, and make the tables in a file that has none.

    Raises:
        DamagedError: the file is damaged.
        StateError: a later version made it.
    """
    try:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        version = _version(connection)
        if version > VERSION:
            raise StateError(f"a later version of nodepass made the state: its tables are of version {version}")
        if not version:
            connection.execute("BEGIN IMMEDIATE")
            for table in _TABLES:
                connection.execute(table)
            connection.execute(f"PRAGMA user_version={VERSION}")
            connection.execute("COMMIT")
    except sqlite3.DatabaseError as error:
        raise _damage(error) from None


def read(connection: sqlite3.Connection) -> State:
    """Check the file and read everything.

    Raises:
        DamagedError: it is damaged, or holds what no version writes.
    """
    try:
        _check(connection)
        masters = connection.execute("SELECT id, api_key, alias FROM master")
        master = next((MasterRow(id_, Secret(key), alias) for id_, key, alias in masters), None)
        rows = connection.execute(f"SELECT {_COLUMNS} FROM instance ORDER BY position")  # noqa: S608 - names of columns
        instances = [_instance(*row) for row in rows]
    except sqlite3.DatabaseError as error:
        raise _damage(error) from None
    except (TypeError, ValueError) as error:
        raise DamagedError(str(error)) from None
    return State(master, {instance.id: instance for instance in instances})


def copy(connection: sqlite3.Connection, path: Path) -> None:
    """Copy everything to another file.

    Raises:
        DamagedError: the copy is not sound.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as target:
        connection.backup(target)
        target.execute("PRAGMA journal_mode=DELETE")
        _check(target)


def save(connection: sqlite3.Connection, instance: Instance) -> None:
    """Insert an instance, or update all but its counters."""
    marks = ", ".join("?" * (_COLUMNS.count(",") + 1))
    updates = ", ".join(f"{name}=excluded.{name}" for name in _COLUMNS.split(", ")[1:-4])
    connection.execute(
        f"INSERT INTO instance ({_COLUMNS}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {updates}",  # noqa: S608 - see above
        _row(instance),
    )


def save_totals(connection: sqlite3.Connection, instances: Iterable[Instance]) -> None:
    """Update the counters of instances."""
    connection.executemany(
        "UPDATE instance SET tcprx=?, tcptx=?, udprx=?, udptx=? WHERE id=?",
        [(*_totals(instance), instance.id) for instance in instances],
    )


def remove(connection: sqlite3.Connection, instance_id: str) -> None:
    """Delete an instance."""
    connection.execute("DELETE FROM instance WHERE id=?", (instance_id,))


def save_master(connection: sqlite3.Connection, master: MasterRow) -> None:
    """Insert or update the master's row."""
    connection.execute(
        "INSERT OR REPLACE INTO master (one, id, api_key, alias) VALUES (1, ?, ?, ?)",
        (master.id, master.api_key.reveal(), master.alias),
    )


def write_anew(connection: sqlite3.Connection, state: State) -> None:
    """Replace everything."""
    connection.execute("DELETE FROM instance")
    connection.execute("DELETE FROM master")
    if state.master is not None:
        save_master(connection, state.master)
    for instance in state.instances.values():
        save(connection, instance)


def _version(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def _check(connection: sqlite3.Connection) -> None:
    problems = [text for (text,) in connection.execute("PRAGMA quick_check(1)")]
    if problems != ["ok"]:
        raise DamagedError("; ".join(problems))
    if _version(connection) != VERSION:
        raise DamagedError("it has no tables")


def _damage(error: sqlite3.DatabaseError) -> Exception:
    """What to raise: an error of the disk or the system is not the file's."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return DamagedError(str(error)) if code in _DAMAGE else error


def _row(instance: Instance) -> tuple[str | int, ...]:
    peer = instance.peer
    tags = json.dumps(dict(instance.tags), ensure_ascii=False)
    settings = (instance.id, instance.alias, instance.type.value, instance.url, instance.config, instance.restart)
    return (*settings, peer.sid, peer.type, peer.alias, tags, *_totals(instance))


def _totals(instance: Instance) -> tuple[int, int, int, int]:
    figures = instance.figures
    return figures.tcprx, figures.tcptx, figures.udprx, figures.udptx


def _instance(*row: Any) -> Instance:
    id_, alias, type_, url, config, restart, sid, peer_type, peer_alias, tags, *totals = row
    tcprx, tcptx, udprx, udptx = totals
    return Instance(
        id=id_,
        alias=alias,
        type=Kind(type_),
        status=Status.STOPPED,
        url=url,
        config=config,
        restart=bool(restart),
        peer=Peer(sid, peer_type, peer_alias),
        tags=json.loads(tags),
        figures=Figures(tcprx=tcprx, tcptx=tcptx, udprx=udprx, udptx=udptx),
    )
