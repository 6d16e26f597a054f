"""Values that have been seen a while ago: the newest of them, where they are many."""

from __future__ import annotations


class Recent:
    """Remembers values.

    Args:
        lifetime: seconds for which a value is remembered, unless too many have come behind it.
        most: values that are remembered at most; the oldest make room.
    """

    __slots__ = ("_lifetime", "_most", "_seen_at")

    def __init__(self, lifetime: float, most: int) -> None:
        self._lifetime = lifetime
        self._most = most
        # In the order in which they came, which is the order in which they are forgotten.
        self._seen_at: dict[str, float] = {}

    def add(self, value: str, now: float) -> None:
        """Remember a value from now on, in seconds of a clock that does not go back."""
        seen_at = self._seen_at
        seen_at.pop(value, None)
        seen_at[value] = now
        # Two of them, for each that comes: so they are soon no more than they may be, and nobody waits for that.
        for _ in range(2):
            oldest = next(iter(seen_at))
            if len(seen_at) > self._most or now - seen_at[oldest] > self._lifetime:
                del seen_at[oldest]

    def knows(self, value: str, now: float) -> bool:
        """Whether it is remembered."""
        seen = self._seen_at.get(value)
        return seen is not None and now - seen <= self._lifetime
