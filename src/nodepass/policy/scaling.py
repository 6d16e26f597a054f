"""How many idle pool connections to keep, and how often to look (config.md, "Pool").

Two movements on one figure, the capacity. v1's slow one follows each periodic refill: a refill that had to replace much
makes the capacity grow by one, one that replaced little makes it shrink by one, and the time between refills moves the
same way. On top of it a quick one follows demand: when users take as many connections as there are in the time it takes
to open one, the pool would run dry before the first new one arrives, so the capacity doubles. A burst is answered by
doubling, the quiet after it by shrinking.

What always holds: ``min(minimum, maximum) <= capacity <= maximum``, and the interval stays between its two bounds.
"""

from __future__ import annotations

from typing import Final

_INTERVAL_STEP: Final = 0.1
"""Seconds by which the interval moves."""


class PoolScaling:
    """The capacity and refill interval of one pool.

    Args:
        minimum: idle connections to keep at least, 1 or more. Where ``maximum`` is less, that counts.
        maximum: most connections to keep, 1 or more.
        min_interval: shortest time between refills, in seconds; where it starts.
        max_interval: longest time between refills, in seconds.
        parallel: most connections that may be opening at once, 1 or more.

    Attributes:
        capacity: idle connections to keep now.
        interval: seconds until the next periodic refill.

    Raises:
        ValueError: a bound is out of its range.
    """

    def __init__(self, minimum: int, maximum: int, min_interval: float, max_interval: float, *, parallel: int = 32) -> None:
        if min(minimum, maximum, parallel) < 1:
            message = "minimum, maximum and parallel must be at least 1"
            raise ValueError(message)
        if not 0 < min_interval <= max_interval:
            message = f"intervals must be above 0 and in order, not {min_interval} and {max_interval}"
            raise ValueError(message)
        self._minimum = minimum
        self._maximum = maximum
        self._min_interval = min_interval
        self._max_interval = max_interval
        self._parallel = parallel
        self.capacity = self._lowest()
        self.interval = min_interval

    def after_refill(self, created: int, idle: int) -> None:
        """Learn from a periodic refill.

        Args:
            created: connections it had to open.
            idle: connections that were idle when it began.
        """
        # Fifths in whole numbers: 20 % and 80 % exactly, where floats would round.
        capacity = self.capacity
        if idle * 5 < capacity:
            self.interval = max(self._min_interval, self.interval - _INTERVAL_STEP)
        elif idle * 5 > capacity * 4:
            self.interval = min(self._max_interval, self.interval + _INTERVAL_STEP)
        if created * 5 > capacity * 4:
            self.capacity = min(self._maximum, capacity + 1)
        elif created * 5 < capacity:
            self.capacity = max(self._lowest(), capacity - 1)

    def on_demand(self, taken_while_opening: int) -> None:
        """Learn from a connection that has just been opened.

        Args:
            taken_while_opening: connections users took in the time it took to open.
        """
        if taken_while_opening >= self.capacity:
            self.capacity = min(self._maximum, self.capacity * 2)

    def wanted(self, idle: int, opening: int) -> int:
        """Give how many connections to start opening now.

        Args:
            idle: connections that are ready.
            opening: connections that are being opened.
        """
        return max(0, min(self.capacity - idle - opening, self._parallel - opening))

    def at_rest(self, idle: int) -> bool:
        """Whether there is nothing to refill and nothing to shrink, so that no interval need be waited for.

        Args:
            idle: connections that are ready.
        """
        return self.capacity == self._lowest() and idle >= self.capacity

    def _lowest(self) -> int:
        return min(self._minimum, self._maximum)
