"""Single-end forwarding: users come in at the tunnel address and go straight to the targets. There is no peer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nodepass.config import ClientConfig, RunMode, Tunables, parse_url
from nodepass.errors import ConfigError, DialError
from nodepass.log import WARN
from nodepass.net.certificates import certificate_source
from nodepass.tunnel.instance import Instance
from nodepass.tunnel.ports import UserPorts, bind_for_users
from nodepass.tunnel.targets import Targets

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable

    from nodepass.net.certificates import CertificateSource
    from nodepass.tunnel.resources import Resources

PATIENCE = 0.5
"""Seconds that a report waits for the figure it is to show; of a target that is slower, it shows what came last."""


class SingleEnd:
    """The forwarding itself, for a `Forwarder` and for a client that turns out to be one.

    Args:
        ports: bound at the tunnel address.
        config: what to forward where.
        certificate: with it, TLS ends at the listener.
        resources: of the instance.
    """

    def __init__(
        self, ports: UserPorts, config: ClientConfig, certificate: CertificateSource | None, resources: Resources
    ) -> None:
        self._ports = ports
        self._log = resources.log
        self._interval = resources.tunables.report_interval
        self._targets = Targets(config, resources)
        self._measures_tcp = not config.notcp
        self.ping = 0.0
        """Seconds that a TCP connect to the first target took."""
        ports.open(self._targets, config, resources, certificate)

    async def report(self, checkpoint: Callable[[], None]) -> None:
        """Report every report interval, for ever, and measure the target for it. One that hangs delays no report."""
        loop = asyncio.get_running_loop()
        measuring: asyncio.Task[None] | None = None
        try:
            while True:
                begun = loop.time()
                if self._measures_tcp:
                    measuring = measuring or loop.create_task(self._measure(), name="ping")
                    await asyncio.wait((measuring,), timeout=min(PATIENCE, self._interval))
                    if measuring.done():
                        measuring.result()
                        measuring = None
                checkpoint()
                await asyncio.sleep(begun + self._interval - loop.time())
        finally:
            if measuring is not None:
                measuring.cancel()

    async def _measure(self) -> None:
        try:
            self.ping = await self._targets.ping()
        except DialError as error:
            self.ping = 0.0
            self._log.seldom("ping", WARN, "Target: %s", error)

    def take_no_more(self) -> None:
        """Stop taking users."""
        self._ports.close()

    def close(self) -> None:
        """Break off what is left."""
        self._ports.close()
        for relay in tuple(self._targets.relays):
            relay.abort()


class Forwarder(Instance[ClientConfig]):
    """A single-end forwarder: `client://<listen address>/<targets>`, whatever its `mode` says.

    Args:
        url: `client://…`, or the configuration that `nodepass.parse_url` made of one.
        tunables: the NP_* settings; of the environment unless given.
        logger: where log lines go; the standard library's logger `nodepass` unless given.

    Raises:
        ConfigError: the URL or the environment is wrong.
    """

    title = "Client"

    def __init__(
        self, url: str | ClientConfig, *, tunables: Tunables | None = None, logger: logging.Logger | None = None
    ) -> None:
        config = parse_url(url) if isinstance(url, str) else url
        if not isinstance(config, ClientConfig):
            raise ConfigError("mode", config.scheme.value, "expected a URL that begins with client://")
        super().__init__(config, tunables=tunables, logger=logger)
        self._certificate: CertificateSource | None = None
        self._single: SingleEnd | None = None

    def _prepare(self) -> None:
        self._certificate = certificate_source(
            self.config.tls, self.config.crt, self.config.key, pair=self._resources.place.pair
        )
        if self._certificate is not None:
            self._keep_current(self._certificate)

    async def _run(self) -> None:
        await self._forward(await bind_for_users(self.config.tunnel, self.config, self._resources))

    async def _forward(self, ports: UserPorts) -> None:
        self._single = SingleEnd(ports, self.config, self._certificate, self._resources)
        self._log.info("Forwarding %s to %s", self.config.tunnel, ", ".join(map(str, self.config.targets)))
        self._resources.place.settled(RunMode.REVERSE_OR_SINGLE_END, several=True)
        self._is_ready.set()
        self._is_connected.set()
        await self._single.report(self._log_checkpoint)

    def _take_no_more(self) -> None:
        if self._single is not None:
            self._single.take_no_more()

    def _close(self) -> None:
        if self._single is not None:
            self._single.close()

    def _mode(self) -> int:
        return 1

    def _peers(self) -> tuple[int, int, float]:
        return 0, 0, 0.0 if self._single is None else self._single.ping
