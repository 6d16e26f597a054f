"""What limits an instance: its slots, and a rate in each direction. Of several processes, all hold to one limit."""

from __future__ import annotations

from enum import IntEnum

from nodepass.policy.slots import Slots
from nodepass.policy.token_bucket import TokenBucket


class Direction(IntEnum):
    """Which way bytes go: each has a rate of its own."""

    RECEIVED = 0
    SENT = 1


class Limits:
    """Those of an instance that is one process."""

    def slots(self, limit: int) -> Slots:
        """Make the count of its sessions; see `Slots`."""
        return Slots(limit)

    def bucket(self, direction: Direction, rate: float, burst: float) -> TokenBucket:
        """Make what holds one direction to its rate; see `TokenBucket`."""
        del direction
        return TokenBucket(rate, burst)
