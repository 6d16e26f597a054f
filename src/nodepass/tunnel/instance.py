"""What a server, a client and a forwarder have in common: a life.

Start, run, and on any error: say so, close everything, wait NP_SERVICE_COOLDOWN, start again; only `stop` ends it. `stop`
takes no new users, lets those in progress finish for up to NP_SHUTDOWN_TIMEOUT, and closes (spec: config.md, Life cycle).

An instance runs once: what has been stopped is not started again, another is made. It is used as an asynchronous context
manager::

    async with Server("server://key@:10101/127.0.0.1:8080") as server:
        await server.ready()
        ...
"""

from __future__ import annotations

import asyncio
import math
import os
from abc import abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Generic, TypeVar

from nodepass.config import ClientConfig, ServerConfig, Tunables, to_url
from nodepass.errors import ConfigError, NodePassError, TunnelError
from nodepass.log import ERROR, Log
from nodepass.net.life import Life
from nodepass.tunnel.resources import Resources, make_resources
from nodepass.tunnel.stats import Stats

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Coroutine

    from nodepass.net.certificates import CertificateSource
    from nodepass.protocol.checkpoint import CheckPoint
    from nodepass.tunnel.place import Place

ConfigT = TypeVar("ConfigT", ServerConfig, ClientConfig)


