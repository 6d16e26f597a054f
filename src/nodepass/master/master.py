"""A master: its life, from binding the API's address to the last child's end.

Bind, load the state and start what is to run, serve. When that fails, say so, close everything, wait NP_SERVICE_COOLDOWN
and begin again, as servers and clients do; only `stop` ends it: event streams at once, requests in progress when they are
done, then all instances. The address comes first: a second master on the same port starts no children.
"""

from __future__ import annotations

import asyncio
import os
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

from nodepass.config import MasterConfig, Tunables, parse_url, to_url
from nodepass.errors import ConfigError, MasterError, NodePassError
from nodepass.log import Log
from nodepass.master.api.app import Parts, make_app
from nodepass.master.front import Backend, Front
from nodepass.master.info import Info
from nodepass.master.instances import Instances
from nodepass.master.metrics import Metrics
from nodepass.master.recent import Recent
from nodepass.master.system import System
from nodepass.master.tcping import Tcping
from nodepass.master.web import ALPN, WebServer
from nodepass.net.certificates import certificate_source
from nodepass.net.dns import Resolver
from nodepass.net.life import Life
from nodepass.net.listen import bind
from nodepass.net.tasks import Tasks

if TYPE_CHECKING:
    import logging
    from pathlib import Path

    from nodepass.config import Secret
    from nodepass.master.identity import MasterIdentity
    from nodepass.net.certificates import CertificateSource


class Master(Life):
    """The REST API that runs servers and clients, each in a process of its own.

    Args:
        url: `master://…`, or the configuration that `nodepass.parse_url` made of one.
        tunables: the NP_* settings; of the environment unless given.
        logger: where log lines go; the standard library's logger `nodepass` unless given.
        folder: where the state is kept; NP_STATE_DIR, or the platform's folder for a user's data, unless given. Each master
            needs its own.

    Raises:
        ConfigError: the URL or the environment is wrong.
    """

    title = "Master"
    _noun = "the master"
    _stopped = MasterError

    def __init__(
        self,
        url: str | MasterConfig,
        *,
        tunables: Tunables | None = None,
        logger: logging.Logger | None = None,
        folder: Path | None = None,
    ) -> None:
        super().__init__()
        config = parse_url(url) if isinstance(url, str) else url
        if not isinstance(config, MasterConfig):
            raise ConfigError("mode", config.scheme.value, "expected a URL that begins with master://")
        self.config = config
        self._tunables = Tunables.from_environment(os.environ) if tunables is None else tunables
        self._folder = folder
        self._log = Log(config.log.number, logger)
        self._tasks = Tasks(self._log)
        self._certificate: CertificateSource | None = None
        self._is_ready = asyncio.Event()
        self._identity: MasterIdentity | None = None

    @property
    def api_key(self) -> Secret:
        """What requests to the API have to show; `reveal()` gives the text.

        Raises:
            MasterError: it has not been ready yet.
        """
        if self._identity is None:
            raise MasterError("the API key is known when the master is ready")
        return self._identity.api_key

    async def ready(self) -> None:
        """Wait until the API answers. An error that it restarts from lets this wait on.

        Raises:
            RuntimeError: it has not been started.
            MasterError: it was stopped, before or while this waits.
        """
        await self._until(self._is_ready)

    @property
    def is_ready(self) -> bool:
        """Whether `ready` would not wait."""
        return self._is_ready.is_set()

    @property
    def is_connected(self) -> bool:
        """The same: a master has no other end."""
        return self.is_ready

    # Its life.

    def _load(self) -> None:
        self._certificate = certificate_source(self.config.tls, self.config.crt, self.config.key, ALPN)

    async def _live(self) -> None:
        self._log.info("Master started: %s", to_url(self.config, with_secret=False))
        try:
            if self._certificate is not None:
                renewal = self._certificate.keep_current(self._tunables.reload_interval, self._log)
                self._tasks.start(renewal, "certificate reload")
            while not self._stopping.is_set():
                run = asyncio.ensure_future(self._run())
                await asyncio.wait((run,))
                if (error := run.exception()) is not None:
                    # One that nobody foresaw is told with its type, and begun again from as well.
                    self._log.error("Master error: %s", error if isinstance(error, NodePassError) else repr(error))
                    await self._cool_down()
        finally:
            self._is_ready.clear()
            await self._tasks.cancelled()
        self._log.info("Master shutdown complete")

    async def _cool_down(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._tunables.service_cooldown):
                await self._stopping.wait()

    async def _run(self) -> None:
        """Serve until `stop`.

        Raises:
            NodePassError: the address cannot be bound, or the state not be opened.
        """
        resolver = Resolver(0, self._log, self._tasks)
        address = self.config.address
        ips = await resolver.resolve(address.host) if address.host else ()
        sockets = bind(ips, address.port, socket.SOCK_STREAM)
        try:
            instances = Instances(self.config, self._tunables, self._log, self._folder)
            try:
                await instances.open()
                self._identity = instances.master
                await self._serve(instances, resolver, sockets)
            finally:
                await instances.close()
        finally:
            for sock in sockets:
                sock.close()

    async def _serve(self, instances: Instances, resolver: Resolver, sockets: list[socket.socket]) -> None:
        machine = System()
        parts = Parts(instances, Info(self.config, machine), Tcping(resolver, self._log), Metrics(), self._log)
        grace = self._tunables.shutdown_timeout
        api = make_app(self.config.prefix, parts)
        recent = Recent(instances.events, self._tunables.report_interval)
        front = Front(api, Backend(self.config, parts, recent)) if self.config.dashboard else None
        web = WebServer(front or api, self._certificate, grace, self._log, websockets=front is not None)
        besides = [self._tasks.start(machine.keep_sampling(self._log), "sampling")]
        if front is not None:
            besides.append(self._tasks.start(recent.keep(), "recent figures"))
        serving = asyncio.ensure_future(web.serve(sockets))
        listening = asyncio.ensure_future(web.listening.wait())
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait((serving, listening), return_when=asyncio.FIRST_COMPLETED)
            self._tell_address()
            self._is_ready.set()
            await asyncio.wait((serving, stopping), return_when=asyncio.FIRST_COMPLETED)
            web.stop()
            # All at a time: event streams and pages end with the others; else the first would wait for their readers.
            await asyncio.gather(serving, instances.close(), *(() if front is None else (front.close(),)))
        finally:
            self._is_ready.clear()
            for task in (*besides, listening, stopping):
                task.cancel()

    def _tell_address(self) -> None:
        address = f"{self.config.address}{self.config.prefix}"
        if self._certificate is None:
            self._log.info("API at http://%s", address)
        else:
            self._log.info("API at https://%s, certificate %s", address, self._certificate.current.fingerprint)
