"""How many user connections there may be at once (config.md, parameter ``slot``)."""

from __future__ import annotations


class Slots:
    """Counts the connections in progress against a limit.

    Args:
        limit: most at once; 0 for no limit.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._in_use = 0

    @property
    def in_use(self) -> int:
        """Connections in progress."""
        return self._in_use

    def acquire(self) -> bool:
        """Take a slot for one connection.

        Returns:
            False when all are taken.
        """
        if self._limit and self._in_use >= self._limit:
            return False
        self._in_use += 1
        return True

    def release(self) -> None:
        """Give back a slot that `acquire` gave.

        Raises:
            RuntimeError: there is none to give back, so the caller has lost count.
        """
        if not self._in_use:
            message = "a slot was released that nobody held"
            raise RuntimeError(message)
        self._in_use -= 1
