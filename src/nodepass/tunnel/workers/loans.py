"""Users that come to a process of a server which has no connection for them go through one that has.

To the switchboard each other process is a `Lender`, one more session that is asked last. While users wait, `Loans` asks
those that seem to have connections for one each. One that has some joins it to one end of a connection inside the
machine, looks at nothing that passes, and gives the other end away; that is the lender's until the next turn of the
switchboard, which gives it to whoever has waited longest. So the user, its slot, its rate and its figures stay where it
came to.

What always holds: no more is asked for than users wait; what nobody wants any more goes back.
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from nodepass.errors import SessionError
from nodepass.log import WARN
from nodepass.net.address import Address
from nodepass.net.pair import tcp_pair
from nodepass.policy.replay_window import ReplayWindow
from nodepass.protocol.conn_id import CONTROL
from nodepass.protocol.launch import encode_launch
from nodepass.protocol.signals import LAUNCHES, Action
from nodepass.relay.meter import Meter
from nodepass.relay.tcp import TcpRelay
from nodepass.transport.tcp_link import TcpLink
from nodepass.tunnel.dialect import MUX_NEEDS, Dialect
from nodepass.tunnel.pooled import PooledLink
from nodepass.tunnel.workers.cells import Figure
from nodepass.tunnel.workers.channel import close_all
from nodepass.tunnel.workers.company_messages import Borrow, Control, Lent

if TYPE_CHECKING:
    from nodepass.protocol.signals import Codec
    from nodepass.relay.link_ends import LinkEnd
    from nodepass.transport.base import Link
    from nodepass.tunnel.resources import Resources
    from nodepass.tunnel.switchboard import Switchboard
    from nodepass.tunnel.upstream import Relay
    from nodepass.tunnel.workers.cells import Cells
    from nodepass.tunnel.workers.channel import Channel

INSIDE: Final = Address("127.0.0.1", 0)
"""Where both ends of a connection inside the machine are. One that is broken already could not tell."""

MOST_ASKED: Final = 256
"""Connections that are asked for at a time."""


class Lender:
    """Another process, as far as it has lent connections.

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
        self._cells = cells
        self._resources = resources
        self._refused = -1
        self.channel = channel
        self.asked = 0
        self.stock: deque[Link] = deque()
        """Connections that it has lent just now."""
        self.dialect = Dialect(codec, MUX_NEEDS, None, "", frozenset(), ReplayWindow())
        self.relays: set[Relay] = set()
        self.ended: asyncio.Future[SessionError] = asyncio.get_running_loop().create_future()

    @property
    def ready(self) -> bool:
        """Whether it seems to have connections that carry nobody."""
        return bool(self.stock) or self.surplus > 0

    @property
    def surplus(self) -> int:
        """How many of them it seems to have beyond those that it has been asked for."""
        told = self._cells.get(Figure.POOL, self._index)
        return 0 if told == self._refused or self.ended.done() else told - self.asked

    def has_refused(self) -> None:
        """It has none, whatever it has told; it will tell another figure."""
        self._refused = self._cells.get(Figure.POOL, self._index)

    def may_have_some(self) -> None:
        """Time has passed since it refused."""
        self._refused = -1

    def launch(self, action: Action, remote: Address, name: str) -> tuple[PooledLink, bytes] | None:
        """See `Session.launch`."""
        while self.stock:
            link = self.stock.popleft()
            if link.quiet:
                return PooledLink(_NOBODYS, CONTROL, link, b""), encode_launch(action, str(remote), name)
            link.abort()
        return None

    def lend(self, action: Action) -> PooledLink | None:
        """What is borrowed is not lent on."""
        del action
        return None

    def datagrams(self, pooled: PooledLink) -> LinkEnd:
        """See `Session.datagrams`."""
        return self.dialect.datagrams(pooled.link, self._resources, pooled.early, ended=pooled.ended)

    def drop_stock(self) -> None:
        """Nobody wants what is left."""
        while self.stock:
            self.stock.popleft().abort()

    def end(self) -> None:
        """The process is gone, and its connections with it."""
        if not self.ended.done():
            self.ended.set_result(SessionError("the process that had the connection has ended"))
            self.drop_stock()
            for relay in tuple(self.relays):
                relay.abort()


