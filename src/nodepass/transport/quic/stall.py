"""What holds a peer back that knows no credit per stream, which is v1.

The QUIC library grants a stream more as soon as its bytes have been handed over, so the one way not to have more of it is
to take nothing over, of any stream: the connection's window then stops the peer. That holds up all the others, so it is
the last resort, and short.

What always holds: no stream has more than `MOST_WAITING` unread, and what came in the same turn of the loop; and a stream
of which nothing is read in an interval is broken rather than that the others wait any longer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from nodepass.log import WARN

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.log import Log
    from nodepass.transport.quic.link import QuicLink

MOST_WAITING: Final = 4 * 1024 * 1024
"""Bytes unread on one stream over which nothing more is taken; and of which half must have been read to go on."""


class Stall:
    """Whether a connection takes nothing over, because of one stream.

    Args:
        resume: called when it may go on.
        patience: seconds in which something must be read.
        log: where a broken stream is told of.
    """

    def __init__(self, resume: Callable[[], None], patience: float, log: Log) -> None:
        self._loop = asyncio.get_running_loop()
        self._resume = resume
        self._patience = patience
        self._log = log
        self._link: QuicLink | None = None
        self._before = 0
        self._timer: asyncio.TimerHandle | None = None

    @property
    def on(self) -> bool:
        """Whether nothing is to be taken now."""
        return self._link is not None

    def look(self, link: QuicLink) -> None:
        """Something has come on a stream: is it too much?"""
        if self._link is None and link.waiting > MOST_WAITING:
            self._link = link
            self._wait(link)

    def consumed(self, link: QuicLink) -> None:
        """Something has been read on a stream, or its link is gone."""
        if link is self._link and link.waiting <= MOST_WAITING // 2:
            self._end()

    def close(self) -> None:
        """The connection is over."""
        self._link = None
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, link: QuicLink) -> None:
        self._before = link.waiting
        self._timer = self._loop.call_later(self._patience, self._judge)

    def _judge(self) -> None:
        link = self._link
        if link is None:
            return
        if link.waiting < self._before:
            self._wait(link)
            return
        self._log.seldom(
            "quic stall", WARN, "QUIC: broke a stream with %s: nobody read it for %g s", link.remote, self._patience
        )
        link.break_now(ConnectionAbortedError("it was not read while others waited"))
        if self._link is not None:
            self._end()

    def _end(self) -> None:
        self.close()
        self._resume()
