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


def test_a_lower_maximum_from_the_server_counts() -> None:
    pool = scaling()
    pool.limit(5)
    assert pool.capacity == 5
    pool.on_demand(100)
    pool.after_refill(created=5, idle=0)
    assert pool.capacity == 5
    assert scaling(minimum=64, maximum=3).capacity == 3


def test_a_higher_maximum_from_the_server_brings_the_minimum_back() -> None:
    pool = scaling()
    pool.limit(5)
    pool.limit(1000)
    assert pool.capacity == 10


@pytest.mark.parametrize(
    "bounds", [(0, 1, 0.1, 1.0, 1), (1, 0, 0.1, 1.0, 1), (1, 1, 0.0, 1.0, 1), (1, 1, 2.0, 1.0, 1), (1, 1, 0.1, 1.0, 0)]
)
def test_bounds_out_of_range_are_refused(bounds: tuple[int, int, float, float, int]) -> None:
    minimum, maximum, min_interval, max_interval, parallel = bounds
    with pytest.raises(ValueError, match="must be"):
        PoolScaling(minimum, maximum, min_interval, max_interval, parallel=parallel)
    with pytest.raises(ValueError, match="at least 1"):
        scaling().limit(0)


@given(
    st.integers(1, 50),
    st.integers(1, 50),
    st.lists(st.tuples(st.sampled_from(["refill", "demand", "limit"]), st.integers(1, 200), st.integers(0, 200))),
)
def test_bounds_hold_whatever_happens(minimum: int, maximum: int, events: list[tuple[str, int, int]]) -> None:
    pool = scaling(minimum, maximum)
    for kind, first, second in events:
        match kind:
            case "refill":
                pool.after_refill(first, second)
            case "demand":
                pool.on_demand(first)
            case _:
                maximum = first
                pool.limit(maximum)
        assert min(minimum, maximum) <= pool.capacity <= maximum
        assert 0.1 <= pool.interval <= 1.0
