"""The targets: which one a new connection goes to, how it is dialled, and what happens when one does not answer.

What always holds: one connection tries each target at most once, in the balancer's order, and each address of a target's
name within the dial timeout; the first that answers is used; the balancer hears of every success and failure. UDP does
not tell whether anybody is there: a session goes on to the next address, then to the next target, when it hears a refusal.
"""

from __future__ import annotations

import asyncio
import socket
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from nodepass.config import Balancing, ProxyVersion
from nodepass.errors import DialError
from nodepass.log import ERROR, WARN
from nodepass.net.address import Address
from nodepass.net.dial import Dial
from nodepass.net.udp import enlarge_buffers
from nodepass.policy.balancing import balancer
from nodepass.protocol.proxy_header import encode_v1, encode_v2
from nodepass.relay.datagram_ends import TargetEnd
from nodepass.transport.tcp_link import TcpLink
from nodepass.tunnel.upstream import NOTHING_FAILED, Way

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nodepass.config import ClientConfig, ServerConfig
    from nodepass.relay.datagram_ends import DatagramEnd
    from nodepass.tunnel.resources import Resources
    from nodepass.tunnel.upstream import Failure, Relay

LOOPBACK = "localhost"
"""Where a target without a host is."""


class Targets:
    """The targets of one instance, as an upstream of their own.

    Args:
        config: which they are, and how to spread over them.
        resources: of the instance.
    """

    def __init__(self, config: ServerConfig | ClientConfig, resources: Resources) -> None:
        self.endpoints = config.targets
        self.relays: set[Relay] = set()
        self.resources = resources
        self._proxy = config.proxy
        self._balancer = balancer(config.lbs, len(config.targets), resources.tunables.fallback_interval)
        self._loop = asyncio.get_running_loop()
        if config.lbs is Balancing.LOWEST_LATENCY and len(config.targets) > 1 and not config.notcp:
            resources.tasks.start(self._probe(), "latency probe")

    def open_tcp(
        self,
        remote: Address,
        opened: Callable[[Way], None],
        failed: Callable[[Exception], None],
        avoid: Mapping[object, Failure] = NOTHING_FAILED,
        name: str = "",
    ) -> Attempt:
        """See `Upstream`; the PROXY header, if there is one, has been written to the link.

        Returns:
            what can cancel it.
        """
        return _TcpAttempt(self, remote, opened, failed)

    def open_udp(
        self, remote: Address, opened: Callable[[DatagramEnd, set[Relay]], None], failed: Callable[[Exception], None]
    ) -> Attempt:
        """See `Upstream`. While nobody has answered, a refusal moves the session on to the next address or target.

        Where none is left the session ends, and that is logged.
        """
        return _UdpAttempt(self, remote, opened, failed)

    async def ping(self, index: int = 0) -> float:
        """Seconds that a TCP connect to a target takes.

        Raises:
            DialError: it does not answer.
        """
        done: asyncio.Future[None] = self._loop.create_future()

        def connected(sock: socket.socket, _: Address) -> None:
            sock.close()
            done.set_result(None)

        endpoint = self.endpoints[index]
        ips = await self.resources.resolver.resolve(endpoint.host or LOOPBACK)
        begun = self._loop.time()
        dial = Dial(
            [Address(ip, endpoint.port) for ip in ips],
            self.resources.tunables.tcp_dial_timeout,
            self.resources.local,
            connected,
            done.set_exception,
        )
        try:
            await done
        finally:
            dial.cancel()
        return self._loop.time() - begun

    async def _probe(self) -> None:
        """Measure every target every report interval."""
        while True:
            for index in range(len(self.endpoints)):
                try:
                    latency: float | None = await self.ping(index)
                except DialError:
                    latency = None
                self._balancer.measured(index, latency)
            await asyncio.sleep(self.resources.tunables.report_interval)

    # What an attempt asks.

    def order(self) -> list[int]:
        """Which targets to try, in this order."""
        return list(self._balancer.order(self._loop.time()))

    def header(self, source: Address, destination: Address, *, datagram: bool) -> bytes:
        """The PROXY header of a connection or datagram, if there is to be one."""
        if self._proxy is ProxyVersion.V2:
            return encode_v2(source, destination, datagram=datagram)
        # The text form knows no UDP.
        return encode_v1(source, destination) if self._proxy is ProxyVersion.V1 and not datagram else b""

    def answered(self, index: int) -> None:
        """An attempt found this target well."""
        self._balancer.succeeded(index)

    def failed(self, index: int, error: Exception, *, last: bool) -> None:
        """An attempt found this target not answering."""
        self._balancer.failed(index, self._loop.time())
        if not last:
            self.resources.log.seldom("failover", WARN, "Target %s: %s; trying the next", self.endpoints[index], error)


