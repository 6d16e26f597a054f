"""A pool connection about which another process of the server has been asked."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.transport.base import Link


class Asking:
    """The receiver of one.

    Args:
        keeper: who has been asked.
        link: the connection.
        timeout: seconds until it is closed.
        over: called once, when it has been answered or the connection is gone.
    """

    __slots__ = ("_link", "_over", "_timer", "keeper", "remote")

    def __init__(self, keeper: int, link: Link, timeout: float, over: Callable[[], None]) -> None:
        self.keeper = keeper
        self.remote = link.remote
        self._link = link
        self._over = over
        self._timer = asyncio.get_running_loop().call_later(timeout, link.abort)
        link.attach(self)

    def release(self) -> Link:
        """It has been answered."""
        self._timer.cancel()
        self._link.pause_reading()
        self._over()
        return self._link

    def drop(self) -> None:
        """See `Newcomer`."""
        self._link.abort()

    def data_received(self, _: memoryview) -> None:
        """A client says no more before it has its ID."""
        self._link.abort()

    def eof_received(self) -> None:
        self._link.abort()

    def connection_lost(self, _: Exception | None) -> None:
        self._timer.cancel()
        self._over()

    def pause_writing(self) -> None:
        """Nothing is written meanwhile."""

    def resume_writing(self) -> None:
        """Nothing is written meanwhile."""
