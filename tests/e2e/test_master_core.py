"""Instances as real processes: traffic, counters, crashes, kills, and a key that nobody sees."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from nodepass.config import MasterConfig, Tunables, parse_url
from nodepass.errors import ConfigError, MasterError, SameUrlError, UnknownInstanceError
from nodepass.log import DEBUG, Log
from nodepass.master import fork_connection
from nodepass.master.instances import Instances
from nodepass.master.model import Action, Change, EventType, Instance, Kind, Peer, Status
from nodepass.master.state_file import FILE, StateFile
from tests.harness import KEY, TIMEOUT, Echo, Process, UdpEcho, connect, echoed, exchange, free_port, udp_socket
from tests.harness.process import SOURCE
from tests.harness.tunnel import QUICK

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from nodepass.master.model import Event

HEAVY = (
    "fastapi",
    "starlette",
    "uvicorn",
    "pydantic",
    "psutil",
    "prometheus_client",
    "platformdirs",
    "sqlite3",
    "multiprocessing",
)


class Stage:
    """A master's instances, and everything that was told."""

    def __init__(self, folder: Path, query: str = "log=debug") -> None:
        config = parse_url(f"master://:9?{query}")
        assert isinstance(config, MasterConfig)
        self.instances = Instances(config, Tunables.from_environment(os.environ), Log(DEBUG), folder)
        self.events: list[Event] = []
        self._more = asyncio.Condition()
        self._reading: asyncio.Task[None] | None = None

    async def open(self) -> None:
        await self.instances.open()
        self._reading = asyncio.create_task(self._read())

    async def close(self) -> None:
        await self.instances.close()
        if self._reading is not None:
            await self._reading

    async def _read(self) -> None:
        async for event in self.instances.events.subscribe():
            async with self._more:
                self.events.append(event)
                self._more.notify_all()

    async def told(self, wanted: Callable[[Event], bool], since: int = 0) -> Event:
        """Wait for an event, from the number `since` on."""
        async with asyncio.timeout(TIMEOUT), self._more:
            while True:
                for event in self.events[since:]:
                    if wanted(event):
                        return event
                since = max(since, len(self.events))
                await self._more.wait()

    async def becomes(self, instance: Instance, status: Status, since: int = 0) -> Instance:
        """Wait until an instance is told to do so; a report has to come for it to run."""

        def wanted(event: Event) -> bool:
            now = event.instance
            return (
                now is not None
                and event.type is not EventType.LOG
                and (now.id, now.status) == (instance.id, status)
                # A report may be taken in the turn of the loop before the one that learns which process it is.
                and (status is not Status.RUNNING or (now.figures.mode > 0 and self.instances.pid(now.id) is not None))
            )

        event = await self.told(wanted, since)
        assert event.instance is not None
        return event.instance

    async def line(self, pattern: str, since: int = 0) -> str:
        return (await self.told(lambda event: re.search(pattern, event.logs) is not None, since)).logs

    def pid(self, instance: Instance) -> int:
        pid = self.instances.pid(instance.id)
        assert pid is not None
        return pid

    async def act(self, instance: Instance, action: Action) -> Instance:
        return await self.instances.change(instance.id, Change(action=action))

    async def forwarder(self, target: int, query: str = "") -> tuple[Instance, int]:
        """A forwarder that runs, and its port."""
        port = free_port()
        url = f"client://{KEY}@127.0.0.1:{port}/127.0.0.1:{target}?mode=1&{query}"
        instance = await self.instances.create(url)
        await self.becomes(instance, Status.RUNNING)
        return instance, port


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in QUICK.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path)
    await stage.open()
    try:
        yield stage
    finally:
        await stage.close()


def of_process(pid: int, name: str) -> Path:
    return Path(f"/proc/{pid}/{name}")


