"""What an instance counts and limits: bytes, sessions, slots, rate, idle time.

A relay adds to a `Counter` per chunk, and nothing else, unless a rate or an idle time is set: then it uses the limited
flow, which also asks a `RateGate` and touches an `IdleTimer`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol

from nodepass.policy.limits import Direction, Limits

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.policy.token_bucket import TokenBucket

BURST_TIME = 0.05
"""Seconds of the rate that may pass at once after a pause."""

SMALLEST_READ = 4096


class Counter:
    """Bytes in one direction since the instance began."""

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total = 0


class Held(Protocol):
    """Who stopped reading because of a rate."""

    def released(self) -> None:
        """The rate allows more: read on."""


class RateGate:
    """One direction's rate, shared fairly by all relays of an instance: who has read too much waits in a queue.

    Args:
        bucket: tells how much may pass.
    """

    def __init__(self, bucket: TokenBucket) -> None:
        self._loop = asyncio.get_running_loop()
        self._bucket = bucket
        self._waiting: deque[tuple[Held, int]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def spend(self, size: int, holder: Held) -> bool:
        """Account for `size` bytes that were read; False: stop reading until `holder.released()`."""
        delay = self._bucket.spend(size, self._loop.time())
        if delay <= 0 and not self._waiting:
            return True
        self._waiting.append((holder, size))
        if self._timer is None:
            self._timer = self._loop.call_later(delay, self._release)
        return False

    def _release(self) -> None:
        """Let on as many of the longest waiting as what has come in since can feed, if each reads as much as last time."""
        self._timer = None
        now = self._loop.time()
        room = max(self._bucket.available(now), 1)
        while self._waiting and room > 0:
            holder, size = self._waiting.popleft()
            room -= size
            holder.released()
        if self._waiting:
            self._timer = self._loop.call_later(max(self._bucket.delay(now), BURST_TIME / 10), self._release)


def _nothing() -> None:
    """What is on the way where nobody asks."""


class IdleTimer:
    """Calls `expired` once nothing has happened for `limit` seconds.

    What happens is a `touch`; that somebody is held, from `hold` to `release`; and that what is on the way is taken, be it
    slowly. For the last there is no call: the timer looks when it goes off. So that may be noticed, and the end come, up to
    `limit` late.

    Args:
        limit: seconds.
        expired: called once.
        on_the_way: gives what has been passed on and not been taken yet, as anything that is equal as long as nothing is.
    """

    __slots__ = ("_expired", "_handle", "_held", "_limit", "_loop", "_on_the_way", "_seen", "last")

    def __init__(self, limit: float, expired: Callable[[], None], on_the_way: Callable[[], object] = _nothing) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        self._expired = expired
        self._on_the_way = on_the_way
        self._seen = on_the_way()
        self._held = 0
        self.last = self._loop.time()
        self._handle = self._loop.call_later(limit, self._check)

    def touch(self) -> None:
        """Something happened."""
        self.last = self._loop.time()

    def hold(self) -> None:
        """A rate holds one who would go on."""
        self._held += 1

    def release(self) -> None:
        """It does not any more."""
        self._held -= 1
        self.touch()

    def cancel(self) -> None:
        """Watch no more."""
        self._handle.cancel()

    def _check(self) -> None:
        # Moving the timer at every chunk would cost more than looking, now and then, whether it was early.
        seen = self._on_the_way()
        if self._held or seen != self._seen:
            self._seen = seen
            self.touch()
        left = self.last + self._limit - self._loop.time()
        if left <= 0:
            self._expired()
        else:
            self._handle = self._loop.call_later(left, self._check)


class Meter:
    """The figures and limits of one instance.

    Args:
        slots: most sessions at a time, TCP and UDP together; 0 for any number.
        rate: bytes per second in each direction; 0 for no limit.
        idle: seconds without traffic after which a TCP relay ends; 0 for never.
        limits: makes what holds the first two, be it for several processes.
    """

    def __init__(self, slots: int, rate: int, idle: float, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self.tcp_rx, self.tcp_tx, self.udp_rx, self.udp_tx = Counter(), Counter(), Counter(), Counter()
        self.tcp_sessions = 0
        self.udp_sessions = 0
        self.idle = idle
        self.rate_rx = _rate_gate(limits, Direction.RECEIVED, rate)
        self.rate_tx = _rate_gate(limits, Direction.SENT, rate)
        self._slots = limits.slots(slots)
        self._nothing_left: asyncio.Event = asyncio.Event()
        self._nothing_left.set()

    @property
    def sessions(self) -> int:
        """TCP and UDP sessions in progress."""
        return self._slots.in_use

    def begin(self, *, udp: bool) -> bool:
        """Take a slot for one session; False when there is none."""
        if not self._slots.acquire():
            return False
        if udp:
            self.udp_sessions += 1
        else:
            self.tcp_sessions += 1
        self._nothing_left.clear()
        return True

    def end(self, *, udp: bool) -> None:
        """Give the slot of one session back."""
        self._slots.release()
        if udp:
            self.udp_sessions -= 1
        else:
            self.tcp_sessions -= 1
        if not self.sessions:
            self._nothing_left.set()

    async def finished(self) -> None:
        """Wait until no session is in progress."""
        await self._nothing_left.wait()


def _rate_gate(limits: Limits, direction: Direction, rate: int) -> RateGate | None:
    return RateGate(limits.bucket(direction, rate, max(rate * BURST_TIME, SMALLEST_READ))) if rate else None
