"""Numbers that count only once, though they may come out of order (as RFC 4303, section 3.4.3, does for packets)."""

from __future__ import annotations

from typing import Final

WIDTH: Final = 4096
"""How far behind the highest number one may come."""

_MASK: Final = (1 << (WIDTH + 1)) - 1


class ReplayWindow:
    """Which numbers have been taken: the highest, and a bit for each of the `WIDTH` below it.

    What always holds: a number is taken once at most; one too far back to tell is refused.
    """

    __slots__ = ("_highest", "_taken")

    def __init__(self) -> None:
        self._highest = -1
        self._taken = 0

    def take(self, counter: int) -> bool:
        """Take a number.

        Args:
            counter: 0 or more.

        Returns:
            False when it has been taken before, or may have been.
        """
        ahead = counter - self._highest
        if ahead > 0:
            self._highest = counter
            # A number far ahead leaves nothing in the window; it must not make a large number of it first.
            self._taken = (self._taken << ahead | 1) & _MASK if ahead <= WIDTH else 1
            return True
        bit = 1 << -ahead if -ahead <= WIDTH else 0
        if not bit or self._taken & bit:
            return False
        self._taken |= bit
        return True
