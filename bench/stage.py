"""One contender's processes in one setup, from their start to their end, and how users reach them."""

from __future__ import annotations

import socket
import ssl
from contextlib import ExitStack
from typing import TYPE_CHECKING

from bench.model import HOST, NotOfferedError
from bench.ports import wait_listening
from bench.processes import Starter
from bench.users import wait_for_echo

if TYPE_CHECKING:
    from pathlib import Path

    from bench.model import Command, Contender, Ports, Setup
    from bench.processes import Process
    from bench.targets import Targets

START_SECONDS = 30.0
"""Time for a process to listen."""

READY_SECONDS = 45.0
"""Time until users are carried. Some peers need ten with TLS."""

CONNECT_SECONDS = 10.0


class Stage:
    """A contender in a setup. What runs is stopped when it is left.

    Args:
        contender: who.
        setup: how users get to the target.
        ports: its own two, and the target's.
        targets: what can stand at the target port.
        folder: of its own.
        seconds: how long a run takes.
    """

    def __init__(
        self, contender: Contender, setup: Setup, ports: Ports, targets: Targets, folder: Path, seconds: int
    ) -> None:
        self.contender = contender
        self.setup = setup
        self.ports = ports
        self.targets = targets
        self.folder = folder
        self.seconds = seconds
        self.processes: list[Process] = []
        """What runs, in the order of its start."""
        self._stack = ExitStack()
        self._plan: tuple[Command, ...] = ()

    @property
    def name(self) -> str:
        """What runs here, at the head of its column."""
        return self.contender.name_in(self.setup)

    @property
    def runs(self) -> bool:
        """Whether its processes have been started, and none has ended since."""
        return bool(self.processes) and not any(process.has_ended for process in self.processes)

    def prepare(self) -> None:
        """Write what its processes need, such as certificates, so that they can be started without delay.

        Raises:
            NotOfferedError: this contender cannot make the setup.
        """
        if self._plan:
            return
        if refusal := self.contender.refusal(self.setup):
            raise NotOfferedError(refusal)
        self._plan = self.contender.commands(self.setup, self.ports, self.folder)

    def spawn(self) -> None:
        """Start its processes, each when the one before it listens.

        Raises:
            BenchError: one does not come up.
        """
        while self.spawn_next():
            pass

    def spawn_next(self) -> bool:
        """Start the next of its processes, and wait until it listens.

        Returns:
            Whether there was one to be started.

        Raises:
            BenchError: it does not come up, or this contender cannot make the setup.
        """
        self.prepare()
        if len(self.processes) == len(self._plan):
            return False
        command = self._plan[len(self.processes)]
        name = f"{self.name}-{command.name}"
        starter = Starter(self.folder)
        process = self._stack.enter_context(starter.start(name, command.argv, env=command.env, counted=command.counted))
        self.processes.append(process)
        if command.listens:
            wait_listening({command.listens}, START_SECONDS, process.check)
        return True

    @property
    def is_last_next(self) -> bool:
        """Whether only one of its processes has not been started yet."""
        return len(self.processes) == len(self._plan) - 1

    def wait_ready(self, seconds: float = READY_SECONDS) -> None:
        """Wait until users are carried; what echoes must stand at the target port.

        Args:
            seconds: to wait at most.

        Raises:
            BenchError: they are not.
        """
        wait_for_echo(self, seconds)

    def check(self) -> None:
        """Raise if one of its processes has ended.

        Raises:
            BenchError: with the end of its log.
        """
        for process in self.processes:
            process.check()

    def stop(self) -> None:
        """End its processes."""
        self._stack.close()
        self.processes.clear()
        self._plan = ()

    def connect(self, seconds: float = CONNECT_SECONDS) -> socket.socket:
        """A user's connection: TCP, with TLS where users speak it, or UDP.

        Raises:
            OSError: it is refused.
        """
        address = (HOST, self.ports.users)
        if self.setup.udp:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.settimeout(seconds)
            sock.connect(address)
            return sock
        sock = socket.create_connection(address, seconds)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return user_context().wrap_socket(sock) if self.setup.users_speak_tls else sock
        except OSError:
            sock.close()
            raise

    def url(self, path: str) -> str:
        """What a web browser would ask for."""
        return f"http{'s' if self.setup.users_speak_tls else ''}://{HOST}:{self.ports.users}{path}"


def user_context() -> ssl.SSLContext:
    """Accepts any certificate, as users of a self-signed one must."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
