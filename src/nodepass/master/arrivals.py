"""Connections to the API before uvicorn has them: taken from the system, and through TLS where it is spoken.

What always holds: a connection that has come is one of the crowd until it has asked for something, first in its handshake
and then as uvicorn's; the crowd is bounded, and so is the time that either takes.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from nodepass.log import WARN
from nodepass.net.descriptors import for_strangers
from nodepass.net.listen import TcpListener
from nodepass.policy.newcomers import Newcomers

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from nodepass.log import Log
    from nodepass.net.address import Address

MOST_WAITING = 1024
"""Connections at a time that wait for a request, where the process may have descriptors enough."""

HANDSHAKE_TIMEOUT = 10.0
"""Seconds that TLS may take."""


class Waiting(Protocol):
    """A connection that has asked for nothing yet, or for nothing more."""

    @property
    def source(self) -> str:
        """The address it comes from."""

    def drop(self) -> None:
        """Break it off: others have come."""


def make_crowd(log: Log) -> Newcomers[Waiting]:
    """Make the crowd of one server, empty. Who has to leave it for another is dropped."""

    def push_out(connection: Waiting) -> None:
        log.seldom("crowd", WARN, "Too many connections without a request: dropped one of %s", connection.source)
        connection.drop()

    return Newcomers(for_strangers(MOST_WAITING), push_out)


class Arrivals:
    """The listening sockets of one server.

    Args:
        sockets: listening; owned from here on.
        context: of TLS; None where it is not spoken.
        make_protocol: called with each connection that is through.
        crowd: of the server.
        log: of the master.
    """

    def __init__(
        self,
        sockets: list[socket.socket],
        context: ssl.SSLContext | None,
        make_protocol: Callable[[], asyncio.Protocol],
        crowd: Newcomers[Waiting],
        log: Log,
    ) -> None:
        self._context = context
        self._make_protocol = make_protocol
        self._crowd = crowd
        self._under_way: set[_Arrival] = set()
        self._listener = TcpListener(sockets, self._accepted, log)

    def close(self) -> None:
        """Take no more, and break off those that are on their way."""
        self._listener.close()
        for arrival in self._under_way:
            arrival.drop()

    def _accepted(self, sock: socket.socket, remote: Address) -> None:
        timeout = None if self._context is None else HANDSHAKE_TIMEOUT
        coming = asyncio.get_running_loop().connect_accepted_socket(
            self._make_protocol, sock, ssl=self._context, ssl_handshake_timeout=timeout
        )
        arrival = _Arrival(remote.ip, asyncio.ensure_future(coming))
        self._under_way.add(arrival)
        self._crowd.enter(remote.ip, arrival)
        arrival.task.add_done_callback(lambda _: self._over(arrival))

    def _over(self, arrival: _Arrival) -> None:
        """It is through, and has become one of uvicorn's; or it has failed, which is a stranger's matter."""
        self._under_way.discard(arrival)
        self._crowd.leave(arrival.source, arrival)
        if not arrival.task.cancelled():
            arrival.task.exception()


class _Arrival:
    """One connection on its way.

    Args:
        source: the address it comes from.
        task: brings it through.
    """

    def __init__(self, source: str, task: asyncio.Task[object]) -> None:
        self.source = source
        self.task = task

    def drop(self) -> None:
        """See `Waiting`."""
        self.task.cancel()
