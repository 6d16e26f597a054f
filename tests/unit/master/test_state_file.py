"""The state on disk: durable, recovered from a backup when damaged, refusing changes that a full disk does not take."""

from __future__ import annotations

import logging
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from nodepass.config import Secret
from nodepass.errors import StateError
from nodepass.log import Log
from nodepass.master.model import Figures, Instance, Kind, Peer, Status
from nodepass.master.state_file import StateFile
from nodepass.master.state_tables import MasterRow, State
from nodepass.master.store import Store, state_folder
from tests.harness.process import SOURCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MASTER = MasterRow("0123456789abcdef", Secret("f" * 32), "the master")
LOG = Log(logging.DEBUG)


def instance(number: int = 1, alias: str = "", tcprx: int = 0) -> Instance:
    return Instance(
        id=f"{number:08x}",
        alias=alias,
        type=Kind.SERVER,
        status=Status.STOPPED,
        url="server://k@:1/:2",
        config="server://k@:1/:2?log=info",
        restart=number % 2 == 0,
        peer=Peer("s", "t", "a"),
        tags={"Ключ": "значение", "": '"'},
        figures=Figures(tcprx=tcprx, tcptx=2, udprx=3, udptx=2**62),
    )


@pytest.fixture
def file(tmp_path: Path) -> Iterator[StateFile]:
    file = StateFile(tmp_path, LOG)
    file.open()
    yield file
    file.close()


def reopened(folder: Path) -> State:
    file = StateFile(folder, LOG)
    try:
        return file.open()
    finally:
        file.close()


def test_everything_comes_back_in_order(file: StateFile, tmp_path: Path) -> None:
    file.save_master(MASTER)
    instances = [instance(number, alias=f"number {number}") for number in (3, 1, 2)]
    for each in instances:
        file.save(each)
    file.save(replace(instances[0], alias="changed"))
    file.close()
    state = reopened(tmp_path)
    assert state.master == MASTER
    assert list(state.instances.values()) == [replace(instances[0], alias="changed"), *instances[1:]]


def test_an_instance_that_is_removed_stays_away(file: StateFile, tmp_path: Path) -> None:
    file.save(instance(1))
    file.save(instance(2))
    file.remove(instance(1).id)
    file.save_totals([instance(1, tcprx=5)])
    file.close()
    assert list(reopened(tmp_path).instances) == [instance(2).id]


def test_a_change_leaves_the_counters_alone_and_they_it(file: StateFile, tmp_path: Path) -> None:
    file.save(instance(tcprx=1))
    file.save_totals([instance(alias="not kept", tcprx=100)])
    file.save(instance(alias="kept", tcprx=1))
    assert file.kept.instances[instance().id] == instance(alias="kept", tcprx=100)
    file.close()
    assert reopened(tmp_path).instances[instance().id] == instance(alias="kept", tcprx=100)