class Instance(Life, Generic[ConfigT]):
    """One server, client or forwarder.

    Args:
        config: what to run.
        tunables: the NP_* settings; of the environment unless given.
        logger: where log lines go; the standard library's logger `nodepass` unless given.

    Raises:
        ConfigError: a tunable in the environment is wrong, or several processes are asked for: an instance is one.
    """

    _noun = "the instance"
    _stopped = TunnelError

    def __init__(self, config: ConfigT, *, tunables: Tunables | None = None, logger: logging.Logger | None = None) -> None:
        super().__init__()
        if config.workers != 1:
            raise ConfigError("workers", str(config.workers), "expected 1: only the `nodepass` command starts processes")
        self.config: ConfigT = config
        self._tunables = Tunables.from_environment(os.environ) if tunables is None else tunables
        self._log = Log(config.log.number, logger)
        self._warned = False
        self._reported = -math.inf
        self._place: Place | None = None
        self._resources: Resources
        self._is_ready = asyncio.Event()
        self._is_connected = asyncio.Event()

    def settle_in(self, place: Place) -> None:
        """Before `start`: run in this place, one of several, and not as the only process of the instance."""
        self._place = place

    # For those who use it.

    async def ready(self) -> None:
        """Wait until it listens; a client without users of its own, until it has met its server.

        An error that it restarts from lets this wait on.

        Raises:
            RuntimeError: it has not been started.
            TunnelError: it was stopped, before or while this waits.
        """
        await self._until(self._is_ready)

    async def connected(self) -> None:
        """Wait until users can be carried: a tunnel's two ends have met, or a forwarder listens.

        An error that it restarts from lets this wait on.

        Raises:
            RuntimeError: it has not been started.
            TunnelError: it was stopped, before or while this waits.
        """
        await self._until(self._is_connected)

    @property
    def is_ready(self) -> bool:
        """Whether `ready` would not wait."""
        return self._is_ready.is_set()

    @property
    def is_connected(self) -> bool:
        """Whether `connected` would not wait."""
        return self._is_connected.is_set()

    @property
    def stats(self) -> Stats:
        """The figures at this moment.

        Raises:
            RuntimeError: it has not been started.
        """
        if self._life is None:
            raise RuntimeError("the instance has not been started")
        return Stats.taken(self._mode(), *self._peers(), self._resources.meter)

    def checkpoint(self) -> CheckPoint:
        """The figures at this moment, as its CHECK_POINT line gives them.

        Raises:
            RuntimeError: it has not been started.
        """
        return self.stats.checkpoint()

    def show_errors(self) -> None:
        """Log errors even where the URL's `log` hides them: for whoever runs the instance and must know why it fails."""
        self._log.level = min(self._log.level, ERROR)

    # What each kind of instance does in its way.

    def _prepare(self) -> None:
        """Load what the URL names, before anything is bound."""

    @abstractmethod
    async def _run(self) -> None:
        """Run once: open everything, serve, and raise when it cannot go on."""

    @abstractmethod
    def _take_no_more(self) -> None:
        """Stop taking users; those in progress go on."""

    @abstractmethod
    def _close(self) -> None:
        """Let go of everything that `_run` opened."""

    async def _arrived(self) -> None:
        """Before sessions end: wait until what was sent has arrived, as far as a transport and not the system sees to that.

        A session that ends takes its users' connections at the other end with it.
        """

    async def _departed(self) -> None:
        """At the very end: wait until what was sent has arrived, as far as a transport and not the system sees to that."""

    def _abort(self) -> None:
        """Let go of what transports still hold."""

    @abstractmethod
    def _mode(self) -> int:
        """The resolved run mode, for `Stats` and CHECK_POINT."""

    @abstractmethod
    def _peers(self) -> tuple[int, int, float]:
        """How many peers are connected, their idle connections, and the ping in seconds."""

    # Its life.

    def _load(self) -> None:
        self._resources = make_resources(self.config, self._tunables, self._log, self._place)
        try:
            self._prepare()
        except ConfigError:
            self._resources.close()
            raise

    async def _live(self) -> None:
        self._log.info("%s started: %s", self.title, to_url(self.config, with_secret=False))
        try:
            await self._run_until_stopped()
            self._take_no_more()
            await self._drain()
            await self._in_time(self._arrived())
        finally:
            self._close()
            await self._in_time(self._departed())
            self._abort()
            await self._resources.tasks.cancelled()
            self._resources.close()
        self._log.info("%s shutdown complete", self.title)

    async def _in_time(self, work: Coroutine[None, None, None]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._tunables.shutdown_timeout):
                await work

    async def _run_until_stopped(self) -> None:
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            while not self._stopping.is_set():
                begun = asyncio.get_running_loop().time()
                run = asyncio.ensure_future(self._run())
                await asyncio.wait((run, stopping), return_when=asyncio.FIRST_COMPLETED)
                if not run.done():
                    run.cancel()
                    await asyncio.wait((run,))
                    return
                self._tell_why(run)
                self._not_ready()
                self._close()
                # What ran for long may start again at once: a session that broke is followed by another.
                lasted = asyncio.get_running_loop().time() - begun
                await asyncio.wait((stopping,), timeout=max(self._tunables.service_cooldown - lasted, 0))
                if not self._stopping.is_set():
                    self._log.info("%s restart", self.title)
        finally:
            self._not_ready()
            stopping.cancel()

    def _not_ready(self) -> None:
        """A run has ended: whoever asks from now on waits for the next."""
        self._is_ready.clear()
        self._is_connected.clear()

    def _tell_why(self, run: asyncio.Future[None]) -> None:
        """Log the error that ended a run. One that nobody foresaw is told with its type, and restarted from as well."""
        error = run.exception()
        if error is not None:
            self._log.error("%s error: %s", self.title, error if isinstance(error, NodePassError) else repr(error))

    async def _drain(self) -> None:
        meter = self._resources.meter
        if meter.sessions:
            self._log.info("Waiting up to %g s for %d sessions", self._tunables.shutdown_timeout, meter.sessions)
        try:
            async with asyncio.timeout(self._tunables.shutdown_timeout):
                await meter.finished()
                await self._resources.place.all_finished()
        except TimeoutError:
            if meter.sessions:
                self._log.warning("Shutdown: %d sessions had not finished in time", meter.sessions)

    # What several kinds need.

    def _warn_of_default_key(self) -> None:
        """Say, once, that a key derived from the port keeps nobody out."""
        if self.config.key_is_default and not self._warned:
            self._warned = True
            self._log.warning("The URL has no key: anyone can derive the one in use from the tunnel port")

    def _keep_current(self, certificate: CertificateSource, announce: Callable[[str], None] = lambda _: None) -> None:
        """Serve the certificate's files as they are from now on: they are read again every NP_RELOAD_INTERVAL.

        The fingerprint of another certificate is announced before that is shown.
        """
        renewal = certificate.keep_current(self._tunables.reload_interval, self._log, announce)
        self._resources.tasks.start(renewal, "certificate reload")

    def _log_checkpoint(self) -> None:
        """Write the line that front ends read, once an interval however many peers have just answered."""
        now = asyncio.get_running_loop().time()
        if now - self._reported >= self._tunables.report_interval / 2:
            self._reported = now
            self._log.event(self.checkpoint().format())