class Attempt(ABC):
    """The search for one target that answers, for one user. It dies with the relays of the targets."""

    def __init__(self, targets: Targets, timeout: float, failed: Callable[[Exception], None]) -> None:
        self._targets = targets
        self._timeout = timeout
        self._failed = failed
        self._left = list(reversed(targets.order()))
        self._index = 0
        self._over = False
        targets.relays.add(self)

    def cancel(self) -> None:
        """Give up; nothing is called any more."""
        self._over = True
        self._targets.relays.discard(self)

    def abort(self) -> None:
        """Give up, and tell who asked."""
        self.cancel()
        self._failed(DialError("the tunnel is closing"))

    @abstractmethod
    def _found(self, addresses: list[Address]) -> None:
        """The next target is at these addresses: go on there."""

    def _next(self) -> None:
        """Turn to the next target: at once where its addresses are known, else once they are."""
        self._index = self._left.pop()
        endpoint = self._targets.endpoints[self._index]
        ips = self._targets.resources.resolver.known(endpoint.host or LOOPBACK)
        if ips is None:
            self._targets.resources.tasks.start(self._resolve(), f"resolve {endpoint.host}")
        else:
            self._found([Address(ip, endpoint.port) for ip in ips])

    async def _resolve(self) -> None:
        endpoint = self._targets.endpoints[self._index]
        host = endpoint.host or LOOPBACK
        try:
            ips = await self._targets.resources.resolver.resolve(host, self._timeout)
        except DialError as error:
            self._not_this(error)
        else:
            if not self._over:
                self._found([Address(ip, endpoint.port) for ip in ips])

    def _not_this(self, error: Exception) -> None:
        if self._over:
            return
        self._targets.failed(self._index, error, last=not self._left)
        if self._left:
            self._next()
        else:
            self.cancel()
            self._failed(error)


class _TcpAttempt(Attempt):
    def __init__(
        self,
        targets: Targets,
        remote: Address,
        opened: Callable[[Way], None],
        failed: Callable[[Exception], None],
    ) -> None:
        super().__init__(targets, targets.resources.tunables.tcp_dial_timeout, failed)
        self._remote = remote
        self._opened = opened
        self._dial: Dial | None = None
        self._next()

    def cancel(self) -> None:
        super().cancel()
        if self._dial is not None:
            self._dial.cancel()

    def _found(self, addresses: list[Address]) -> None:
        self._dial = Dial(addresses, self._timeout, self._targets.resources.local, self._connected, self._not_this)

    def _connected(self, sock: socket.socket, address: Address) -> None:
        self._dial = None
        self.cancel()
        self._targets.answered(self._index)
        link = TcpLink(sock, self._targets.resources.shared, address)
        link.write(self._targets.header(self._remote, address, datagram=False))
        self._opened(Way(link, self._targets.relays))


class _UdpAttempt(Attempt):
    def __init__(
        self,
        targets: Targets,
        remote: Address,
        opened: Callable[[DatagramEnd, set[Relay]], None],
        failed: Callable[[Exception], None],
    ) -> None:
        super().__init__(targets, targets.resources.tunables.udp_dial_timeout, failed)
        self._remote = remote
        self._opened = opened
        self._end: TargetEnd | None = None
        self._addresses: list[Address] = []
        self._address: Address
        self._searching = True
        self._next()

    def _found(self, addresses: list[Address]) -> None:
        self._addresses = list(reversed(addresses))
        self._next_address()

    def _next_address(self) -> None:
        """Turn to the next address of this target, which has one left."""
        self._address = self._addresses.pop()
        resources = self._targets.resources
        sock: socket.socket | None = None
        try:
            sock = resources.local.open_socket(self._address, socket.SOCK_DGRAM)
            enlarge_buffers(sock)
            sock.connect(self._address)
        except OSError as error:
            if sock is not None:
                sock.close()
            self._not_here(error)
        else:
            self._searching = False
            self._use(sock, self._targets.header(self._remote, self._address, datagram=True))

    def _use(self, sock: socket.socket, header: bytes) -> None:
        if self._end is not None:
            self._end.replace(sock, header)
            return
        resources = self._targets.resources
        self._end = TargetEnd(sock, resources.datagrams, self._refused, header, resources.log)
        self._failed = self._lost
        self._targets.relays.discard(self)
        self._opened(self._end, self._targets.relays)

    def _refused(self, error: OSError) -> None:
        # While the name of the next target is looked up, the user's datagrams still go to the one that has refused.
        if not self._searching:
            self._not_here(error)

    def _not_here(self, error: OSError) -> None:
        self._searching = True
        if self._addresses:
            self._next_address()
            return
        endpoint = self._targets.endpoints[self._index]
        where = str(endpoint) if str(endpoint) == str(self._address) else f"{endpoint} at {self._address.ip}"
        self._not_this(DialError(f"cannot send to {where}: {error.strerror or error}"))

    def _lost(self, error: Exception) -> None:
        """No target is left for a session that has begun: nobody else tells of it."""
        if self._end is not None and not self._end.closed:
            self._targets.resources.log.seldom("target", ERROR, "No target for the user at %s: %s", self._remote, error)
            self._end.lost(error)