def test_nobody_else_may_read_it(file: StateFile, tmp_path: Path) -> None:
    file.save_master(MASTER)
    file.back_up()
    files = list(tmp_path.iterdir())
    assert len(files) == 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_damaged_file_is_set_aside_and_the_backup_used(
    file: StateFile, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.save_master(MASTER)
    file.save(instance(1))
    file.back_up()
    file.save(instance(2))
    file.close()
    damaged = b"SQLite format 3\0" + os.urandom(5000)
    file.path.write_bytes(damaged)
    state = reopened(tmp_path)
    assert state.master == MASTER
    assert list(state.instances) == [instance(1).id]
    assert "is damaged" in caplog.text
    assert "is used" in caplog.text
    assert (tmp_path / f"{file.path.name}.damaged-1").read_bytes() == damaged
    # From here on it is as any other.
    assert reopened(tmp_path) == state


def test_damage_inside_is_found(file: StateFile, tmp_path: Path) -> None:
    for number in range(200):
        file.save(instance(number))
    file.back_up()
    file.close()
    data = bytearray(file.path.read_bytes())
    data[8192 : 8192 + 512] = os.urandom(512)
    file.path.write_bytes(data)
    assert len(reopened(tmp_path).instances) == 200
    assert (tmp_path / f"{file.path.name}.damaged-1").exists()


@pytest.mark.parametrize("content", [None, b""])
def test_a_missing_file_is_replaced_by_the_backup(file: StateFile, tmp_path: Path, content: bytes | None) -> None:
    file.save(instance(1))
    file.back_up()
    file.close()
    file.path.unlink()
    if content is not None:
        file.path.write_bytes(content)
    assert list(reopened(tmp_path).instances) == [instance(1).id]


def test_a_journal_that_holds_all_of_a_damaged_file_repairs_it(file: StateFile, tmp_path: Path) -> None:
    file.save(instance(1))
    file.back_up()
    file.save(instance(2))
    journal = tmp_path / f"{file.path.name}-wal"
    whole = journal.read_bytes()
    file.close()
    file.path.write_bytes(b"no database")
    journal.write_bytes(whole)
    assert list(reopened(tmp_path).instances) == [instance(1).id, instance(2).id]


def test_the_journal_of_a_damaged_file_does_not_get_into_the_backup(file: StateFile, tmp_path: Path) -> None:
    file.save(instance(1))
    file.back_up()
    file.save(instance(2))
    journal = tmp_path / f"{file.path.name}-wal"
    part = journal.read_bytes()[: 32 + 3 * (24 + 4096)]
    file.close()
    file.path.write_bytes(b"x" * 5000)
    journal.write_bytes(part)
    assert list(reopened(tmp_path).instances) == [instance(1).id]


def test_both_damaged_begins_anew_and_keeps_both(file: StateFile, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.back_up()
    file.close()
    file.path.write_bytes(b"x" * 5000)
    file.backup.write_bytes(b"y" * 5000)
    assert reopened(tmp_path) == State(None, {})
    assert (tmp_path / f"{file.path.name}.damaged-1").read_bytes() == b"x" * 5000
    assert (tmp_path / f"{file.path.name}.damaged-2").read_bytes() == b"y" * 5000
    assert "There is no backup" in caplog.text


def test_rows_that_no_version_writes_are_damage(file: StateFile, tmp_path: Path) -> None:
    file.save(instance(1))
    file.close()
    with sqlite3.connect(file.path) as connection:
        connection.execute("UPDATE instance SET tags='{'")
    connection.close()
    assert reopened(tmp_path) == State(None, {})
    assert (tmp_path / f"{file.path.name}.damaged-1").exists()


def test_a_later_version_is_refused_and_left_alone(file: StateFile, tmp_path: Path) -> None:
    file.save(instance(1))
    file.close()
    with sqlite3.connect(file.path) as connection:
        connection.execute("PRAGMA user_version=9")
    connection.close()
    with pytest.raises(StateError, match="later version"):
        reopened(tmp_path)
    assert not list(tmp_path.glob("*.damaged-*"))


@contextmanager
def full_disk(room: int) -> Iterator[None]:
    """No file may grow beyond `room` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_refuses_changes_and_recovers(file: StateFile, tmp_path: Path) -> None:
    file.save_master(MASTER)
    file.save(instance(1))
    before = State(file.kept.master, dict(file.kept.instances))
    with full_disk(100):
        changes: list[Callable[[], object]] = [
            lambda: file.save(instance(2)),
            lambda: file.save(instance(1, alias="changed")),
            lambda: file.remove(instance(1).id),
            lambda: file.save_totals([instance(1, tcprx=7)]),
            lambda: file.save_master(replace(MASTER, alias="changed")),
            file.back_up,
        ]
        for change in changes:
            with pytest.raises(StateError, match="cannot be written"):
                change()
        assert file.kept == before
    file.save(instance(2))
    file.close()
    state = reopened(tmp_path)
    assert state.master == MASTER
    assert list(state.instances.values()) == [instance(1), instance(2)]


def test_a_full_disk_leaves_the_old_backup(file: StateFile, tmp_path: Path) -> None:
    file.save(instance(1))
    file.back_up()
    before = file.backup.read_bytes()
    with full_disk(5000), pytest.raises(StateError):
        file.back_up()
    assert file.backup.read_bytes() == before
    assert not list(tmp_path.glob("*.unfinished*"))


def test_a_state_that_is_deleted_meanwhile_is_written_anew(file: StateFile, tmp_path: Path) -> None:
    file.save_master(MASTER)
    file.save(instance(1))
    for path in tmp_path.iterdir():
        path.unlink()
    file.save(instance(2))
    file.close()
    state = reopened(tmp_path)
    assert state.master == MASTER
    assert list(state.instances) == [instance(1).id, instance(2).id]


def test_a_folder_that_comes_back(tmp_path: Path) -> None:
    folder, away = tmp_path / "state", tmp_path / "away"
    folder.mkdir()
    file = StateFile(folder, LOG)
    file.open()
    file.save(instance(1))
    folder.rename(away)
    with pytest.raises(StateError):
        file.save(instance(2))
    away.rename(folder)
    file.save(instance(2))
    file.close()
    assert list(reopened(folder).instances) == [instance(1).id, instance(2).id]


def test_nothing_is_written_before_it_was_opened(tmp_path: Path) -> None:
    file = StateFile(tmp_path, LOG)
    with pytest.raises(StateError, match="not been opened"):
        file.save_totals([])
    assert not list(tmp_path.iterdir())


WRITER = """
import sys
from pathlib import Path
from tests.unit.master.test_state_file import LOG, StateFile, instance
file = StateFile(Path(sys.argv[1]), LOG)
file.open()
for number in range(100000):
    file.save(instance(number))
    if number % 20 == 19:
        file.back_up()
    print(number, flush=True)
"""


@pytest.mark.parametrize("lines", [1, 33, 80])
def test_what_was_told_to_be_kept_survives_kill_9(tmp_path: Path, lines: int) -> None:
    argv = [sys.executable, "-c", WRITER, str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(SOURCE), str(SOURCE.parent)))}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=env, text=True) as writer:
        assert writer.stdout is not None
        for _ in range(lines):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        told = lines + len(writer.stdout.readlines())
    # One more may have been written, and not told.
    assert len(reopened(tmp_path).instances) in {told, told + 1}
    assert not list(tmp_path.glob("*.damaged-*"))


def test_where_it_is(tmp_path: Path) -> None:
    assert state_folder({"NP_STATE_DIR": str(tmp_path)}) == tmp_path
    assert state_folder({}).name == "nodepass"


async def test_only_one_master_uses_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "down"
    first, second = Store(folder, LOG), Store(folder, LOG)
    await first.open()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    await first.save(instance(1))
    with pytest.raises(StateError, match="another master uses the state in"):
        await second.open()
    with pytest.raises(StateError):
        await second.save(instance(2))
    await second.close()
    await first.close()
    third = Store(folder, LOG)
    assert list((await third.open()).instances) == [instance(1).id]
    await third.close()


async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = Store(tmp_path / "file" / "state", LOG)
    with pytest.raises(StateError, match="cannot be opened: Not a directory"):
        await store.open()
    await store.close()
