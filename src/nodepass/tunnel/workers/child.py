"""The place of an instance in one of several processes: its parent has the sockets, and hears how it gets on.

What always holds: when the parent is gone, so is this process, at once; only the parent tells it to end. A signal to the
whole group is the parent's to handle.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from nodepass.errors import ListenError
from nodepass.net.certificates import PemPair
from nodepass.policy.sources import source_of
from nodepass.tunnel.memory import Ruling
from nodepass.tunnel.place import Place
from nodepass.tunnel.workers.cells import TOTALS, Figure, SharedLimits
from nodepass.tunnel.workers.channel import Channel, close_all
from nodepass.tunnel.workers.company import Company
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
    Sibling,
    Stop,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.config import RunMode
    from nodepass.policy.newcomers import Newcomers
    from nodepass.protocol.signals import Codec
    from nodepass.tunnel.instance import Instance
    from nodepass.tunnel.memory import Attempt
    from nodepass.tunnel.resources import Resources
    from nodepass.tunnel.server import Server
    from nodepass.tunnel.sessions import Sessions
    from nodepass.tunnel.tunnel_port import Newcomer
    from nodepass.tunnel.workers.cells import Cells
    from nodepass.tunnel.workers.messages import Start
    from nodepass.tunnel.workers.packets import Message

TELL_INTERVAL: Final = 0.25
"""Seconds between figures: what a process that is killed has carried since the last ones is not counted."""

BYTE: Final = 256

MEET_AGAIN: Final = 1.0
"""Seconds after which a child that had no descriptor left for the socket to another asks for it again."""

BEHIND: Final = 1.0
"""Seconds that a handshake has to wait where the parent is too far behind to be asked about it."""

MOST_WAITING: Final = 4096
"""Sources that are known to have to wait; of more, the parent is asked."""

ORPHANED: Final = 1
"""Exit code of a process whose parent has gone."""


class WorkerPlace(Place):
    """That of one child.

    Args:
        start: what the parent said first.
        control: the socket to the parent.
        cells: of the instance.
    """

    def __init__(self, start: Start, control: socket.socket, cells: Cells) -> None:
        pair = PemPair(start.chain.encode(), start.private_key.encode()) if start.chain else None
        super().__init__(SharedLimits(cells, start.index), pair, ParentsMemory(self._ask_to_judge))
        self._loop = asyncio.get_running_loop()
        self.workers = start.count
        self._index = start.index
        self._cells = cells
        self._before = {figure: cells.get(figure, start.index) for figure in TOTALS}
        self._channel = Channel(control, self._received, _end_at_once)
        self._questions: dict[int, asyncio.Future[list[int]]] = {}
        self._judging: dict[int, Callable[[Ruling], None]] = {}
        self._asked = 0
        self._company: Company | None = None
        self._all_finished = asyncio.Event()
        self._progress = Progress(ready=False, connected=False)
        self.stopping = asyncio.Event()
        """Set once the parent has said that it is time to end."""

    async def bind(self, ips: tuple[str, ...], port: int, kind: socket.SocketKind) -> list[socket.socket]:
        self._asked += 1
        number = self._asked
        answer = self._questions[number] = self._loop.create_future()
        self._channel.send(Bind(number, ips, port, kind is socket.SOCK_STREAM))
        try:
            return [socket.socket(fileno=descriptor) for descriptor in await answer]
        finally:
            self._questions.pop(number, None)

    def release(self, ips: tuple[str, ...], port: int) -> None:
        self._channel.send(Release(ips, port))

    def name_session(self) -> bytes:
        *first, last = super().name_session()
        # The last byte tells whose it is.
        last = last - last % self.workers + self._index
        return bytes((*first, last if last < BYTE else last - self.workers))

    def keeps(self, sessions: int) -> None:
        self._cells.set(Figure.KEPT, self._index, sessions)

    @property
    def kept_elsewhere(self) -> bool:
        return any(self._cells.of_all(Figure.KEPT))

    def join(
        self, member: Server, codec: Codec, sessions: Sessions, newcomers: Newcomers[Newcomer], resources: Resources
    ) -> Company:
        company = self._company = Company(
            self._index, self.workers, self._cells, member, codec, sessions, newcomers, resources
        )
        return company

    async def all_finished(self) -> None:
        self._channel.send(Finished())
        await self._all_finished.wait()

    def settled(self, mode: RunMode, *, several: bool) -> None:
        self._channel.send(Settled(mode.value, several))

    def tell_for_ever(self, instance: Instance[Any]) -> None:
        """Tell the figures of an instance now, and every `TELL_INTERVAL` from now on."""
        self.tell(instance)
        self._loop.call_later(TELL_INTERVAL, self.tell_for_ever, instance)

    def tell(self, instance: Instance[Any]) -> None:
        """Tell the figures of an instance, and what it has reached."""
        stats, index, before = instance.stats, self._index, self._before
        for figure, value in (
            (Figure.MODE, stats.mode),
            (Figure.PEERS, stats.peers),
            (Figure.POOL, stats.pool),
            (Figure.PING, round(stats.ping * 1e6)),
            (Figure.TCP_SESSIONS, stats.tcp_sessions),
            (Figure.UDP_SESSIONS, stats.udp_sessions),
            (Figure.TCP_RECEIVED, before[Figure.TCP_RECEIVED] + stats.tcp_received),
            (Figure.TCP_SENT, before[Figure.TCP_SENT] + stats.tcp_sent),
            (Figure.UDP_RECEIVED, before[Figure.UDP_RECEIVED] + stats.udp_received),
            (Figure.UDP_SENT, before[Figure.UDP_SENT] + stats.udp_sent),
        ):
            self._cells.set(figure, index, value)
        if self._company is not None:
            self._company.time_passes()
        progress = Progress(instance.is_ready, instance.is_connected)
        if progress != self._progress:
            self._progress = progress
            self._channel.send(progress)

    def _received(self, message: Message, descriptors: list[int]) -> None:
        if isinstance(message, Stop):
            self.stopping.set()
        elif isinstance(message, Bound):
            self._bound(message, descriptors)
        elif isinstance(message, Finished):
            self._all_finished.set()
        elif isinstance(message, Judged):
            self._judging.pop(message.number)(Ruling(message.wait, message.repeated))
        elif isinstance(message, Sibling):
            self._met(message.index, descriptors)

    def _met(self, index: int, descriptors: list[int]) -> None:
        """There is another child. A client knows none of the others."""
        if self._company is None:
            close_all(descriptors)
        elif descriptors:
            self._company.add(index, socket.socket(fileno=descriptors[0]))
        else:
            self._company.is_short()
            self._loop.call_later(MEET_AGAIN, self._channel.send, Missed(index))

    def _ask_to_judge(self, attempt: Attempt, ruled: Callable[[Ruling], None]) -> None:
        if self._channel.congested:
            ruled(Ruling(BEHIND, repeated=False))
            return
        self._asked += 1
        self._judging[self._asked] = ruled
        self._channel.send(Judge(self._asked, attempt.ip, attempt.failed, attempt.fresh.hex()))

    def _bound(self, answer: Bound, descriptors: list[int]) -> None:
        question = self._questions.get(answer.number)
        if question is None or question.done():
            # The run that asked has been stopped.
            close_all(descriptors)
        elif answer.reason:
            question.set_exception(ListenError(answer.reason))
        elif not descriptors:
            question.set_exception(ListenError("cannot listen: too many open files"))
        else:
            question.set_result(descriptors)


class ParentsMemory:
    """The memory of all processes, which is the parent's: it rules in the order in which it is asked.

    Who has to wait is known here from the last ruling on, so that waiting costs the others nothing.

    Args:
        ask: asks the parent.
    """

    def __init__(self, ask: Callable[[Attempt, Callable[[Ruling], None]], None]) -> None:
        self._ask = ask
        self._waiting: OrderedDict[str | bytes, float] = OrderedDict()

    def wait(self, ip: str, now: float) -> float:
        """See `Memory`."""
        return max(self._waiting.get(source_of(ip), now) - now, 0.0)

    def rule(self, attempt: Attempt, now: float, ruled: Callable[[Ruling], None]) -> None:
        """See `Memory`."""

        def heard(ruling: Ruling) -> None:
            source = source_of(attempt.ip)
            if ruling.wait > 0:
                self._waiting[source] = now + ruling.wait
                self._waiting.move_to_end(source)
                if len(self._waiting) > MOST_WAITING:
                    self._waiting.popitem(last=False)
            ruled(ruling)

        self._ask(attempt, heard)


def _end_at_once() -> None:
    os._exit(ORPHANED)
