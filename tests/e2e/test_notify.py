"""A service manager's view of whole processes: ready when they serve, reloading, stopping, and alive meanwhile."""

from __future__ import annotations

import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.harness import TIMEOUT, Master, NodePass, Process, free_port
from tests.harness.fleet import Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Manager:
    """Listens as systemd does."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.sock.bind(str(path))
        self.sock.settimeout(TIMEOUT)
        self.env = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "400000"}

    def wait_for(self, word: str) -> list[str]:
        """Read until a message has this word; gives the message."""
        while True:
            words = self.sock.recv(4096).decode().split("\n")
            if word in words:
                return words

    def rest(self) -> Iterator[list[str]]:
        """All that has come and not been read."""
        self.sock.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                yield self.sock.recv(4096).decode().split("\n")


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(tmp_path / "notify")
    with made.sock:
        yield made


def follow(manager: Manager, process: Process) -> None:
    manager.wait_for("WATCHDOG=1")
    process.send_signal(signal.SIGTERM)
    manager.wait_for("STOPPING=1")
    assert process.wait() == 0


@pytest.mark.parametrize("query", ["mode=1", "mode=1&workers=2"])
def test_a_forwarder(manager: Manager, query: str) -> None:
    port = free_port()
    with NodePass(f"client://127.0.0.1:{port}/127.0.0.1:9?{query}", env=manager.env) as process:
        assert manager.wait_for("READY=1") == ["READY=1", "STATUS=connected"]
        follow(manager, process)


def test_a_client_without_its_server_is_ready_after_a_while(manager: Manager) -> None:
    url = f"client://k@127.0.0.1:{free_port()}/127.0.0.1:9?mode=2"
    with NodePass(url, env=manager.env) as process:
        assert manager.wait_for("READY=1") == ["READY=1", "STATUS=starting"]
        follow(manager, process)


def test_a_master_and_not_its_instances(manager: Manager, tmp_path: Path) -> None:
    with Master(tmp_path / "state", env=manager.env) as master:
        assert manager.wait_for("READY=1") == ["READY=1", "STATUS=connected"]
        master.ready().create(f"client://127.0.0.1:{free_port()}/127.0.0.1:9?mode=1")
        follow(manager, master)
        assert not any("READY=1" in words for words in manager.rest())


def test_many_tunnels(manager: Manager, tmp_path: Path) -> None:
    text = f'[tunnels.a]\nurl = "client://127.0.0.1:{free_port()}/127.0.0.1:9?mode=1"\n'
    text += f'[tunnels.b]\nurl = "server://k@127.0.0.1:{free_port()}/127.0.0.1:9?mode=2"\nprocesses = "each"\n'
    with Fleet(tmp_path / "t.toml", text, env=manager.env) as fleet:
        assert manager.wait_for("READY=1")[1] == "STATUS=2 tunnels: 1 connected, 1 listening"
        fleet.send_signal(signal.SIGHUP)
        assert manager.wait_for("RELOADING=1")[1].startswith("MONOTONIC_USEC=")
        manager.wait_for("READY=1")
        fleet.path.unlink()
        fleet.send_signal(signal.SIGHUP)
        manager.wait_for("RELOADING=1")
        # A file with an error ends a reload as well: the service goes on.
        manager.wait_for("READY=1")
        follow(manager, fleet)
