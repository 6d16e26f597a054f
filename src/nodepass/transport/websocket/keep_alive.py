"""Pings, so that a proxy on the way does not take an idle connection for a dead one."""

from __future__ import annotations

import asyncio
from typing import Protocol


class Beating(Protocol):
    """A link that can be kept alive."""

    def beat(self) -> None:
        """An interval has passed: send a ping, unless something was heard in it."""


class KeepAlive:
    """One timer for all links of a dialer or acceptor; it runs while there are any.

    A link over which nothing is heard is pinged after two intervals at the latest, from whichever end is first: the other
    hears the ping.

    Args:
        interval: seconds between beats.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._links: set[Beating] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, link: Beating) -> None:
        """Keep this link alive from now on."""
        self._links.add(link)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._tick)

    def discard(self, link: Beating) -> None:
        """This link is gone."""
        self._links.discard(link)

    def _tick(self) -> None:
        self._timer = None
        # A copy: a ping may find its link broken, which takes it out.
        for link in tuple(self._links):
            link.beat()
        if self._links:
            self._timer = asyncio.get_running_loop().call_later(self._interval, self._tick)
