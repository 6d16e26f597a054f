"""Users that come to a process of a server which has no connection for them go through one that has.

To the switchboard a `Lender` is one more session, asked last. What it gives is one end of a connection inside the machine;
the other end goes to the process that lends, which joins it to a connection of its own pool and looks at nothing. So the
user, its slot, its rate and its figures stay where it came to. Where the process that lends turns out to have none, the
user waits there; if there is none in time that end breaks, and the user is sent another way, as when a session fails.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nodepass.errors import SessionError
from nodepass.net.pair import tcp_pair
from nodepass.policy.replay_window import ReplayWindow
from nodepass.protocol.conn_id import CONTROL
from nodepass.protocol.launch import encode_launch
from nodepass.relay.meter import Meter
from nodepass.relay.tcp import TcpRelay
from nodepass.transport.tcp_link import TcpLink
from nodepass.tunnel.dialect import MUX_NEEDS, Dialect
from nodepass.tunnel.pooled import PooledLink
from nodepass.tunnel.workers.cells import Figure
from nodepass.tunnel.workers.messages import Borrow

if TYPE_CHECKING:
    from nodepass.net.address import Address
    from nodepass.protocol.signals import Action, Codec
    from nodepass.relay.link_ends import LinkEnd
    from nodepass.transport.base import Link
    from nodepass.tunnel.resources import Resources
    from nodepass.tunnel.upstream import Relay
    from nodepass.tunnel.workers.cells import Cells
    from nodepass.tunnel.workers.channel import Channel


class Lender:
    """Another process, as far as it has connections.

    Args:
        index: which it is.
        channel: to it.
        cells: of the instance.
        codec: of the server; nothing is said with it.
        resources: of the instance.
    """

    lent = True
    has_control = False
    fell_silent = False

    def __init__(self, index: int, channel: Channel, cells: Cells, codec: Codec, resources: Resources) -> None:
        self._index = index
        self._channel = channel
        self._cells = cells
        self._resources = resources
        self.dialect = Dialect(codec, MUX_NEEDS, None, "", frozenset(), ReplayWindow())
        self.relays: set[Relay] = set()
        self.ended: asyncio.Future[SessionError] = asyncio.get_running_loop().create_future()

    @property
    def ready(self) -> bool:
        """Whether it has a connection that carries nobody, as far as is known."""
        return not self.ended.done() and self._cells.get(Figure.POOL, self._index) > 0

    def launch(self, action: Action, remote: Address) -> tuple[PooledLink, bytes] | None:
        """See `Session.launch`."""
        if not self.ready:
            return None
        try:
            near, far = tcp_pair()
        except OSError:
            return None
        self._channel.send(Borrow(action.value, remote.ip, remote.port), [far.detach()])
        link = TcpLink(near, self._resources.shared, remote)
        return PooledLink(_NOBODYS, CONTROL, link, b""), encode_launch(action, str(remote))

    def lend(self, action: Action) -> PooledLink | None:
        """What is borrowed is not lent on."""
        del action
        return None

    def datagrams(self, pooled: PooledLink) -> LinkEnd:
        """See `Session.datagrams`."""
        return self.dialect.datagrams(pooled.link, self._resources, pooled.early, ended=pooled.ended)

    def end(self) -> None:
        """The process is gone, and its connections with it."""
        if not self.ended.done():
            self.ended.set_result(SessionError("the process that had the connection has ended"))
            for relay in tuple(self.relays):
                relay.abort()


class _Nobodys:
    """Whose pool a borrowed connection is of."""

    def link_lost(self, _: PooledLink) -> None:
        """It has been given to a user, and no pool watches it."""

    def spoke_early(self, _: PooledLink) -> None:
        """See `link_lost`."""


_NOBODYS = _Nobodys()


def splice(near: Link, far: Link, relays: set[Relay], early: bytes = b"") -> None:
    """Join two links whose bytes are counted elsewhere."""

    def ended(relay: TcpRelay, _: Exception | None) -> None:
        relays.discard(relay)

    relay = TcpRelay(near, far, Meter(0, 0, 0), ended)
    relays.add(relay)
    relay.start(early)
