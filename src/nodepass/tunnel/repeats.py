"""Users whom the other end has announced by a name: no target hears of one of them twice.

The other end keeps what a user says first until it hears that a target has been reached (`relay.joining`). If the way
breaks before, it announces the same user again, under the same name. That a target was reached may have been said already,
and have been lost with the way: then the user's first bytes may be at the target, and are not sent there again.

What always holds: a name for which a target was reached is refused for `REMEMBERED` seconds, or until `MOST` others have
come behind it; of two searches under one name, the later goes on. Each process knows the names that came to it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from nodepass.policy.recent import Recent

if TYPE_CHECKING:
    from nodepass.tunnel.upstream import Relay

REMEMBERED: Final = 30.0
"""Seconds in which the other end may announce a user again: it tries some times, and may wait for a way each time."""

MOST: Final = 16384


class Repeats:
    """The names that one instance has heard."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._searching: dict[str, Relay] = {}
        self._reached = Recent(REMEMBERED, MOST)

    def begin(self, name: str, search: Relay) -> bool:
        """A search for a target begins, and another under its name is broken off; False where a target has been reached."""
        if not name:
            return True
        if self._reached.knows(name, self._loop.time()):
            return False
        former = self._searching.get(name)
        self._searching[name] = search
        if former is not None:
            former.abort()
        return True

    def over(self, name: str, search: Relay, *, reached: bool = False) -> None:
        """The search has ended."""
        if not name:
            return
        if self._searching.get(name) is search:
            del self._searching[name]
        if reached:
            self._reached.add(name, self._loop.time())
