"""Medians, spreads, percentiles, ratios, and who is behind."""

from __future__ import annotations

import math

import pytest

from bench.model import Better
from bench.statistics import Summary, is_behind, percentile, ratio


@pytest.mark.parametrize(
    ("values", "summary"),
    [
        ([3.0], Summary(3.0, 3.0, 3.0, 1)),
        ([9.0, 1.0, 2.0], Summary(2.0, 1.0, 9.0, 3)),
        ([4.0, 1.0], Summary(2.5, 1.0, 4.0, 2)),
    ],
)
def test_a_summary_is_the_median_and_the_ends(values: list[float], summary: Summary) -> None:
    assert Summary.of(values) == summary


@pytest.mark.parametrize(
    ("one", "other", "overlap"),
    [
        (Summary(2, 1, 3, 3), Summary(4, 3, 5, 3), True),
        (Summary(2, 1, 3, 3), Summary(5, 4, 6, 3), False),
        (Summary(2, 1, 9, 3), Summary(5, 4, 6, 3), True),
    ],
)
def test_spreads_that_touch_overlap(one: Summary, other: Summary, overlap: bool) -> None:
    assert one.overlaps(other) is overlap
    assert other.overlaps(one) is overlap


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(value) for value in range(1, 201)]
    assert percentile(values, 50) == 100
    assert percentile(values, 99) == 198
    assert percentile(values, 100) == 200
    assert percentile([7.0], 99) == 7
    assert percentile([1.0, 2.0], 1) == 1


def test_ratios_of_zero() -> None:
    assert ratio(3, 2) == 1.5
    assert ratio(0, 0) == 1
    assert ratio(3, 0) == math.inf


@pytest.mark.parametrize(
    ("better", "less_is_behind", "more_is_behind"),
    [(Better.HIGHER, True, False), (Better.LOWER, False, True), (Better.NEITHER, False, False)],
)
def test_behind_is_the_worse_one(better: Better, less_is_behind: bool, more_is_behind: bool) -> None:
    assert is_behind(1, 2, better) is less_is_behind
    assert is_behind(2, 1, better) is more_is_behind
    assert not is_behind(2, 2, better)
