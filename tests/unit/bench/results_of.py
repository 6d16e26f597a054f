"""Results for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.model import Better, Figure, Sample
from bench.results import RowResult

if TYPE_CHECKING:
    from collections.abc import Mapping

RATE = Figure("rate", "1/s")
TIME = Figure("time", "ms", Better.LOWER)


def row(name: str = "load/tcp", **values: list[tuple[float, float]]) -> RowResult:
    """A row with two figures, and the runs of each contender."""
    return row_of(name, values)


def row_of(name: str, values: Mapping[str, list[tuple[float, float]]]) -> RowResult:
    """The same, of contenders whose names are not Python's."""
    result = RowResult(name, tuple(values), (RATE, TIME))
    for contender, runs in values.items():
        for rate, time in runs:
            result.add(contender, Sample({"rate": rate, "time": time}))
    return result
