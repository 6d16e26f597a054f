"""Streams that are to be broken once what was sent on them has arrived.

RESET_STREAM makes both ends forget what has not arrived (RFC 9000, 3.3). The library does not tell when a stream's bytes
have been acknowledged; but it is so when none waits to be sent, every packet then on its way has been acknowledged, and
none of them had to be sent again. This happens to few streams, so it is looked at every `RECHECK`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from nodepass.transport.quic.library import Engine
    from nodepass.transport.quic.link import QuicLink

RECHECK: Final = 0.01
"""Seconds between looks."""


class _Flight(NamedTuple):
    """What was on its way at one moment."""

    packets: frozenset[int]
    sent_again: tuple[int, int]


class Breaking:
    """The streams of one connection that are to be broken.

    Args:
        engine: of the connection.
    """

    def __init__(self, engine: Engine) -> None:
        self._loop = asyncio.get_running_loop()
        self._engine = engine
        self._waiting: dict[QuicLink, _Flight | None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, link: QuicLink) -> None:
        """Abort this link when what was sent on it has arrived."""
        self._waiting.setdefault(link, None)
        if self._timer is None:
            self._timer = self._loop.call_later(RECHECK, self._look)

    def close(self) -> None:
        """The connection is over."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        core = self._engine.core
        packets = frozenset(number for number, _, _ in core.outstanding_application_packets)
        now = _Flight(packets, (core.loss_total, core.pto_total))
        for link, before in tuple(self._waiting.items()):
            if link.gone:
                del self._waiting[link]
            elif core.get_send_buffer_size(link.id):
                continue
            elif before is None or before.sent_again != now.sent_again:
                self._waiting[link] = now
            elif before.packets.isdisjoint(packets):
                del self._waiting[link]
                link.abort()
        if self._waiting:
            self._timer = self._loop.call_later(RECHECK, self._look)