def private_files(pid: int) -> set[str]:
    """The pipes and sockets that a process has open."""
    names = {str(link.readlink()) for link in of_process(pid, "fd").iterdir()}
    return {name for name in names if name.startswith(("pipe:", "socket:"))}


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def is_there(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_gone(pid: int) -> None:
    """Wait for the end of a process that is nobody's child here."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([descriptor], [], [], TIMEOUT)[0], f"{pid} is still there"
    finally:
        os.close(descriptor)


async def test_traffic_counters_stop_and_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What is told to stop waits for sessions to end, and a UDP session ends by itself.
    monkeypatch.setenv("NP_UDP_READ_TIMEOUT", "300ms")
    stage = Stage(tmp_path)
    await stage.open()
    with Echo() as target, UdpEcho(target.port):
        instance, port = await stage.forwarder(target.port)
        assert instance.type is Kind.CLIENT
        assert await asyncio.to_thread(echoed, port, 123_456)
        with udp_socket(port) as user:
            await asyncio.to_thread(user.send, b"12345")
            assert await asyncio.to_thread(user.recv, 10) == b"12345"
        stopped = await stage.act(instance, Action.STOP)
        assert stopped.status is Status.STOPPED
        assert stage.instances.pid(instance.id) is None
        # To the byte, for the last report comes at the end.
        figures = stopped.figures
        assert (figures.tcprx, figures.tcptx, figures.udprx, figures.udptx) == (123_456, 123_456, 5, 5)
        since = len(stage.events)
        await stage.act(instance, Action.START)
        await stage.becomes(instance, Status.RUNNING, since)
        assert await asyncio.to_thread(echoed, port, 1000)
        assert (await stage.act(instance, Action.STOP)).figures.tcprx == 124_456
        reset = await stage.act(instance, Action.RESET)
        assert reset.figures.tcprx == 0
    await stage.close()


async def test_a_tunnel_of_two_instances(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "log=debug&tls=1")
    await stage.open()
    try:
        with Echo() as target:
            port, users = free_port(), free_port()
            server = await stage.instances.create(f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{users}?mode=1")
            assert server.url.endswith("?mode=1&log=debug&tls=1")
            await stage.becomes(server, Status.RUNNING)
            client = await stage.instances.create(f"client://{KEY}@127.0.0.1:{port}/127.0.0.1:{target.port}?mode=2")
            await stage.becomes(client, Status.RUNNING)
            assert await asyncio.to_thread(echoed, users, 77_777)
            for end in (client, server):
                stopped = await stage.act(end, Action.STOP)
                assert (stopped.figures.tcprx, stopped.figures.tcptx) == (77_777, 77_777)
    finally:
        await stage.close()


async def test_log_none_reports_all_the_same(stage: Stage) -> None:
    with Echo() as target:
        instance, port = await stage.forwarder(target.port, "log=none")
        assert await asyncio.to_thread(echoed, port, 1000)
        assert (await stage.act(instance, Action.STOP)).figures.tcprx == 1000
    assert not [event for event in stage.events if event.type is EventType.LOG and "nodepass:" not in event.logs]


async def test_a_server_that_waits_for_its_client_runs(stage: Stage) -> None:
    server = await stage.instances.create(f"server://{KEY}@127.0.0.1:{free_port()}/127.0.0.1:{free_port()}")
    for _ in range(4):
        since = len(stage.events)
        await stage.act(server, Action.RESTART)
        await stage.becomes(server, Status.RUNNING, since)


async def test_a_child_that_is_killed_comes_back(stage: Stage) -> None:
    with Echo() as target:
        instance, port = await stage.forwarder(target.port)
        assert await asyncio.to_thread(echoed, port, 5000)
        await stage.told(lambda event: event.instance is not None and event.instance.figures.tcptx == 5000)
        pid, since = stage.pid(instance), len(stage.events)
        os.kill(pid, signal.SIGKILL)
        await stage.line("The process has ended: SIGKILL", since)
        await stage.becomes(instance, Status.ERROR, since)
        back = await stage.becomes(instance, Status.RUNNING, since)
        assert back.figures.tcprx == 5000
        assert stage.pid(instance) != pid
        assert await asyncio.to_thread(echoed, port, 100)
        assert (await stage.act(instance, Action.STOP)).figures.tcprx == 5100


async def test_a_child_that_stops_reporting_is_in_error(stage: Stage) -> None:
    instance, _ = await stage.forwarder(free_port())
    pid, since = stage.pid(instance), len(stage.events)
    os.kill(pid, signal.SIGSTOP)
    try:
        await stage.becomes(instance, Status.ERROR, since)
    finally:
        os.kill(pid, signal.SIGCONT)
    await stage.becomes(instance, Status.RUNNING, since)


async def test_what_waits_for_its_last_sessions_is_not_in_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is silent for longer than a healthy one may be."""
    monkeypatch.setenv("NP_REPORT_INTERVAL", "100ms")
    monkeypatch.setenv("NP_SHUTDOWN_TIMEOUT", "1s")
    stage = Stage(tmp_path)
    await stage.open()
    try:
        with Echo() as target:
            instance, port = await stage.forwarder(target.port)
            with connect(port) as user:
                assert await asyncio.to_thread(exchange, user, b"hello") == b"hello"
                await stage.act(instance, Action.STOP)
        await stage.line("sessions had not finished in time")
        assert not any(event.instance and event.instance.status is Status.ERROR for event in stage.events)
    finally:
        await stage.close()


async def test_what_is_wrong_with_a_file_is_in_the_stream(stage: Stage) -> None:
    url = f"server://{KEY}@:{free_port()}/:{free_port()}?tls=2&crt=/none.pem&key=/none.key"
    instance = await stage.instances.create(url)
    await stage.becomes(instance, Status.ERROR)
    assert (
        await stage.line("crt=/none.pem: cannot be read: No such file")
        == "nodepass: crt=/none.pem: cannot be read: No such file or directory"
    )
    await stage.line("The process has ended: exit code 2")
    await stage.line("It starts again in 1 s")


@pytest.mark.parametrize("log", ["info", "event", "none"])
async def test_a_port_in_use_is_an_error_until_it_is_free(stage: Stage, log: str) -> None:
    with socket.socket() as squatter:
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        instance = await stage.instances.create(f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{free_port()}?mode=1&log={log}")
        await stage.becomes(instance, Status.ERROR)
        await stage.line(f"Server error: cannot listen on TCP 127.0.0.1:{port}: Address already in use")
    await stage.becomes(instance, Status.RUNNING)


async def test_wrong_input_changes_nothing(stage: Stage) -> None:
    for url in (f"server://{KEY}@:1/:2?tls=9", f"master://:{free_port()}", "", "\ud800"):
        with pytest.raises(ConfigError) as caught:
            await stage.instances.create(url)
        assert KEY not in str(caught.value)
    with pytest.raises(ConfigError, match="alias"):
        await stage.instances.create(f"client://{KEY}@:1/:2", "x" * 257)
    assert stage.instances.all() == []
    for work in (
        stage.instances.change("00000000", Change()),
        stage.instances.replace_url("00000000", "client://:1/:2"),
        stage.instances.delete("00000000"),
    ):
        with pytest.raises(UnknownInstanceError):
            await work


async def test_settings_of_an_instance(stage: Stage) -> None:
    instance, _ = await stage.forwarder(free_port())
    change = Change("new", False, Peer("s", "1", "there"), {"a": "b"})
    changed = await stage.instances.change(instance.id, change)
    assert (changed.alias, changed.restart, changed.peer, changed.tags) == ("new", False, change.peer, {"a": "b"})
    assert (await stage.act(instance, Action.TOGGLE_RESTART)).restart
    long = "x" * 257
    for wrong in (Change(alias=long), Change(peer=Peer(alias=long)), Change(tags={long: ""}), Change(tags={"": "\ud800"})):
        with pytest.raises(ConfigError):
            await stage.instances.change(instance.id, wrong)
    assert stage.instances.get(instance.id).alias == "new"


async def test_another_url(stage: Stage) -> None:
    with Echo() as target:
        instance, port = await stage.forwarder(target.port)
        assert await asyncio.to_thread(echoed, port, 1000)
        with pytest.raises(SameUrlError):
            await stage.instances.replace_url(instance.id, instance.url)
        with pytest.raises(ConfigError):
            await stage.instances.replace_url(instance.id, "client://")
        other, since = free_port(), len(stage.events)
        url = f"client://{KEY}@127.0.0.1:{other}/127.0.0.1:{target.port}?mode=1"
        replaced = await stage.instances.replace_url(instance.id, url)
        assert replaced.url == f"{url}&log=debug"
        await stage.line(f"Forwarding 127.0.0.1:{other}", since)
        assert await asyncio.to_thread(echoed, other)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.to_thread(connect, port)
        assert (await stage.act(instance, Action.STOP)).figures.tcprx == 101_000


async def test_requests_about_one_instance_take_turns(stage: Stage) -> None:
    instance, _ = await stage.forwarder(free_port())
    actions = [Action.RESTART, Action.STOP, Action.START, Action.RESTART] * 3
    changes = [
        stage.instances.change(instance.id, Change(alias=str(number), action=action))
        for number, action in enumerate(actions)
    ]
    results = await asyncio.gather(*changes)
    assert [result.alias for result in results] == [str(number) for number in range(len(actions))]
    assert [result.status for result in results] == [
        Status.STOPPED if action is Action.STOP else Status.RUNNING for action in actions
    ]
    deleting = [stage.instances.delete(instance.id) for _ in range(2)]
    outcome = await asyncio.gather(*deleting, return_exceptions=True)
    assert [type(each) for each in outcome] == [type(None), UnknownInstanceError]


async def test_a_change_is_finished_when_whoever_asked_has_gone(stage: Stage) -> None:
    instance, _ = await stage.forwarder(free_port())
    asking = asyncio.create_task(stage.instances.change(instance.id, Change(alias="kept", action=Action.STOP)))
    await asyncio.sleep(0)
    asking.cancel()
    await stage.becomes(instance, Status.STOPPED)
    assert stage.instances.get(instance.id).alias == "kept"


async def test_twenty_at_once_and_no_key_to_be_seen(stage: Stage) -> None:
    urls = [f"client://{KEY}@127.0.0.1:{free_port()}/127.0.0.1:9?mode=1" for _ in range(20)]
    instances = await asyncio.gather(*map(stage.instances.create, urls))
    for instance in instances:
        await stage.becomes(instance, Status.RUNNING)
    pids = [stage.pid(instance) for instance in instances]
    assert len(set(pids)) == 20
    (fork_server,) = {parent(pid) for pid in pids}
    for pid in (*pids, fork_server):
        for name in ("cmdline", "environ"):
            assert KEY.encode() not in of_process(pid, name).read_bytes()
    shown = of_process(pids[0], "cmdline").read_text()
    assert shown.startswith(f"nodepass {instances[0].config.replace(f'{KEY}@', '')}")
    # None has a pipe or socket of another's, or of the fork server.
    mine, others, servers = (private_files(pid) for pid in (pids[19], pids[18], fork_server))
    assert mine
    assert not mine & (others | servers)
    await asyncio.gather(*(stage.instances.delete(instance.id) for instance in instances))
    assert stage.instances.all() == []
    assert not any(map(is_there, pids))


async def test_the_fork_server_is_killed(stage: Stage) -> None:
    instances = [(await stage.forwarder(free_port()))[0] for _ in range(3)]
    pids, since = [stage.pid(instance) for instance in instances], len(stage.events)
    os.kill(parent(pids[0]), signal.SIGKILL)
    for instance in instances:
        await stage.becomes(instance, Status.ERROR, since)
        await stage.becomes(instance, Status.RUNNING, since)
    assert not any(map(is_there, pids))


async def test_a_child_that_hangs_is_killed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_connection, "STOP_PATIENCE", 0.1)
    instance, _ = await stage.forwarder(free_port())
    pid = stage.pid(instance)
    os.kill(pid, signal.SIGSTOP)
    await stage.instances.delete(instance.id)
    assert not is_there(pid)


async def test_what_is_in_error_is_restarted_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NP_RELOAD_INTERVAL", "1s")
    stage = Stage(tmp_path)
    await stage.open()
    try:
        instance, _ = await stage.forwarder(free_port())
        await stage.instances.change(instance.id, Change(restart=False))
        since = len(stage.events)
        os.kill(stage.pid(instance), signal.SIGKILL)
        await stage.becomes(instance, Status.ERROR, since)
        await stage.becomes(instance, Status.RUNNING, since)
    finally:
        await stage.close()
    backup = StateFile(tmp_path, Log(DEBUG))
    backup.path.unlink()
    # The last backup knows of the change.
    assert not backup.open().instances[instance.id].restart
    backup.close()


async def test_sessions_in_progress_are_counted_to_the_end(stage: Stage) -> None:
    with Echo() as target:
        instance, port = await stage.forwarder(target.port)
        with connect(port) as user:
            assert await asyncio.to_thread(exchange, user, b"x" * 1000) == b"x" * 1000
            pid = stage.pid(instance)
            stopping = asyncio.create_task(stage.act(instance, Action.STOP))
            await stage.line("Waiting up to")
            # As a service manager does that ends all processes of a service.
            os.kill(pid, signal.SIGTERM)
            assert await asyncio.to_thread(exchange, user, b"y" * 1000) == b"y" * 1000
            user.close()
            stopped = await stopping
    assert stopped.figures.tcprx == 2000


async def test_everything_comes_back(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    await stage.open()
    with Echo() as target:
        instance, port = await stage.forwarder(target.port)
        resting, _ = await stage.forwarder(target.port)
        await stage.instances.change(instance.id, Change("name", peer=Peer("s"), tags={"k": "v"}))
        await stage.instances.change(resting.id, Change(restart=False))
        await stage.instances.master.rename("master")
        await stage.instances.master.renew_key()
        assert await asyncio.to_thread(echoed, port, 4321)
        key, master_id = stage.instances.master.api_key.reveal(), stage.instances.master.id
        await stage.close()
        with pytest.raises(MasterError):
            await stage.instances.create("client://:1/:2")
        again = Stage(tmp_path)
        await again.open()
        try:
            master = again.instances.master
            assert (master.id, master.api_key.reveal(), master.alias) == (master_id, key, "master")
            assert master.accepts(key)
            assert not master.accepts(key[:-1])
            back = await again.becomes(instance, Status.RUNNING)
            assert (back.alias, back.peer, back.tags, back.figures.tcprx) == ("name", Peer("s"), {"k": "v"}, 4321)
            assert again.instances.get(resting.id).status is Status.STOPPED
            assert [each.id for each in again.instances.all()] == [instance.id, resting.id]
        finally:
            await again.close()


async def test_the_key_is_shown_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    stage = Stage(tmp_path)
    await stage.open()
    key = stage.instances.master.api_key.reveal()
    await stage.close()
    assert re.fullmatch("[0-9a-f]{32}", key)
    assert re.fullmatch("[0-9a-f]{16}", stage.instances.master.id)
    assert caplog.text.count(key) == 1
    again = Stage(tmp_path)
    await again.open()
    await again.close()
    assert again.instances.master.api_key.reveal() == key
    assert caplog.text.count(key) == 1


async def test_the_state_cannot_be_written(tmp_path: Path) -> None:
    folder, away = tmp_path / "state", tmp_path / "away"
    stage = Stage(folder)
    await stage.open()
    try:
        instance, _ = await stage.forwarder(free_port())
        folder.rename(away)
        url = f"client://{KEY}@127.0.0.1:{free_port()}/:9?mode=1"
        for work in (
            stage.instances.create(url),
            stage.instances.change(instance.id, Change(alias="new")),
            stage.instances.replace_url(instance.id, url),
            stage.instances.delete(instance.id),
            stage.instances.master.renew_key(),
        ):
            with pytest.raises(MasterError, match="cannot be written"):
                await work
        assert [each.url for each in stage.instances.all()] == [instance.url]
        away.rename(folder)
        assert (await stage.instances.change(instance.id, Change(alias="new"))).alias == "new"
    finally:
        await stage.close()


def core_master(folder: Path, *urls: str) -> Process:
    path = os.pathsep.join((str(SOURCE), str(SOURCE.parent)))
    argv = [sys.executable, "-m", "tests.harness.core_master", str(folder), *urls]
    return Process(argv, env={"PYTHONPATH": path, **QUICK}, name="master")


def wait_saved(folder: Path, tcprx: int) -> None:
    """Wait until the state on disk has this count for every instance; a file has no event that tells of it."""
    end = time.monotonic() + TIMEOUT
    with closing(sqlite3.connect(f"file:{folder}/{FILE}?mode=ro", uri=True)) as connection:
        while {count for (count,) in connection.execute("SELECT tcprx FROM instance")} != {tcprx}:
            assert time.monotonic() < end
            time.sleep(0.02)


RUNS = r"{} running pid=(\d+) tcprx=(\d+) mode=1"


@pytest.mark.parametrize("hung", [False, True])
def test_a_master_that_is_killed_leaves_no_orphans_and_comes_back(tmp_path: Path, hung: bool) -> None:
    ports = [free_port() for _ in range(5)]
    with Echo() as target:
        urls = [f"client://{KEY}@127.0.0.1:{port}/127.0.0.1:{target.port}?mode=1" for port in ports]
        with core_master(tmp_path, *urls) as master:
            master.wait_for("^open")
            ids = [match[1] for match in master.matches(r"^create (\w+)")]
            pids = [int(master.wait_for(RUNS.format(instance_id))[1]) for instance_id in ids]
            assert all(echoed(port, 1000) for port in ports)
            wait_saved(tmp_path, 1000)
            with core_master(tmp_path) as second:
                second.wait_for("another master uses the state in")
                assert second.wait() == 0
            if hung:
                os.kill(pids[0], signal.SIGSTOP)
            master.kill()
        with core_master(tmp_path) as master:
            running = [master.wait_for(RUNS.format(instance_id)) for instance_id in ids]
            # Those of before were gone when the first one started.
            assert not any(map(is_there, pids))
            assert [int(match[2]) for match in running] == [1000] * 5
            assert all(echoed(port) for port in ports)
            assert master.stop() == 0
            assert not any(is_there(int(match[1])) for match in running)


def test_a_master_that_hangs_and_is_killed_with_its_fork_server(tmp_path: Path) -> None:
    with core_master(tmp_path, f"client://{KEY}@127.0.0.1:{free_port()}/:9?mode=1") as master:
        pid = int(master.wait_for(r"running pid=(\d+) tcprx=0 mode=1")[1])
        os.kill(parent(pid), signal.SIGKILL)
        master.kill()
        wait_gone(pid)


def test_a_process_of_an_instance_imports_nothing_of_the_master(tmp_path: Path) -> None:
    code = f"""
import sys
import nodepass.fork_server, nodepass.child, nodepass.runner, nodepass.cli, nodepass.tunnel.server, nodepass.tunnel.client
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    env = {**os.environ, "PYTHONPATH": str(SOURCE)}
    output = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True, timeout=TIMEOUT
    )
    assert output.stdout == "[]\n"
    # And a real one has none of their libraries mapped.
    with core_master(tmp_path, f"client://{KEY}@127.0.0.1:{free_port()}/:9?mode=1") as master:
        pid = int(master.wait_for(r"running pid=(\d+) tcprx=0 mode=1")[1])
        maps = Path(f"/proc/{pid}/maps").read_text()
        assert "libpython" in maps or "python" in maps
        for name in ("_sqlite3", "_pydantic_core", "_psutil", "uvloop_none"):
            assert name not in maps
