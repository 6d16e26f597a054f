"""The place of an instance in one of several processes: its parent has the sockets, and hears how it gets on.

What always holds: when the parent is gone, so is this process, at once; only the parent tells it to end. A signal to the
whole group is the parent's to handle.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any, Final

from nodepass.errors import ListenError
from nodepass.net.certificates import PemPair
from nodepass.tunnel.place import Place
from nodepass.tunnel.workers.cells import TOTALS, Figure, SharedLimits
from nodepass.tunnel.workers.channel import Channel
from nodepass.tunnel.workers.messages import Bind, Bound, Progress, Release, Settled, Stop

if TYPE_CHECKING:
    from nodepass.config import RunMode
    from nodepass.tunnel.instance import Instance
    from nodepass.tunnel.workers.cells import Cells
    from nodepass.tunnel.workers.messages import Message, Start

TELL_INTERVAL: Final = 0.25
"""Seconds between figures: what a process that is killed has carried since the last ones is not counted."""

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
        super().__init__(SharedLimits(cells, start.index), pair)
        self._loop = asyncio.get_running_loop()
        self._index = start.index
        self._cells = cells
        self._before = {figure: cells.get(figure, start.index) for figure in TOTALS}
        self._channel = Channel(control, self._received, _end_at_once)
        self._questions: dict[int, asyncio.Future[list[int]]] = {}
        self._asked = 0
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
        progress = Progress(instance.is_ready, instance.is_connected)
        if progress != self._progress:
            self._progress = progress
            self._channel.send(progress)

    def _received(self, message: Message, descriptors: list[int]) -> None:
        if isinstance(message, Stop):
            self.stopping.set()
        elif isinstance(message, Bound):
            self._bound(message, descriptors)

    def _bound(self, answer: Bound, descriptors: list[int]) -> None:
        question = self._questions.get(answer.number)
        if question is None or question.done():
            # The run that asked has been stopped.
            for descriptor in descriptors:
                os.close(descriptor)
        elif answer.reason:
            question.set_exception(ListenError(answer.reason))
        else:
            question.set_result(descriptors)


def _end_at_once() -> None:
    os._exit(ORPHANED)
