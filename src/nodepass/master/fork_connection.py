"""The master's end of the socket to its fork server, and the processes behind it (see `nodepass.fork_server`)."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from typing import TYPE_CHECKING, Final

from nodepass.errors import ProcessError
from nodepass.master.fork_messages import STOP_PATIENCE, Ended, Failed, Ready, Signal, Start, Started, decode_reply
from nodepass.master.output import OutputReader
from nodepass.net.packet_queue import PacketQueue
from nodepass.net.packets import LARGEST_PACKET, encode

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.master.fork_messages import Reply, Request
    from nodepass.master.output import Line

START_TIMEOUT: Final = 30.0
"""Seconds in which the fork server answers, once it is ready."""

LOST: Final = -signal.SIGKILL
"""Exit code of processes whose fork server ended: the kernel killed them."""


class Process:
    """A running instance.

    Args:
        number: by which the fork server knows it.
        pid: its process ID.
        connection: to the fork server.
    """

    def __init__(self, number: int, pid: int, connection: Connection) -> None:
        self.number = number
        self.pid = pid
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        """Its exit code, or a signal's number with a minus; done when all its output has been read."""
        self._connection = connection

    async def stop(self) -> int:
        """SIGTERM; SIGKILL where that has not ended it in time. Gives the exit code."""
        self._connection.send(Signal(self.number, signal.SIGTERM))
        done, _ = await asyncio.wait((self.ended,), timeout=STOP_PATIENCE)
        if not done:
            self._connection.send(Signal(self.number, signal.SIGKILL))
        return await asyncio.shield(self.ended)


class Connection:
    """The socket to one fork server, and the processes that it started.

    Requests that the socket does not take at once wait in a queue: no longer than the instances are many, for each has one
    request at a time.

    Args:
        control: the socket.
    """

    def __init__(self, control: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._control = control
        self._unsent = PacketQueue(control)
        self._starting: dict[int, tuple[asyncio.Future[Process], OutputReader]] = {}
        self._running: dict[int, tuple[Process, OutputReader]] = {}
        self.ready: asyncio.Future[None] = self._loop.create_future()
        self.lost: asyncio.Future[None] = self._loop.create_future()
        """Done when the fork server has ended."""
        control.setblocking(False)
        self._loop.add_reader(control.fileno(), self._receive)

    async def start(self, number: int, url: str, take: Callable[[Line], None]) -> Process:
        """See `Processes.start`."""
        if self.lost.done():
            raise ProcessError("the fork server has ended")
        try:
            reading, writing = os.pipe()
        except OSError as error:
            raise ProcessError(f"there is no pipe for another process: {error.strerror}") from None
        started: asyncio.Future[Process] = self._loop.create_future()
        self._starting[number] = started, OutputReader(reading, take, self._loop)
        self.send(Start(number, url), writing)
        try:
            async with asyncio.timeout(START_TIMEOUT):
                return await started
        except TimeoutError:
            raise ProcessError("the fork server does not answer") from None

    def send(self, request: Request, descriptor: int | None = None) -> None:
        """Send a request, with a descriptor that is closed here then."""
        self._unsent.put(encode(request), () if descriptor is None else (descriptor,))

    def close(self) -> None:
        """Let the fork server end all that it started, and itself. What happens meanwhile is still told."""
        if not self.lost.done():
            self._control.shutdown(socket.SHUT_WR)

    def _receive(self) -> None:
        try:
            packet = self._control.recv(LARGEST_PACKET)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if packet:
            self._handle(decode_reply(packet))
        else:
            self._lose()

    def _handle(self, reply: Reply) -> None:
        if isinstance(reply, Ready):
            self.ready.set_result(None)
        elif isinstance(reply, Started):
            self._started(reply)
        elif isinstance(reply, Failed):
            started, output = self._starting.pop(reply.number)
            output.finish()
            if not started.done():
                started.set_exception(ProcessError(f"a process cannot be started: {reply.reason}"))
        else:
            self._ended(reply)

    def _started(self, reply: Started) -> None:
        started, output = self._starting.pop(reply.number)
        process = Process(reply.number, reply.pid, self)
        self._running[reply.number] = process, output
        if started.done():
            # Nobody waits for it any more.
            self.send(Signal(reply.number, signal.SIGKILL))
        else:
            started.set_result(process)

    def _ended(self, reply: Ended) -> None:
        process, output = self._running.pop(reply.number)
        output.finish()
        process.ended.set_result(reply.code)

    def _lose(self) -> None:
        self._loop.remove_reader(self._control.fileno())
        self._unsent.close()
        self._control.close()
        self.lost.set_result(None)
        if not self.ready.done():
            self.ready.set_exception(ProcessError("the fork server ended before it was ready"))
            # If nobody waits for it, so be it.
            self.ready.exception()
        for started, output in self._starting.values():
            output.finish()
            if not started.done():
                started.set_exception(ProcessError("the fork server has ended"))
        self._starting.clear()
        for number in tuple(self._running):
            self._ended(Ended(number, LOST))
