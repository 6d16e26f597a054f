"""A tunnel between users and a target who know every byte, with a way of chaos at each of its three joints.

::

    Traffic, Datagrams -> near -> ingress == middle == egress -> far -> target
                        (UDP too)          (UDP too)         (UDP too)

Everything but the users is a process, which can be killed, stopped and started again.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import psutil

from nodepass.config import PoolTransport
from tests.adversity.accounts import cut_at, settle
from tests.adversity.bounds import ENV, FLUCTUATION, GIVEN_UP, MOST_LINES, NONE_LEFT, NOTICED, PATIENCE
from tests.adversity.chaos import Chaos
from tests.adversity.datagrams import Datagrams
from tests.adversity.target import LISTENING
from tests.adversity.traffic import Traffic
from tests.harness import KEY, Authority, Census, Process, Runner, UdpWay, free_port
from tests.harness.process import SOURCE
from tests.harness.workers import serving

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from tests.harness import NodePass

FROM_FILES: Final = 2
"""The tls mode in which the server's certificate is an authority's, and the client verifies it."""

SEVERAL: Final = 2
"""How many processes an end is that is several."""


@dataclass(frozen=True)
class Setup:
    """What kind of tunnel.

    Args:
        transport: of the pool.
        tls: its mode.
        flow: `reverse` or `forward`.
        pool: whether users share connections: `auto` or `single`.
    """

    transport: PoolTransport
    tls: int
    flow: str = "reverse"
    pool: str = "auto"

    def __str__(self) -> str:
        return f"{self.transport.name.lower()}-tls{self.tls}-{self.flow}" + ("-single" if self.pool == "single" else "")

    def queries(self, several: str = "") -> tuple[str, str]:
        """What the URLs of server and client say of it; one of the two may be several processes."""
        of_server = f"type={self.transport}&tls={self.tls}&mode={1 if self.flow == 'reverse' else 2}&pool={self.pool}"
        of_client = f"mode=2&min=4&pool={self.pool}"
        if several == "server":
            of_server += f"&workers={SEVERAL}&strict=1"
        elif several == "client":
            of_client += f"&workers={SEVERAL}"
        return of_server, of_client


@dataclass(frozen=True)
class Names:
    """By what names the client knows the server and the target, all of them this machine's.

    Args:
        prefix: a program and its arguments that run the client where these names can be looked up.
        server: the server's.
        targets: the target's, one after another.
    """

    prefix: Sequence[str] = ()
    server: str = "127.0.0.1"
    targets: Sequence[str] = ("127.0.0.1",)


def descriptors(process: NodePass) -> int:
    """How many files and sockets an end has open, in all of its processes."""
    return process.descriptors() + sum(child.num_fds() for child in psutil.Process(process.pid).children())


class Target(Process):
    """The far end, as a process.

    Args:
        port: where.
    """

    def __init__(self, port: int) -> None:
        python_path = f"{SOURCE}{os.pathsep}{SOURCE.parent}"
        super().__init__(
            [sys.executable, "-m", "tests.adversity.target", str(port)], env={"PYTHONPATH": python_path}, name="target"
        )


class Scene:
    """All of it; a context manager, in which users come.

    Args:
        np: starts processes.
        setup: the kind of tunnel.
        query: parameters of both URLs on top.
        target: whether there is a target from the start.
        env: variables of both ends, on top of `ENV`.
        client_env: variables of the client on top of these.
        direct: whether the two ends and the target speak directly, for what would be too much for our ways.
        names: what the client of a tunnel in reverse calls the others.
        several: the end that is several processes: `server` or `client`.
    """

    def __init__(
        self,
        np: Runner,
        setup: Setup,
        query: str = "log=info",
        *,
        target: bool = True,
        env: Mapping[str, str] = ENV,
        client_env: Mapping[str, str] | None = None,
        direct: bool = False,
        names: Names | None = None,
        several: str = "",
    ) -> None:
        self.setup = setup
        self._np = np
        self._stack = ExitStack()
        self._with_target = target
        self._env = {**ENV, **env}
        self._client_env = {**self._env, **(client_env or {})}
        self.port, self.users_port, self.target_port = free_port(), free_port(), free_port()
        self.targets: list[Target] = []
        """The one there is, and those before it."""
        self.near = Chaos(self.users_port)
        self.middle = Chaos(self.port)
        self.middle_udp = UdpWay(self.port, self.middle.port) if setup.transport is PoolTransport.QUIC else None
        """The same for what goes over UDP."""
        self.far = Chaos(self.target_port)
        self.far_udp = UdpWay(self.target_port, self.far.port)
        names = names or Names()
        self._prefix = names.prefix
        users = f"127.0.0.1:{self.users_port}"
        to = ",".join(f"{name}:{self.target_port if direct else self.far.port}" for name in names.targets)
        dialled = self.port if direct else self.middle.port
        self.near_udp = UdpWay(self.users_port, self.near.port)
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="nodepass-scene-")))
        self._census = Census(folder)
        self._env.update(self._census.env)
        self._client_env.update(self._census.env)
        reverse = setup.flow == "reverse"
        at_server, at_client = (users, to) if reverse else (to, users)
        at = (f"{KEY}@127.0.0.1:{self.port}/{at_server}", f"{KEY}@{names.server}:{dialled}/{at_client}")
        kinds = setup.queries(several)
        if setup.tls == FROM_FILES:
            kinds = self._with_files(folder, *kinds)
        self._urls = (f"server://{at[0]}?{query}&{kinds[0]}", f"client://{at[1]}?{query}&{kinds[1]}")
        self._several = several
        self.server: NodePass
        self.client: NodePass
        self.traffic: Traffic
        self.datagrams: Datagrams
        self.warm: dict[str, int] = {}
        """Descriptors of each process once it was warm."""
        self._counted: dict[str, Counter[str]] = {}
        """And what it had in memory."""
        self.twice = 0
        """Connections whose beginning was heard on two of the target's."""
        self.idle: dict[str, int] = {}
        """Connections in each one's pool when all was over."""

    def __enter__(self) -> Self:
        enter = self._stack.enter_context
        for way in (self.near, self.middle, self.far, self.near_udp, self.far_udp):
            enter(way)
        if self.middle_udp is not None:
            enter(self.middle_udp)
        if self._with_target:
            self.start_target()
        self.start_server()
        self.server.listening()
        self.start_client()
        self.client.ready()
        self.server.ready()
        if self._several:
            serving(self.end(self._several), SEVERAL)
        if self._several == "client":
            # Each of its processes has a session of its own.
            first = next(number for number, line in enumerate(self.server.lines) if re.search(self.server.READY, line))
            self.server.ready(since=first + 1)
        self.warm = {each.name: descriptors(each) for each in self.ends}
        self._counted = {each.name: self._census.take(each.pid) for each in self.ends if each.forked}
        self.traffic = enter(Traffic(self.near.port))
        self.datagrams = enter(Datagrams(self.near.port))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stack.close()

    def _with_files(self, folder: Path, of_server: str, of_client: str) -> tuple[str, str]:
        """Queries with the files of a certificate that the client can verify, and does."""
        authority = Authority(folder)
        crt, key = authority.issue("server", "localhost")
        self._client_env["SSL_CERT_FILE"] = str(authority.path)
        return f"{of_server}&crt={crt}&key={key}", f"{of_client}&sni=localhost"

    def start_target(self) -> None:
        """Start the target (again)."""
        target = self._stack.enter_context(Target(self.target_port))
        target.wait_for(LISTENING)
        self.targets.append(target)

    def start_server(self) -> None:
        """Start the server (again)."""
        self.server = self._np.run(self._urls[0], env=self._env)

    def start_client(self) -> None:
        """Start the client (again)."""
        self.client = self._np.run(self._urls[1], env=self._client_env, prefix=self._prefix)

    def warm_up(self, count: int = 6) -> None:
        """Wait until so many users, and a datagram, have been there and back."""
        self.traffic.wait_for(count)
        self.datagrams.first_returned()

    def back_after(self, fault_over: float, timeout: float) -> float:
        """Wait until users are served again, over TCP and UDP; gives seconds since the fault was over."""
        served = self.traffic.first_served(timeout)
        returned = self.datagrams.first_returned(timeout)
        return max(served, returned) - fault_over

    def settle(self, timeout: float) -> None:
        """Nobody comes any more, and all there were are over at both sides: asserts everything that must hold then."""
        self.twice = settle(self.traffic, self.datagrams, self.targets, timeout, NOTICED + 2)
        none = r"TCPS=0\|UDPS=0\|"
        self.idle = {each.name: int(each.checkpoint(GIVEN_UP, having=none)["POOL"]) for each in self.ends}
        self._assert_nothing_is_left()

    def _assert_nothing_is_left(self) -> None:
        for process in self.ends:
            end = time.monotonic() + PATIENCE
            while (left := self._left(process)) and time.monotonic() < end:
                # What is closed now is gone a moment later, and nothing tells of it.
                self.idle[process.name] = int(process.checkpoint()["POOL"])
            assert not left, f"{process.name} has more than before there were users: {left}"
            lines = [line for line in process.lines if "CHECK_POINT" not in line]
            assert len(lines) <= MOST_LINES, f"{process.name} wrote {len(lines)} lines"

    def _left(self, process: NodePass) -> dict[str, int]:
        """What it has more of than when it was warm. A pool that was busy is larger for a while."""
        spare = FLUCTUATION + self.idle[process.name]
        left = {}
        alone = self.idle[process.name] if self.setup.pool == "single" else 0
        if (more := descriptors(process) - alone - self.warm[process.name]) > FLUCTUATION:
            left["descriptors"] = more
        if process.forked:
            more_of = self._census.take(process.pid) - self._counted[process.name]
            left.update({name: count for name, count in more_of.items() if count > spare or name.startswith(NONE_LEFT)})
        return left

    def cut_at_target(self) -> int:
        """How many connections ended early at the target as if properly."""
        return cut_at(self.targets)

    def end(self, name: str) -> NodePass:
        """The server or the client."""
        return self.server if name == "server" else self.client

    @property
    def ends(self) -> tuple[NodePass, NodePass]:
        """Both ends of the tunnel."""
        return self.server, self.client

    @property
    def ingress(self) -> str:
        """Name of the process that takes in users."""
        return "server" if self.setup.flow == "reverse" else "client"
