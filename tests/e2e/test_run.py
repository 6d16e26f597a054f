"""`nodepass run`: tunnels of one file, and what changes of that file do to them and to those beside them."""

from __future__ import annotations

import os
import signal
import socket
import stat
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.harness import TIMEOUT, Echo, connect, echoed, ended, exchange, free_port, wait_tcp
from tests.harness.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET = "s3cret-of-run"
TAKEN = r"read; tunnels ended: \d"


def forwarder(name: str, port: int, target: int, more: str = "") -> str:
    return f'[tunnels.{name}]\nrole = "forwarder"\nlisten = "127.0.0.1:{port}"\ntargets = "127.0.0.1:{target}"\n{more}\n'


def a_tunnel(port: int, users: int, target: int) -> str:
    return f"""
        [tunnels.server]
        role = "server"
        tunnel = "127.0.0.1:{port}"
        targets = "127.0.0.1:{users}"
        mode = 1
        tls = 1
        tunnel_key = "{SECRET}"
        [tunnels.client]
        url = "client://{SECRET}@127.0.0.1:{port}/127.0.0.1:{target}?mode=2"
        """


class Held:
    """A user who stays, and whose bytes come back."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.check()

    def check(self) -> None:
        data = os.urandom(50_000)
        assert exchange(self.sock, data) == data


@pytest.fixture
def hold() -> Iterator[Callable[[int], Held]]:
    """Makes users who stay until the test ends."""
    with ExitStack() as stack:
        yield lambda port: Held(stack.enter_context(connect(port)))


@pytest.mark.parametrize("processes", ["one", "each"])
def test_what_has_not_changed_is_not_touched(tmp_path: Path, hold: Callable[[int], Held], processes: str) -> None:
    ports = [free_port() for _ in range(5)]
    with Echo() as target:
        kept = f'processes = "{processes}"\n{a_tunnel(ports[0], ports[1], target.port)}'
        changed = forwarder("changed", ports[2], target.port)
        with Fleet(tmp_path / "t.toml", kept + changed + forwarder("gone", ports[3], target.port)) as fleet:
            fleet.well()
            before = fleet.status()
            held, dropped = hold(ports[1]), hold(ports[2])
            fleet.write(
                kept + forwarder("changed", ports[2], target.port, "rate = 100") + forwarder("new", ports[4], target.port)
            )
            fleet.wait_for(r"read; tunnels ended: 2, begun: 2, left alone: 2")
            held.check()
            assert ended(dropped.sock)
            fleet.well()
            after = fleet.status()
            assert list(after) == ["server", "client", "changed", "new"]
            assert "rate=100" in after["changed"]["url"]
            assert all(echoed(port) for port in (ports[1], ports[2], ports[4]))
            with pytest.raises(OSError, match="refused"):
                connect(ports[3])
            held.check()
            assert after["client"]["pid"] == before["client"]["pid"]
            assert (after["client"]["pid"] == fleet.pid) == (processes == "one")
            assert fleet.stop() == 0
            assert not fleet.stderr
            assert SECRET not in "".join(fleet.lines)


@pytest.mark.parametrize("how", ["broken", "gone", "empty", "listener", "unreadable"])
def test_a_file_with_an_error_changes_nothing(tmp_path: Path, hold: Callable[[int], Held], how: str) -> None:
    port = free_port()
    with Echo() as target:
        good = forwarder("web", port, target.port)
        with Fleet(tmp_path / "t.toml", good, options=["--no-watch"]) as fleet:
            fleet.well()
            held = hold(port)
            if how == "gone":
                fleet.path.unlink()
            elif how == "unreadable":
                fleet.path.unlink()
                fleet.path.mkdir()
            else:
                bad = {"broken": "[tunnels.web\n", "empty": "", "listener": good + forwarder("two", port, target.port)}
                fleet.write(bad[how])
            fleet.send_signal(signal.SIGHUP)
            fleet.wait_for("not taken; everything goes on as it was")
            held.check()
            status = fleet.nodepass("status", str(fleet.path))
            assert status.returncode == 0
            assert f"error: {fleet.path}: " in status.stderr
            if how == "unreadable":
                fleet.path.rmdir()
            fleet.write(good)
            fleet.send_signal(signal.SIGHUP)
            fleet.wait_for("tunnels ended: 0, begun: 0, left alone: 1")
            held.check()
            assert fleet.nodepass("status", str(fleet.path)).stderr == ""
            assert fleet.stop() == 0


def save_in_place(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def save_by_rename(path: Path, text: str) -> None:
    other = path.with_suffix(".swp")
    other.write_text(text, encoding="utf-8")
    other.replace(path)


@pytest.mark.parametrize("save", [save_in_place, save_by_rename])
def test_a_file_that_has_been_saved_is_read(tmp_path: Path, save: object) -> None:
    ports = free_port(), free_port()
    assert callable(save)
    with Echo() as target, Fleet(tmp_path / "t.toml", forwarder("a", ports[0], target.port)) as fleet:
        fleet.well()
        save(fleet.path, forwarder("b", ports[1], target.port))
        fleet.wait_for(TAKEN)
        wait_tcp(ports[1])
        assert list(fleet.status()) == ["b"]


def test_a_kubernetes_volume_whose_link_is_turned_around(tmp_path: Path) -> None:
    """A ConfigMap: the file is a link into `..data`, which is a link to a folder, and is replaced as a whole."""
    ports = free_port(), free_port()
    with Echo() as target:
        for number, port in enumerate(ports):
            folder = tmp_path / f"..{number}"
            folder.mkdir()
            (folder / "t.toml").write_text(forwarder(f"n{number}", port, target.port))
        (tmp_path / "..data").symlink_to("..0")
        (tmp_path / "t.toml").symlink_to("..data/t.toml")
        with Fleet(tmp_path / "t.toml") as fleet:
            fleet.well()
            (tmp_path / "..new").symlink_to("..1")
            (tmp_path / "..new").replace(tmp_path / "..data")
            fleet.wait_for(TAKEN)
            wait_tcp(ports[1])
            assert list(fleet.status()) == ["n1"]


def test_a_key_in_a_file_of_its_own_is_watched(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("first")
    key.chmod(0o600)
    text = (
        f'[tunnels.a]\nurl = "server://127.0.0.1:{free_port()}/127.0.0.1:{free_port()}?mode=1"\ntunnel_key_file = "key"\n'
    )
    with Fleet(tmp_path / "t.toml", text) as fleet:
        fleet.well(4)
        key.write_text("second")
        fleet.wait_for("read; tunnels ended: 1, begun: 1, left alone: 0")
        fleet.well(4)


def test_a_storm_of_signals_costs_nothing(tmp_path: Path, hold: Callable[[int], Held]) -> None:
    port = free_port()
    with Echo() as target, Fleet(tmp_path / "t.toml", forwarder("a", port, target.port)) as fleet:
        fleet.well()
        held = hold(port)
        descriptors = fleet.descriptors()
        for _ in range(500):
            fleet.send_signal(signal.SIGHUP)
        fleet.wait_for("tunnels ended: 0, begun: 0, left alone: 1")
        held.check()
        seen = len(fleet.lines)
        fleet.send_signal(signal.SIGHUP)
        fleet.wait_for("tunnels ended: 0, begun: 0, left alone: 1", since=seen)
        held.check()
        assert fleet.descriptors() <= descriptors + 2
        fleet.send_signal(signal.SIGHUP)
        assert fleet.stop() == 0


def test_tunables_that_change_begin_everything_anew(tmp_path: Path) -> None:
    text = forwarder("a", free_port(), 9) + forwarder("b", free_port(), 9, 'processes = "each"')
    with Fleet(tmp_path / "t.toml", text) as fleet:
        fleet.well()
        fleet.write('[tunables]\nNP_TCP_DIAL_TIMEOUT = "7s"\nNP_LOG_FORMAT = "json"\n' + text)
        fleet.wait_for('"message":".*read; tunnels ended: 2, begun: 2, left alone: 0')
        fleet.well()
        fleet.wait_for('"tunnel":"b".*"event":"checkpoint"')
        assert fleet.stop() == 0


def test_another_log_format_touches_only_who_writes_its_own_lines(tmp_path: Path, hold: Callable[[int], Held]) -> None:
    ports = [free_port() for _ in range(3)]
    with Echo() as target:
        text = forwarder("a", ports[0], target.port) + forwarder("b", ports[1], target.port, 'processes = "each"')
        text += forwarder("c", ports[2], target.port, "workers = 2")
        with Fleet(tmp_path / "t.toml", text) as fleet:
            fleet.well()
            held = [hold(ports[0]), hold(ports[1])]
            fleet.write('[tunables]\nNP_LOG_FORMAT = "json"\n' + text)
            fleet.wait_for('"message":".*read; tunnels ended: 1, begun: 1, left alone: 2')
            for name in "abc":
                fleet.wait_for(f'"tunnel":"{name}".*"event":"checkpoint"')
            # A line of the workers themselves.
            fleet.wait_for('"tunnel":"c".*Forwarding')
            seen = len(fleet.lines)
            fleet.write(text)
            fleet.wait_for("INFO .*read; tunnels ended: 1, begun: 1, left alone: 2", since=seen)
            fleet.wait_for("INFO  c: Forwarding", since=seen)
            for each in held:
                each.check()
            fleet.well()
            assert fleet.stop() == 0


def test_a_process_that_is_killed_is_started_again_and_touches_no_other(
    tmp_path: Path, hold: Callable[[int], Held]
) -> None:
    ports = free_port(), free_port()
    with Echo() as target:
        text = 'processes = "each"\n' + forwarder("a", ports[0], target.port) + forwarder("b", ports[1], target.port)
        with Fleet(tmp_path / "t.toml", text) as fleet:
            fleet.well()
            held = hold(ports[1])
            os.kill(fleet.status()["a"]["pid"], signal.SIGKILL)
            fleet.wait_for("a: The process has ended: SIGKILL")
            fleet.wait_for("a: Forwarding", since=len(fleet.lines))
            held.check()
            fleet.well()
            assert echoed(ports[0])


def test_no_process_outlives_the_one_that_started_it(tmp_path: Path) -> None:
    port = free_port()
    with Fleet(tmp_path / "t.toml", forwarder("a", port, 9, 'processes = "each"')) as fleet:
        fleet.well()
        fleet.kill()
        end = time.monotonic() + TIMEOUT
        while _takes(port):
            assert time.monotonic() < end
        done = fleet.nodepass("status")
        assert done.returncode == 3
        assert "has ended without a word" in done.stderr
    with Fleet(fleet.path) as fleet:
        fleet.well()


def _takes(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def test_a_file_is_run_once(tmp_path: Path) -> None:
    with Fleet(tmp_path / "t.toml", forwarder("a", free_port(), 9)) as fleet:
        fleet.well()
        second = fleet.nodepass("run", str(fleet.path))
        assert second.returncode == 1
        assert (
            second.stderr == f"nodepass: {fleet.path}: another process runs this file already; `nodepass status` shows it\n"
        )
        fleet.well()


def test_the_socket_is_for_its_user_alone(tmp_path: Path) -> None:
    with Fleet(tmp_path / "t.toml", forwarder("a", free_port(), 9)) as fleet:
        fleet.well()
        folder = tmp_path / "runtime"
        (path,) = folder.glob("*.sock")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert fleet.stop() == 0
        assert not path.exists()


def test_a_runtime_folder_that_is_a_link_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "runtime").symlink_to(tmp_path)
    with Fleet(tmp_path / "t.toml", forwarder("a", free_port(), 9)) as fleet:
        assert fleet.wait() == 1
        (line,) = fleet.stderr
        assert f"the folder {tmp_path / 'runtime'} is a symbolic link, not a folder; NP_RUNTIME_DIR names another" in line


@pytest.mark.parametrize("text", ["[tunnels.web\n", f'[tunnels.web]\nurl = "server://{SECRET}@:1/:2?tls=9"\nmin = 1\n'])
def test_a_bad_file_is_bad_input(tmp_path: Path, text: str) -> None:
    with Fleet(tmp_path / "t.toml", text) as fleet:
        assert fleet.wait() == 2
        assert fleet.stdout == []
        assert all(line.startswith(f"nodepass: {fleet.path}: ") for line in fleet.stderr)
        assert len(fleet.stderr) == (2 if SECRET in text else 1)
        assert SECRET not in fleet.log()


def test_a_master_among_them(tmp_path: Path) -> None:
    port = free_port()
    text = f'[tunnels.api]\nrole = "master"\nlisten = "127.0.0.1:{port}"\nstate_dir = "state"\n'
    with Fleet(tmp_path / "t.toml", text + forwarder("a", free_port(), 9)) as fleet:
        fleet.well()
        wait_tcp(port)
        assert fleet.status()["api"]["state"] == "connected"
        assert (tmp_path / "state").is_dir()
        assert fleet.stop() == 0


def test_workers_bear_the_name_of_their_tunnel(tmp_path: Path) -> None:
    ports = [free_port() for _ in range(2)]
    with Echo() as target, Fleet(tmp_path / "t.toml", forwarder("a", ports[0], target.port, "workers = 2")) as fleet:
        fleet.well()
        assert echoed(ports[0])
        fleet.wait_for("INFO  a: Forwarding")
        assert fleet.stop() == 0
        assert all("  a: " in line or str(fleet.path) in line for line in fleet.stdout)
