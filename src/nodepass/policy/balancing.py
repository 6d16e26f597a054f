"""Which target to try first (config.md, parameter ``lbs``).

A strategy gives, for each new connection, the order in which to try all targets; the caller tries them one after the
other and tells what came of each. So failing over to the next at once is the same for all, and a strategy only decides
the order. With a single target every order is the same one, made once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Balancer(ABC):
    """The order of targets for new connections. Targets are indices into the list that was configured.

    All times are seconds of one monotonic clock. What is told of a target is for the strategy to use or not.

    Args:
        count: number of targets, 1 or more.
        fallback_interval: seconds after which a target that failed is trusted again.

    Raises:
        ValueError: there are no targets.
    """

    def __init__(self, count: int, fallback_interval: float) -> None:
        if count < 1:
            message = "there are no targets to balance"
            raise ValueError(message)
        self._count = count
        self._fallback_interval = fallback_interval
        self._failed_at: dict[int, float] = {}
        self._latency: dict[int, float | None] = {}
        # Twice round, so that the order that starts at any target is one slice.
        self._rounds = (*range(count), *range(count))
        self._as_given = self._starting_at(0)

    def order(self, now: float) -> Sequence[int]:
        """Give the order in which one new connection tries the targets.

        Returns:
            Every index once.
        """
        if self._count == 1:
            return self._as_given
        self._forgive(now)
        return self._order()

    @abstractmethod
    def _order(self) -> Sequence[int]:
        """Give what `order` gives, for two targets or more."""

    def _forgive(self, now: float) -> None:
        """Forget the failures that are a fallback interval old."""
        for index, failed_at in tuple(self._failed_at.items()):
            if now - failed_at >= self._fallback_interval:
                del self._failed_at[index]

    def succeeded(self, index: int) -> None:
        """Learn that a connection to this target was opened."""
        self._failed_at.pop(index, None)

    def failed(self, index: int, now: float) -> None:
        """Learn that a connection to this target could not be opened."""
        self._failed_at[index] = now

    def measured(self, index: int, latency: float | None) -> None:
        """Learn what a probe of this target found.

        Args:
            index: the target.
            latency: seconds it took to connect; None when the target did not answer.
        """
        self._latency[index] = latency
        if latency is not None:
            self._failed_at.pop(index, None)

    def _starting_at(self, index: int) -> Sequence[int]:
        return self._rounds[index : index + self._count]


class RoundRobin(Balancer):
    """Each connection starts one target further."""

    def __init__(self, count: int, fallback_interval: float) -> None:
        super().__init__(count, fallback_interval)
        self._next = 0

    def _order(self) -> Sequence[int]:
        start = self._next
        self._next = (start + 1) % self._count
        return self._starting_at(start)


class LowestLatency(Balancer):
    """Quickest first, then those not measured yet, then those that do not answer; each in given order where equal.

    A failed connection counts as no answer until the target answers again or the fallback interval has passed.
    """

    def _order(self) -> Sequence[int]:
        return sorted(self._as_given, key=self._rank)

    def _rank(self, index: int) -> tuple[int, float]:
        if index in self._failed_at:
            return 2, 0.0
        if index not in self._latency:
            return 1, 0.0
        latency = self._latency[index]
        return (2, 0.0) if latency is None else (0, latency)


class PrimaryBackup(Balancer):
    """Stays with one target until it fails, then with the next.

    It goes back to the first, the primary, a fallback interval after it left it.
    """

    def __init__(self, count: int, fallback_interval: float) -> None:
        super().__init__(count, fallback_interval)
        self._current = 0
        self._left_primary_at = 0.0

    def _order(self) -> Sequence[int]:
        return self._starting_at(self._current)

    def _forgive(self, now: float) -> None:
        super()._forgive(now)
        # By the time it was left, whatever came since: a success of an attempt begun before says nothing of it now.
        if self._current and now - self._left_primary_at >= self._fallback_interval:
            self._current = 0

    def failed(self, index: int, now: float) -> None:
        """Move on to the next, if this was the current one.

        Of many connections that fail together only the first moves it: the others failed with a target it has left.
        """
        super().failed(index, now)
        if index != self._current:
            return
        if index == 0:
            self._left_primary_at = now
        self._current = (index + 1) % self._count


_STRATEGIES: Final[dict[int, Callable[[int, float], Balancer]]] = {0: RoundRobin, 1: LowestLatency, 2: PrimaryBackup}


def balancer(strategy: int, count: int, fallback_interval: float) -> Balancer:
    """Make the balancer for a value of ``lbs``.

    Args:
        strategy: 0 round-robin, 1 lowest latency, 2 primary with backups.
        count: number of targets, 1 or more.
        fallback_interval: seconds after which a target that failed is trusted again.

    Raises:
        ValueError: there is no such strategy, or there are no targets.
    """
    if strategy not in _STRATEGIES:
        message = f"no balancing strategy {strategy}"
        raise ValueError(message)
    return _STRATEGIES[strategy](count, fallback_interval)
