"""Medians, spreads, percentiles, ratios."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.model import Better

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Summary:
    """Runs of one thing.

    Args:
        median: of them.
        low: the least.
        high: the most.
        runs: how many they were, at least one.
    """

    median: float
    low: float
    high: float
    runs: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary:
        """Summarise at least one run."""
        return cls(statistics.median(values), min(values), max(values), len(values))

    def overlaps(self, other: Summary) -> bool:
        """Whether the two spreads have anything in common: then the difference may be chance."""
        return self.low <= other.high and other.low <= self.high


def ratio(ours: float, theirs: float) -> float:
    """How many times theirs ours is; 1 for two zeros, infinity if only theirs is one."""
    if theirs == 0:
        return 1.0 if ours == 0 else math.inf
    return ours / theirs


def is_behind(ours: float, theirs: float, better: Better) -> bool:
    """Whether ours is the worse one."""
    if better is Better.NEITHER:
        return False
    return ours < theirs if better is Better.HIGHER else ours > theirs


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The least of the values that `percent` of them do not exceed (nearest rank).

    Args:
        ordered: at least one value, sorted.
        percent: over 0, to 100.
    """
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
