"""Values that count only once within some time, such as handshakes that somebody may have recorded."""

from __future__ import annotations


class Once:
    """Remembers values for a while.

    A memory that is full refuses what is new, because it could not tell it from what is repeated: only those who have shown
    that they may should be able to fill it.

    Args:
        lifetime: seconds for which a value is remembered.
        most: values that are remembered at most.
    """

    __slots__ = ("_lifetime", "_most", "_taken_at")

    def __init__(self, lifetime: float, most: int) -> None:
        self._lifetime = lifetime
        self._most = most
        # In the order in which they came, which is the order in which they are forgotten.
        self._taken_at: dict[bytes, float] = {}

    def take(self, value: bytes, now: float) -> bool:
        """Take a value.

        Args:
            value: what may come once.
            now: seconds of a clock that does not go back.

        Returns:
            True the first time within the lifetime; False when it is repeated, or there is no room to remember it.
        """
        self._forget(now)
        if value in self._taken_at or len(self._taken_at) >= self._most:
            return False
        self._taken_at[value] = now
        return True

    def _forget(self, now: float) -> None:
        while self._taken_at:
            oldest = next(iter(self._taken_at))
            if now - self._taken_at[oldest] <= self._lifetime:
                return
            del self._taken_at[oldest]