class Loans:
    """What is asked of lenders.

    Args:
        resources: of the instance.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._asked: dict[int, tuple[Lender, Action]] = {}
        self._number = 0
        self.lenders: dict[int, Lender] = {}

    def wanted(self, switchboard: Switchboard) -> None:
        """Users wait: ask for as many connections, unless that has been done."""
        asked = Counter(action for _, action in self._asked.values())
        for action in LAUNCHES:
            for _ in range(min(switchboard.waiting(action) - asked[action], MOST_ASKED - len(self._asked))):
                lender = max(self.lenders.values(), key=lambda lender: lender.surplus, default=None)
                if lender is None or lender.surplus <= 0:
                    return
                self._number += 1
                self._asked[self._number] = lender, action
                lender.asked += 1
                lender.channel.send(Borrow(self._number, action.value))

    def answered(self, answer: Lent, descriptors: list[int], switchboard: Switchboard) -> None:
        """A lender gives a connection, or has none."""
        lender, _ = self._asked.pop(answer.number, (None, None))
        if lender is None:
            close_all(descriptors)
            return
        lender.asked -= 1
        if descriptors:
            lender.stock.append(TcpLink(socket.socket(fileno=descriptors[0]), self._resources.shared, INSIDE))
            switchboard.serve_waiting()
            lender.drop_stock()
        else:
            lender.has_refused()
            self.wanted(switchboard)

    def try_again(self, switchboard: Switchboard) -> None:
        """Time has passed: who refused may have connections now."""
        for lender in self.lenders.values():
            lender.may_have_some()
        self.wanted(switchboard)

    def lost(self, index: int, switchboard: Switchboard) -> None:
        """A lender is gone."""
        lender = self.lenders.pop(index)
        lender.end()
        self._asked = {number: asked for number, asked in self._asked.items() if asked[0] is not lender}
        switchboard.remove(lender)
        self.wanted(switchboard)


def lend(borrow: Borrow, switchboard: Switchboard, channel: Channel, resources: Resources) -> None:
    """Give a connection of this process for a user of another, if there is one now."""
    lent = switchboard.lend(Action(borrow.action))
    if lent is None:
        channel.send(Lent(borrow.number))
        return
    session, pooled = lent
    try:
        near, far = tcp_pair()
    except OSError:
        pooled.link.abort()
        channel.send(Lent(borrow.number))
        return
    channel.send(Lent(borrow.number), [far.detach()])
    splice(TcpLink(near, resources.shared, INSIDE), pooled.link, session.relays, pooled.early)


def lead(session: str, link: Link, channel: Channel, controls: set[Relay], resources: Resources) -> None:
    """Lead the control channel of a session to the process that keeps it.

    Args:
        session: its name, in hex.
        link: what came here.
        channel: to its keeper.
        controls: of all sessions that are led away.
        resources: of the instance.
    """
    try:
        near, far = tcp_pair()
    except OSError as error:
        resources.log.seldom("pair", WARN, "No connection to another process: %s", error.strerror)
        link.abort()
        return
    link.vouch()
    channel.send(Control(session), [far.detach()])
    splice(link, TcpLink(near, resources.shared, link.remote), controls)


def splice(near: Link, far: Link, relays: set[Relay], early: bytes = b"") -> None:
    """Join two links whose bytes are counted elsewhere."""

    def ended(relay: TcpRelay, _: Exception | None) -> None:
        relays.discard(relay)

    relay = TcpRelay(near, far, Meter(0, 0, 0), ended)
    relays.add(relay)
    relay.start(early)


class _Nobodys:
    """Whose pool a borrowed connection is of."""

    def link_lost(self, _: PooledLink) -> None:
        """It has been given to a user, and no pool watches it."""

    def spoke_early(self, _: PooledLink) -> None:
        """See `link_lost`."""


_NOBODYS = _Nobodys()
