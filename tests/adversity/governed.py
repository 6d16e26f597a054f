"""A tunnel both of whose ends a master runs, between users and a target who know every byte.

::

    Traffic, Datagrams -> server == client -> target
                            ^          ^
                            fork server, whose parent is the master

Each of these processes can be killed, stopped and started again. What the master knew, it must know afterwards.
"""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any, Final, Self

import psutil

from nodepass.master.state_file import FILE
from tests.adversity.accounts import cut_at, settle
from tests.adversity.bounds import ENV, FLUCTUATION, MOST_LINES, NOTICED, PATIENCE
from tests.adversity.datagrams import Datagrams
from tests.adversity.scene import Target
from tests.adversity.target import LISTENING
from tests.adversity.traffic import Traffic
from tests.harness import KEY, TIMEOUT, Master, free_port

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from types import TracebackType

DRAIN: Final = 1.0
IMPORTS: Final = 1.5
"""Seconds that a fork server takes to be ready, on a machine that does other things as well."""

GOVERNED: Final = {**ENV, "NP_SHUTDOWN_TIMEOUT": f"{DRAIN}s"}
KEPT: Final = ("id", "alias", "type", "url", "config", "restart", "meta")
"""What the API tells of an instance and no fault may change."""

COUNTED: Final = ("tcprx", "tcptx", "udprx", "udptx")
NAMES: Final = ("server", "client")


