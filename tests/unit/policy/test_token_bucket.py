from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodepass.policy.token_bucket import TokenBucket


def test_a_burst_is_free_and_a_debt_costs_time() -> None:
    bucket = TokenBucket(rate=100, burst=50)
    assert bucket.spend(50, now=10) == 0.0
    assert bucket.delay(10) == 0.0
    assert bucket.spend(200, now=10) == 2.0
    assert bucket.available(10) == -200
    assert bucket.delay(10) == 2.0
    assert bucket.delay(11) == 1.0
    assert bucket.delay(12) == 0.0


def test_no_more_than_the_burst_is_saved_up() -> None:
    bucket = TokenBucket(rate=100, burst=50)
    bucket.spend(50, now=0)
    assert bucket.available(1000) == 50


def test_the_first_time_may_be_any() -> None:
    assert TokenBucket(rate=100, burst=50).available(-5) == 50


def test_a_clock_that_steps_back_does_not_stall() -> None:
    bucket = TokenBucket(rate=100, burst=0)
    bucket.spend(100, now=1_000_000)
    assert bucket.delay(5) == 1.0
    assert bucket.delay(6) == 0.0


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1, -1)])
def test_bounds(rate: float, burst: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        TokenBucket(rate, burst)


@given(st.lists(st.tuples(st.integers(0, 5000), st.floats(0, 3)), min_size=1, max_size=50))
def test_a_caller_who_waits_keeps_to_the_rate(chunks: list[tuple[int, float]]) -> None:
    rate, burst = 1000.0, 2000.0
    bucket = TokenBucket(rate, burst)
    now, moved = 0.0, 0
    for size, pause in chunks:
        now += bucket.delay(now) + pause
        assert moved <= burst + rate * now + 5000
        bucket.spend(size, now)
        moved += size
    now += bucket.delay(now)
    assert moved <= burst + rate * now + 0.001
