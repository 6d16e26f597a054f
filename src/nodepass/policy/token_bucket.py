"""Holds a flow of bytes to a rate (config.md, parameter ``rate``).

Debt style: the bytes have been read already when they are counted, so `TokenBucket.spend` never refuses. It may leave
a debt, and whoever moves the bytes pauses for `TokenBucket.delay` before the next ones. Over any stretch of time the
bytes let through are at most ``burst + rate * seconds`` and the one chunk that went over.
"""

from __future__ import annotations


class TokenBucket:
    """A bucket of bytes that fills with time.

    All times are seconds of one clock. A clock that steps back costs the time it stepped over and nothing else.

    Args:
        rate: bytes per second, above 0.
        burst: most bytes that can be saved up, 0 or more. The bucket starts full.

    Raises:
        ValueError: ``rate`` or ``burst`` is out of its range.
    """

    def __init__(self, rate: float, burst: float) -> None:
        if rate <= 0 or burst < 0:
            message = f"rate {rate} must be above 0 and burst {burst} not below"
            raise ValueError(message)
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._filled_at: float | None = None

    def spend(self, count: float, now: float) -> float:
        """Take ``count`` bytes out, into debt if need be; the seconds until that is paid, as ``delay`` gives them."""
        self._fill(now)
        self._level -= count
        return self._time_to_pay(self._level)

    def available(self, now: float) -> float:
        """Give the bytes in the bucket; below 0 is debt."""
        self._fill(now)
        return self._level

    def delay(self, now: float) -> float:
        """Give the seconds until the debt is paid, 0.0 when there is none."""
        return self._time_to_pay(self.available(now))

    def _time_to_pay(self, level: float) -> float:
        return max(0.0, -level / self._rate)

    def _fill(self, now: float) -> None:
        if self._filled_at is not None and now > self._filled_at:
            self._level = min(self._burst, self._level + (now - self._filled_at) * self._rate)
        self._filled_at = now
