from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodepass.policy.scaling import PoolScaling


def scaling(minimum: int = 10, maximum: int = 100, parallel: int = 32) -> PoolScaling:
    return PoolScaling(minimum, maximum, 0.1, 1.0, parallel=parallel)


def test_starts_small_and_quick() -> None:
    assert (scaling().capacity, scaling().interval) == (10, 0.1)


@pytest.mark.parametrize(("created", "capacity"), [(17, 21), (16, 20), (4, 20), (3, 19)])
def test_capacity_follows_what_a_refill_replaced(created: int, capacity: int) -> None:
    pool = scaling()
    pool.on_demand(10)
    assert pool.capacity == 20
    pool.after_refill(created, idle=10)
    assert pool.capacity == capacity


@pytest.mark.parametrize(("idle", "interval"), [(1, 0.4), (2, 0.5), (8, 0.5), (9, 0.6)])
def test_interval_follows_what_is_idle(idle: int, interval: float) -> None:
    pool = scaling()
    pool.interval = 0.5
    pool.after_refill(created=5, idle=idle)
    assert pool.interval == pytest.approx(interval)


def test_a_burst_doubles_and_the_quiet_shrinks_one_by_one() -> None:
    pool = scaling()
    pool.on_demand(9)
    assert pool.capacity == 10
    for expected in 20, 40, 80, 100, 100:
        pool.on_demand(pool.capacity)
        assert pool.capacity == expected
    for _ in range(200):
        pool.after_refill(created=0, idle=pool.capacity)
    assert pool.capacity == 10
    assert pool.interval == 1.0


def test_wanted_fills_up_to_the_capacity_within_the_parallel_bound() -> None:
    pool = scaling(parallel=4)
    assert pool.wanted(idle=8, opening=0) == 2
    assert pool.wanted(idle=8, opening=2) == 0
    assert pool.wanted(idle=0, opening=0) == 4
    assert pool.wanted(idle=0, opening=3) == 1
    assert pool.wanted(idle=20, opening=0) == 0
    assert pool.wanted(idle=0, opening=9) == 0


def test_a_maximum_below_the_minimum_counts() -> None:
    pool = scaling(minimum=64, maximum=3)
    assert pool.capacity == 3
    pool.on_demand(100)
    pool.after_refill(created=3, idle=0)
    assert pool.capacity == 3


@pytest.mark.parametrize(
    "bounds", [(0, 1, 0.1, 1.0, 1), (1, 0, 0.1, 1.0, 1), (1, 1, 0.0, 1.0, 1), (1, 1, 2.0, 1.0, 1), (1, 1, 0.1, 1.0, 0)]
)
def test_bounds_out_of_range_are_refused(bounds: tuple[int, int, float, float, int]) -> None:
    minimum, maximum, min_interval, max_interval, parallel = bounds
    with pytest.raises(ValueError, match=r"must be|not"):
        PoolScaling(minimum, maximum, min_interval, max_interval, parallel=parallel)


@given(
    st.integers(1, 50),
    st.integers(1, 50),
    st.lists(st.tuples(st.sampled_from(["refill", "demand"]), st.integers(1, 200), st.integers(0, 200))),
)
def test_bounds_hold_whatever_happens(minimum: int, maximum: int, events: list[tuple[str, int, int]]) -> None:
    pool = scaling(minimum, maximum)
    for kind, first, second in events:
        if kind == "refill":
            pool.after_refill(first, second)
        else:
            pool.on_demand(first)
        assert min(minimum, maximum) <= pool.capacity <= maximum
        assert 0.1 <= pool.interval <= 1.0
