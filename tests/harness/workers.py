"""The processes of an instance that is several, seen from outside."""

from __future__ import annotations

import os
import signal
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Self

import psutil

from tests.harness.net import connect, exchange
from tests.harness.process import TIMEOUT

if TYPE_CHECKING:
    import socket

    from tests.harness.process import NodePass

COUNT = 3
QUERY = f"workers={COUNT}"


def serving(process: NodePass, count: int = COUNT, *, since: int = 0) -> NodePass:
    """Wait until all of its processes serve."""
    process.wait_for(f"Process . of {count} serves, with {count - 1} others", since=since)
    return process


def pids(process: NodePass) -> dict[int, int]:
    """The process that serves now in each place, from 1."""
    found = process.matches(r"Process (\d+) of \d+ is (\d+)")
    return {int(match[1]): int(match[2]) for match in found}


def carries(pid: int, port: int) -> int:
    """How many TCP connections of a process have this port at one of their ends."""
    return sum(port in (one.laddr.port, one.raddr.port) for one in _connections(pid))


def dies_with(process: NodePass, place: int, port: int) -> range:
    """How many users a process of an instance takes along: those that it carries at this port, and those it carries for
    others, to which connections inside the machine lead, or from which such connections lead here.
    """
    mine = pids(process)[place]
    others = {one.laddr.port for pid in pids(process).values() if pid != mine for one in _connections(pid)}
    own = carries(mine, port)
    return range(own, own + sum(one.raddr.port in others for one in _connections(mine)) + 1)


def _connections(pid: int) -> list[Any]:
    """Its TCP connections that are up."""
    connections = psutil.Process(pid).net_connections("tcp")
    return [one for one in connections if one.status == psutil.CONN_ESTABLISHED and one.raddr]


class Users:
    """Connections of users, of which each process carries some.

    Args:
        port: for users.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._stack = ExitStack()
        self.all: list[socket.socket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def come(self) -> socket.socket:
        """One more, who is served."""
        user = self._stack.enter_context(connect(self._port))
        assert exchange(user, b"hello") == b"hello"
        self.all.append(user)
        return user

    def until_all_carry(self, process: NodePass, port: int) -> None:
        """Users come until each process has one of them at this port."""
        end = time.monotonic() + TIMEOUT
        while not all(carries(pid, port) for pid in pids(process).values()):
            assert time.monotonic() < end, "some process serves nobody"
            self.come()

    def alive(self) -> int:
        """How many are still served."""
        return sum(map(_is_served, self.all))


def _is_served(user: socket.socket) -> bool:
    try:
        return exchange(user, b"still here") == b"still here"
    except (OSError, EOFError):
        return False


def kill(process: NodePass, place: int) -> int:
    """Kill the process in a place; gives the index of the line from which to look for what follows."""
    since = len(process.lines)
    os.kill(pids(process)[place], signal.SIGKILL)
    process.wait_for(rf"Process {place} of \d+ ended with -9: another takes its place", since=since)
    return since


def gone(ids: list[int]) -> bool:
    """Wait until none of these processes is left; tells whether that is so."""
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in ids if psutil.pid_exists(pid)], TIMEOUT)
    return not alive
