"""Trying TCP connections from the master's machine, a few at a time (spec: master.md, tcping)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nodepass.config import parse_endpoint
from nodepass.errors import ConfigError, DialError
from nodepass.net.address import Address
from nodepass.net.dial import Dial, LocalAddress

if TYPE_CHECKING:
    import socket

    from nodepass.config import Endpoint
    from nodepass.log import Log
    from nodepass.net.dns import Resolver

AT_ONCE = 10
PLACE_TIMEOUT = 1.0
"""Seconds that one more waits for a place."""

CONNECT_TIMEOUT = 5.0
"""Seconds to find the target's address and to connect."""

MILLISECONDS = 1000


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one attempt.

    Args:
        connected: whether the target took the connection.
        latency: milliseconds that connecting took, without finding the address; 0 where it failed.
        error: why it failed; None where it did not.
    """

    connected: bool
    latency: int = 0
    error: str | None = None


class Tcping:
    """Tries connections.

    Args:
        resolver: finds addresses.
        log: of the master.
        connect_timeout: seconds to find the target's address and to connect.
    """

    def __init__(self, resolver: Resolver, log: Log, connect_timeout: float = CONNECT_TIMEOUT) -> None:
        self._resolver = resolver
        self._local = LocalAddress(None, log)
        self._timeout = connect_timeout
        self._places = asyncio.Semaphore(AT_ONCE)

    async def ping(self, target: Endpoint) -> Result:
        """Connect, and close at once."""
        try:
            async with asyncio.timeout(PLACE_TIMEOUT):
                await self._places.acquire()
        except TimeoutError:
            return Result(connected=False, error="too many requests")
        try:
            return await self._try(target)
        finally:
            self._places.release()

    async def _try(self, target: Endpoint) -> Result:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._timeout
        try:
            ips = await self._resolver.resolve(target.host, self._timeout)
            begun = loop.time()
            await self._connect([Address(ip, target.port) for ip in ips], max(end - begun, 0))
        except DialError as error:
            return Result(connected=False, error=str(error))
        return Result(connected=True, latency=round((loop.time() - begun) * MILLISECONDS))

    async def _connect(self, addresses: list[Address], timeout: float) -> None:  # noqa: ASYNC109 - `Dial` keeps it
        """Connect to the first address that answers.

        Raises:
            DialError: none does.
        """
        outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def connected(sock: socket.socket, _: Address) -> None:
            sock.close()
            if not outcome.done():
                outcome.set_result(None)

        def failed(error: DialError) -> None:
            if not outcome.done():
                outcome.set_exception(error)

        dial = Dial(addresses, timeout, self._local, connected, failed)
        try:
            await outcome
        finally:
            dial.cancel()


def parse_target(text: str) -> Endpoint:
    """Read a target.

    Raises:
        ConfigError: it is none.
    """
    try:
        target = parse_endpoint(text)
    except ValueError as error:
        raise ConfigError("target", None, str(error)) from None
    if not target.host:
        raise ConfigError("target", None, "expected a host in front of the port")
    return target
