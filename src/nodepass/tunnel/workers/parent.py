"""The parent of an instance that is several processes: it binds, supervises and reports, and carries nothing.

It looks like an `Instance` to whoever runs it: one start, one end, one CHECK_POINT line every report interval.

What always holds:

- A child that ends is started again, in the place of the one before; the others go on. One that fails again and again waits
  NP_SERVICE_COOLDOWN, as an instance does.
- No child outlives the parent: when its socket ends, however the parent did, a child ends.
- There is one child first. What the URL leaves open (`mode=0`) it decides for all; and whether there may be others a client
  knows only when it has met the server, since a v1 server takes one client from an address.
- What a server remembers of handshakes is here, so that it holds for all children, and no longer than for one.
- All children show one certificate, and hold to one limit of slots and of the rate.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from nodepass.config import RunMode, ServerConfig, to_url
from nodepass.errors import ListenError, TunnelError
from nodepass.log import ERROR, Log, tunnel_of
from nodepass.net.tasks import Tasks
from nodepass.tunnel.memory import Attempt, OwnMemory
from nodepass.tunnel.transports import shared_certificate
from nodepass.tunnel.workers.cells import Cells
from nodepass.tunnel.workers.launched import Child, introduce, introduce_again
from nodepass.tunnel.workers.messages import (
    Bind,
    Bound,
    Finished,
    Judge,
    Judged,
    Missed,
    Progress,
    Release,
    Settled,
    Start,
    Stop,
)
from nodepass.tunnel.workers.sockets import SharedSockets

if TYPE_CHECKING:
    import logging
    from collections.abc import Sequence

    from nodepass.config import ClientConfig, Tunables
    from nodepass.net.certificates import PemPair
    from nodepass.protocol.checkpoint import CheckPoint
    from nodepass.tunnel.memory import Ruling
    from nodepass.tunnel.workers.packets import Message

PHASES: Final = 3
"""How often NP_SHUTDOWN_TIMEOUT may pass until an instance has ended: see `Instance`."""

END_PATIENCE: Final = 1.0
"""Seconds that a child has to end beyond that."""


class Workers:
    """A server, client or forwarder that is several processes.

    Args:
        url: what to run.
        config: what `parse_url` made of it.
        count: how many children.
        tunables: the NP_* settings.
        logger: where log lines go.
        held: descriptors that the children hold on to as well.
    """

    def __init__(
        self,
        url: str,
        config: ServerConfig | ClientConfig,
        count: int,
        tunables: Tunables,
        logger: logging.Logger,
        held: Sequence[int] = (),
    ) -> None:
        self.config = config
        self.title = "Server" if isinstance(config, ServerConfig) else "Client"
        self._url = url
        self._mode = config.mode
        self._tunables = tunables
        self._log, self._logger = Log(config.log.number, logger), logger
        self._shows_errors = False
        self._held = tuple(held)
        self._pair: PemPair | None = None
        self._cells = Cells.make(count)
        self._memory = OwnMemory()
        self._sockets = SharedSockets()
        self._children = [Child(index) for index in range(count)]
        self._tasks = Tasks(self._log)
        self._keepers: list[asyncio.Task[None]] = []
        self._is_ready = asyncio.Event()
        self._is_connected = asyncio.Event()
        self._stopping = asyncio.Event()

    # As an instance.

    async def start(self) -> None:
        """Begin to run in the background.

        Raises:
            ConfigError: a file that the URL names is no good; nothing has been bound.
        """
        self._pair = shared_certificate(self.config)
        self._log.info(
            "%s starts %d processes: %s", self.title, len(self._children), to_url(self.config, with_secret=False)
        )
        self._children[0].wanted.set()
        self._keepers = [self._tasks.start(self._keep(child), f"worker {child.index}") for child in self._children]
        self._tasks.start(self._report(), "report")

    @property
    def is_ready(self) -> bool:
        return self._is_ready.is_set()

    @property
    def is_connected(self) -> bool:
        return self._is_connected.is_set()

    async def ready(self) -> None:
        ready, stopping = asyncio.ensure_future(self._is_ready.wait()), asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((ready, stopping), return_when=asyncio.FIRST_COMPLETED)
            if self._stopping.is_set():
                raise TunnelError("the instance was stopped")
        finally:
            ready.cancel()
            stopping.cancel()

    async def stop(self) -> None:
        """End all children gracefully, and wait for them."""
        self._stopping.set()
        self._sockets.close()
        for child in self._children:
            child.wanted.set()
            child.say(Stop())
        patience = PHASES * self._tunables.shutdown_timeout + END_PATIENCE
        if self._keepers:
            _, late = await asyncio.wait(self._keepers, timeout=patience)
            if late:
                self._kill_all()
                await asyncio.wait(late)
        await self._tasks.cancelled()
        self._log.info("%s shutdown complete", self.title)

    def checkpoint(self) -> CheckPoint:
        """The figures at this moment, of all children together."""
        return self._cells.checkpoint()

    def show_errors(self) -> None:
        self._shows_errors = True
        self._log.level = min(self._log.level, ERROR)

    # Its children.

    async def _keep(self, child: Child) -> None:
        """Keep one child running for as long as it is wanted."""
        loop = asyncio.get_running_loop()
        while await self._is_wanted(child):
            begun = loop.time()
            try:
                code = await self._run(child)
            except OSError as error:
                self._log.error("%s error: a process cannot be started: %s", self.title, error.strerror)
            else:
                if child.wanted.is_set() and not self._stopping.is_set():
                    text = "Process %d of %d ended with %d: another takes its place"
                    self._log.warning(text, child.index + 1, len(self._children), code)
            pause = self._tunables.service_cooldown - (loop.time() - begun)
            with suppress(TimeoutError):
                async with asyncio.timeout(max(pause, 0)):
                    await self._stopping.wait()

    async def _is_wanted(self, child: Child) -> bool:
        """Wait until a child is to run; False once nothing is to run any more."""
        await child.wanted.wait()
        return not self._stopping.is_set()

    async def _run(self, child: Child) -> int:
        """Run one child until it has ended; gives its exit code."""
        process = await child.launch(self._held, self._received)
        try:
            child.say(self._start_of(child), (os.dup(self._cells.descriptor),))
            introduce(child, self._children)
            if self._stopping.is_set():
                child.say(Stop())
            self._log.info("Process %d of %d is %d", child.index + 1, len(self._children), process.pid)
            return await process.wait()
        finally:
            child.gone()
            self._cells.forget(child.index)
            self._progressed(child, Progress(ready=False, connected=False))
            self._end_all_if_finished()

    def _start_of(self, child: Child) -> Start:
        pair = self._pair
        return Start(
            index=child.index,
            count=len(self._children),
            url=self._url,
            mode=self._mode.value,
            shows_errors=self._shows_errors,
            tunnel=tunnel_of(self._logger.name),
            shutdown_timeout=self._tunables.shutdown_timeout,
            chain="" if pair is None else pair.chain.decode("ascii"),
            private_key="" if pair is None else pair.private_key.decode("ascii"),
        )

    def _kill_all(self) -> None:
        for child in self._children:
            if child.process is not None:
                self._log.error("Process %d of %d does not end: it is killed", child.index + 1, len(self._children))
                child.process.kill()

    # What children say.

    def _received(self, child: Child, message: Message) -> None:
        if isinstance(message, Bind):
            self._bind(child, message)
        elif isinstance(message, Release):
            self._sockets.release(child.index, message.ips, message.port)
        elif isinstance(message, Settled):
            self._settle(child, message)
        elif isinstance(message, Judge):
            self._judge(child, message)
        elif isinstance(message, Finished):
            child.finished = True
            self._end_all_if_finished()
        elif isinstance(message, Progress):
            self._progressed(child, message)
        elif isinstance(message, Missed):
            introduce_again(child, self._children[message.index])

    def _bind(self, child: Child, question: Bind) -> None:
        kind = socket.SOCK_STREAM if question.tcp else socket.SOCK_DGRAM
        try:
            if self._stopping.is_set() or not child.wanted.is_set():
                raise ListenError("the instance is ending")  # noqa: TRY301 - as if it could not be bound
            descriptors = self._sockets.give(child.index, (question.ips, question.port, kind))
        except ListenError as error:
            child.say(Bound(question.number, str(error)))
        else:
            child.say(Bound(question.number, ""), descriptors)

    def _settle(self, child: Child, message: Settled) -> None:
        """What the URL left open is decided by one child for all."""
        if self._stopping.is_set() or not child.wanted.is_set():
            return
        self._mode = RunMode(message.mode)
        for other in self._children:
            if message.several:
                other.wanted.set()
            elif other is not child and other.wanted.is_set():
                other.wanted.clear()
                self._sockets.release_all(other.index)
                other.say(Stop())

    def _judge(self, child: Child, question: Judge) -> None:
        """Handshakes come to any child, and are remembered here for all."""

        def ruled(ruling: Ruling) -> None:
            child.say(Judged(question.number, ruling.wait, ruling.repeated))

        attempt = Attempt(question.ip, question.failed, bytes.fromhex(question.fresh))
        self._memory.rule(attempt, asyncio.get_running_loop().time(), ruled)

    def _end_all_if_finished(self) -> None:
        """Users of one child may be carried by another: all end when the last has finished; one alone need not wait."""
        running = [child for child in self._children if child.runs]
        all_finished = all(child.finished for child in running)
        for child in running:
            if all_finished or (child.finished and not self._stopping.is_set()):
                child.say(Finished())

    def _progressed(self, child: Child, progress: Progress) -> None:
        if progress.ready and not child.progress.ready:
            others = sum(other.progress.ready for other in self._children)
            self._log.info("Process %d of %d serves, with %d others", child.index + 1, len(self._children), others)
        child.progress = progress
        for event, reached in (
            (self._is_ready, any(child.progress.ready for child in self._children)),
            (self._is_connected, any(child.progress.connected for child in self._children)),
        ):
            if reached:
                event.set()
            else:
                event.clear()

    async def _report(self) -> None:
        """Write the line that front ends read, every report interval while users can be carried."""
        while True:
            await self._is_connected.wait()
            self._log.event(self.checkpoint().format())
            await asyncio.sleep(self._tunables.report_interval)
