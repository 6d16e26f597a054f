"""All processes of a master: the fork server is started when it is needed, and again if it has ended."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from typing import TYPE_CHECKING, Final

from nodepass.config import LogFormat
from nodepass.config.tunables import LOG_FORMAT
from nodepass.errors import ProcessError
from nodepass.master.fork_connection import Connection
from nodepass.master.fork_messages import STOP_PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nodepass.log import Log
    from nodepass.master.fork_connection import Process
    from nodepass.master.output import Line

MODULE: Final = "nodepass.fork_server"
"""By name: whatever it imports is not for a master."""

WORTH_TELLING: Final = 3.0
"""Seconds after which somebody may wonder why the fork server is not ready."""

KILL_PATIENCE: Final = 2.0
"""Seconds that the fork server has to end, beyond those that it gives to the processes."""


class Processes:
    """Starts processes.

    Args:
        lock: path of the file that the fork server and its processes hold a lock on.
        log: of the master.
    """

    def __init__(self, lock: Path, log: Log) -> None:
        self._lock = lock
        self._log = log
        self._connecting: asyncio.Task[Connection] | None = None
        self._server: asyncio.subprocess.Process | None = None
        self._numbers = 0
        self._closed = False

    async def start(self, url: str, take: Callable[[Line], None]) -> Process:
        """Start an instance.

        Args:
            url: what it runs; it has been checked.
            take: called with each line that it writes.

        Raises:
            ProcessError: it could not be started.
        """
        connection = await self._connected()
        self._numbers += 1
        return await connection.start(self._numbers, url, take)

    def refuse(self) -> None:
        """Start nothing more; whoever waits for a fork server waits no longer."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()

    async def close(self) -> None:
        """End all processes, and the fork server."""
        self.refuse()
        if self._connecting is None or self._server is None:
            return
        await asyncio.wait((self._connecting,))
        if not _is_lost(self._connecting):
            self._connecting.result().close()
        try:
            async with asyncio.timeout(STOP_PATIENCE + KILL_PATIENCE):
                await self._server.wait()
        except TimeoutError:
            self._log.error("The fork server does not end: it is killed")
            self._server.kill()
            await self._server.wait()

    async def _connected(self) -> Connection:
        """Give the connection to a fork server that is ready.

        Raises:
            ProcessError: it cannot be started.
        """
        if not self._closed and (self._connecting is None or _is_lost(self._connecting)):
            self._connecting = asyncio.create_task(self._connect(), name="fork server")
        if self._connecting is not None:
            await asyncio.wait((self._connecting,))
            if not self._connecting.cancelled():
                return self._connecting.result()
        raise ProcessError("the master is ending")

    async def _connect(self) -> Connection:
        try:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        except OSError as error:
            raise ProcessError(f"there is no socket for the fork server: {error.strerror}") from None
        connection = Connection(ours)
        try:
            with theirs:
                self._server = await self._launch(theirs)
            ready, _ = await asyncio.wait((connection.ready,), timeout=WORTH_TELLING)
            if not ready:
                self._log.info("Waiting for the processes of an earlier master to end")
            await connection.ready
        except BaseException:
            connection.close()
            raise
        return connection

    async def _launch(self, control: socket.socket) -> asyncio.subprocess.Process:
        try:
            lock = os.open(self._lock, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ProcessError(f"the lock file {self._lock} cannot be opened: {error.strerror}") from None
        arguments = (sys.executable, "-P", "-m", MODULE, str(control.fileno()), str(lock))
        try:
            return await asyncio.create_subprocess_exec(
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                pass_fds=(control.fileno(), lock),
                # Ctrl-C is for the master alone: it says how its instances end.
                start_new_session=True,
                env=_environment(),
            )
        except OSError as error:
            raise ProcessError(f"the fork server cannot be started: {error.strerror}") from None
        finally:
            os.close(lock)


def _environment() -> dict[str, str]:
    """The variables of the fork server and of all that it starts."""
    return {
        **os.environ,
        # It finds its modules where this process found them.
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        # What they write is read here; whoever reads the log gets it in the format that they want.
        LOG_FORMAT.name: LogFormat.TEXT,
    }


def _is_lost(connecting: asyncio.Task[Connection]) -> bool:
    """Whether there was a connection, or an attempt at one, and is none any more."""
    if not connecting.done():
        return False
    return connecting.cancelled() or connecting.exception() is not None or connecting.result().lost.done()
