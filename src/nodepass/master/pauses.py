"""How long an instance that ended by itself waits before it is started again."""

from __future__ import annotations

from typing import Final

FIRST: Final = 1.0
LONGEST: Final = 60.0
HEALTHY: Final = 60.0
"""Seconds after which a process is taken to have worked: what ends it then is something new."""


class Pauses:
    """Pauses that double from one to the next, up to a minute, until a process has lived for a while."""

    def __init__(self) -> None:
        self._next = FIRST

    def after(self, lived: float) -> float:
        """Give the seconds to wait after a process that has lived this many seconds."""
        pause = FIRST if lived >= HEALTHY else self._next
        self._next = min(2 * pause, LONGEST)
        return pause
