from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodepass.policy.balancing import LowestLatency, PrimaryBackup, RoundRobin, balancer


def order(strategy: RoundRobin | LowestLatency | PrimaryBackup, now: float = 0.0) -> list[int]:
    return list(strategy.order(now))


def test_round_robin_starts_one_further_each_time() -> None:
    targets = RoundRobin(3, 300)
    assert [order(targets) for _ in range(4)] == [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]


def test_lowest_latency_before_any_measure_is_as_given() -> None:
    assert order(LowestLatency(3, 300)) == [0, 1, 2]


def test_lowest_latency_then_unmeasured_then_unreachable() -> None:
    targets = LowestLatency(5, 300)
    targets.measured(0, None)
    targets.measured(2, 0.03)
    targets.measured(4, 0.01)
    assert order(targets) == [4, 2, 1, 3, 0]
    targets.measured(0, 0.02)
    assert order(targets) == [4, 0, 2, 1, 3]


def test_lowest_latency_puts_a_failed_target_last_until_it_answers() -> None:
    targets = LowestLatency(2, 300)
    targets.measured(0, 0.01)
    targets.measured(1, 0.02)
    targets.failed(0, now=10)
    assert order(targets, now=11) == [1, 0]
    targets.measured(0, None)
    assert order(targets, now=11) == [1, 0]
    targets.measured(0, 0.01)
    assert order(targets, now=11) == [0, 1]
    targets.failed(0, now=20)
    targets.succeeded(0)
    assert order(targets, now=21) == [0, 1]
    targets.failed(0, now=30)
    assert order(targets, now=329.9) == [1, 0]
    assert order(targets, now=330) == [0, 1]


def test_primary_stays_until_it_fails_and_comes_back() -> None:
    targets = PrimaryBackup(3, 300)
    assert order(targets, now=0) == order(targets, now=1) == [0, 1, 2]
    targets.failed(0, now=2)
    assert order(targets, now=3) == [1, 2, 0]
    targets.failed(1, now=100)
    assert order(targets, now=101) == [2, 0, 1]
    assert order(targets, now=301.9) == [2, 0, 1]
    assert order(targets, now=302) == [0, 1, 2]
    targets.failed(0, now=303)
    assert order(targets, now=602) == [1, 2, 0]
    assert order(targets, now=603) == [0, 1, 2]


def test_connections_that_fail_together_move_primary_by_one() -> None:
    targets = PrimaryBackup(3, 300)
    for _ in range(5):
        targets.failed(0, now=1)
    assert order(targets, now=1) == [1, 2, 0]


def test_a_late_success_of_the_primary_does_not_bring_it_back_early() -> None:
    targets = PrimaryBackup(2, 300)
    targets.failed(0, now=1)
    targets.succeeded(0)
    assert order(targets, now=2) == [1, 0]


def test_when_all_fail_the_primary_is_next() -> None:
    targets = PrimaryBackup(2, 300)
    targets.failed(0, now=1)
    targets.failed(1, now=1)
    assert order(targets, now=2) == [0, 1]


@pytest.mark.parametrize(("strategy", "kind"), [(0, RoundRobin), (1, LowestLatency), (2, PrimaryBackup)])
def test_lbs_values(strategy: int, kind: type) -> None:
    assert type(balancer(strategy, 2, 300)) is kind


def test_unknown_strategy_and_no_targets_are_refused() -> None:
    with pytest.raises(ValueError, match="strategy 3"):
        balancer(3, 2, 300)
    with pytest.raises(ValueError, match="no targets"):
        balancer(0, 0, 300)


@pytest.mark.parametrize("strategy", [0, 1, 2])
def test_a_single_target_has_one_order_made_once(strategy: int) -> None:
    targets = balancer(strategy, 1, 300)
    first = targets.order(0)
    targets.failed(0, now=1)
    assert targets.order(1) is first
    assert list(first) == [0]


events = st.lists(
    st.tuples(st.sampled_from(["failed", "succeeded", "measured", "unreachable"]), st.integers(0, 4), st.floats(0, 400))
)


@given(st.sampled_from([0, 1, 2]), events)
def test_every_order_has_every_target_once(strategy: int, events: list[tuple[str, int, float]]) -> None:
    targets = balancer(strategy, 5, 300)
    now = 0.0
    for kind, index, passed in events:
        now += passed
        match kind:
            case "failed":
                targets.failed(index, now)
            case "succeeded":
                targets.succeeded(index)
            case "measured":
                targets.measured(index, passed)
            case _:
                targets.measured(index, None)
        assert sorted(targets.order(now)) == [0, 1, 2, 3, 4]