class Governed:
    """All of it; a context manager, in which users come.

    Args:
        folder: of the master's state.
        prefix: a program and its arguments that run the master.
    """

    def __init__(self, folder: Path, prefix: Sequence[str] = ()) -> None:
        self.folder = folder
        self.prefix = prefix
        self._stack = ExitStack()
        self._port = free_port()
        self._tunnel, self._users, self._target_port = free_port(), free_port(), free_port()
        self.masters: list[Master] = []
        """The one there is, and those before it."""
        self.target = Target(self._target_port)
        self.ids: dict[str, str] = {}
        """By name, those of the two instances."""
        self.warm: dict[str, int] = {}
        """Descriptors of each instance's process before there were users."""
        self.twice = 0
        self.traffic: Traffic
        self.datagrams: Datagrams

    def __enter__(self) -> Self:
        self._stack.enter_context(self.target)
        self.target.wait_for(LISTENING)
        self.start_master()
        for name, url in (
            ("server", f"server://{KEY}@127.0.0.1:{self._tunnel}/127.0.0.1:{self._users}?mode=1"),
            ("client", f"client://{KEY}@127.0.0.1:{self._tunnel}/127.0.0.1:{self._target_port}?mode=2&min=4"),
        ):
            self.ids[name] = self.master.create(url, alias=f"the {name}")["id"]
            answer = self.master.call("PATCH", f"/instances/{self.ids[name]}", {"meta": {"tags": {"of": "these tests"}}})
            assert answer.status == 200, answer.text
        self._wait_for_session()
        self.warm = self._descriptors()
        self.traffic = self._stack.enter_context(Traffic(self._users))
        self.datagrams = self._stack.enter_context(Datagrams(self._users))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()
        for master in self.masters:
            assert not master.stderr, "a master wrote to standard error"
            assert not master.matches(r"Traceback|never retrieved|Error\(")

    @property
    def master(self) -> Master:
        """The one there is."""
        return self.masters[-1]

    def start_master(self) -> None:
        """Start the master (again); it knows its key from the one before."""
        master = Master(self.folder, "log=info", port=self._port, env=GOVERNED, prefix=self.prefix)
        key = self.master.key if self.masters else ""
        self._stack.enter_context(master).ready()
        master.key = master.key or key
        self.masters.append(master)

    def replace_master(self) -> None:
        """`kill -9` of the master, and another when all of it are gone."""
        self.master.send_signal(signal.SIGKILL)
        # Its output ends with the last of them.
        self.master.wait()
        self.start_master()

    def warm_up(self, count: int = 6) -> None:
        """Wait until so many users, and a datagram, have been there and back."""
        self.traffic.wait_for(count)
        self.datagrams.first_returned()

    def back_after(self, fault_over: float, timeout: float) -> float:
        """Wait until users are served again, over TCP and UDP; gives seconds since the fault was over."""
        served = self.traffic.first_served(timeout)
        return max(served, self.datagrams.first_returned(timeout)) - fault_over

    def processes(self) -> dict[str, psutil.Process]:
        """The master, its fork server, and the instances: each there once."""
        children = psutil.Process(self.master.pid).children()
        (fork_server,) = [each for each in children if "fork server" in " ".join(each.cmdline())]
        found = {"master": psutil.Process(self.master.pid), "fork server": fork_server}
        for each in fork_server.children():
            title = " ".join(each.cmdline())
            name = next((name for name in NAMES if f"{name}://" in title), "")
            assert name, title
            assert name not in found, f"two processes for one {name}"
            found[name] = each
        return found

    def instances(self) -> dict[str, dict[str, Any]]:
        """What the API tells of both."""
        answer = self.master.call("GET", "/instances")
        assert answer.status == 200, answer.text
        by_id = {each["id"]: each for each in answer.json}
        return {name: by_id[instance_id] for name, instance_id in self.ids.items()}

    def stored(self) -> dict[str, dict[str, int]]:
        """The byte counts of both that are on the disk."""
        with closing(sqlite3.connect(f"file:{self.folder / FILE}?mode=ro", uri=True)) as connection:
            rows = connection.execute(f"SELECT id, {', '.join(COUNTED)} FROM instance").fetchall()
        by_id = {instance_id: dict(zip(COUNTED, counts, strict=True)) for instance_id, *counts in rows}
        return {name: by_id[instance_id] for name, instance_id in self.ids.items()}

    def wait_for_status(self, *statuses: str) -> None:
        """Wait until both instances have had one of these together. Asks again and again: events tell of one alone."""
        end = time.monotonic() + TIMEOUT
        while not {each["status"] for each in self.instances().values()} <= set(statuses):
            assert time.monotonic() < end, self.instances()
            time.sleep(0.02)

    def wait_for_counted(self, name: str, **counts: int) -> None:
        """Wait until the API tells these figures of an instance: reports come now and then."""
        end = time.monotonic() + TIMEOUT
        while {key: self.instances()[name][key] for key in counts} != counts:
            assert time.monotonic() < end, f"{counts} were carried: {self.instances()[name]}"
            time.sleep(0.02)

    def settle(self, before: dict[str, dict[str, Any]], counted: dict[str, dict[str, int]], timeout: float) -> None:
        """Nobody comes any more: asserts what must hold then.

        Args:
            before: what the API told before the fault.
            counted: byte counts that are not to be lost.
            timeout: seconds that users have to end.
        """
        self.twice = settle(self.traffic, self.datagrams, [self.target], timeout, NOTICED + 2)
        self.wait_for_status("running")
        for name, now in self.instances().items():
            assert {key: now[key] for key in KEPT} == {key: before[name][key] for key in KEPT}
            for key, count in counted.get(name, {}).items():
                assert now[key] >= count, f"{key} of the {name} went back"
        self._assert_nothing_is_left()
        for master in self.masters:
            assert len([line for line in master.lines if "CHECK_POINT" not in line]) <= 2 * MOST_LINES

    def _assert_nothing_is_left(self) -> None:
        self._wait_for_session()
        end = time.monotonic() + PATIENCE
        while left := {name: more for name, more in self._more().items() if more > FLUCTUATION}:
            assert time.monotonic() < end, f"more descriptors than before there were users: {left}"
            # What is closed now is gone a moment later, and nothing tells of it.
            time.sleep(0.05)

    def _wait_for_session(self) -> None:
        """Wait until this master's instances have had one: both are there then."""
        self.master.wait_for(f"{self.ids['client']}: Session with .* is ready")

    def _more(self) -> dict[str, int]:
        return {name: count - self.warm[name] for name, count in self._descriptors().items()}

    def _descriptors(self) -> dict[str, int]:
        processes = self.processes()
        return {name: processes[name].num_fds() for name in NAMES}

    def cut_at_target(self) -> int:
        """How many connections ended early at the target as if properly."""
        return cut_at([self.target])
