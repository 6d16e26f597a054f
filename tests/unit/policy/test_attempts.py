"""How often a source may fail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodepass.policy.attempts import Attempts

SOURCE = "192.0.2.1"


def fail(attempts: Attempts, ip: str, times: int, now: float = 0.0) -> None:
    for _ in range(times):
        attempts.failed(ip, now)


def test_the_burst_is_free_and_then_there_is_a_pace() -> None:
    attempts = Attempts(burst=3, per_second=0.5)
    fail(attempts, SOURCE, 2)
    assert attempts.wait(SOURCE, 0.0) == 0.0
    attempts.failed(SOURCE, 0.0)
    assert attempts.wait(SOURCE, 0.0) == 2.0
    assert attempts.wait(SOURCE, 1.5) == 0.5
    assert attempts.wait(SOURCE, 2.0) == 0.0
    attempts.failed(SOURCE, 2.0)
    assert attempts.wait(SOURCE, 2.0) == 2.0


def test_a_burst_of_one_has_a_pace_from_the_first() -> None:
    attempts = Attempts(burst=1)
    attempts.failed(SOURCE, 5.0)
    assert attempts.wait(SOURCE, 5.0) == 1.0


def test_after_some_quiet_the_burst_is_free_again() -> None:
    attempts = Attempts()
    for now in (0.0, 100.0):
        fail(attempts, SOURCE, 9, now)
        assert attempts.wait(SOURCE, now) == 0.0
        attempts.failed(SOURCE, now)
        assert attempts.wait(SOURCE, now) == 1.0


def test_others_do_not_wait_and_asking_is_not_remembered() -> None:
    attempts = Attempts()
    fail(attempts, SOURCE, 50)
    assert attempts.wait(SOURCE, 0.0) > 0.0
    assert attempts.wait("192.0.2.2", 0.0) == 0.0
    assert attempts.wait("2001:db8::1", 0.0) == 0.0
    assert len(attempts._buckets) == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8::1", "2001:db8::ffff:0:0:2", True),
        ("2001:db8:0:0::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2", True),
    ],
)
def test_what_is_one_source(one: str, other: str, *, same: bool) -> None:
    attempts = Attempts(burst=1)
    attempts.failed(one, 0.0)
    assert (attempts.wait(other, 0.0) > 0.0) is same


def test_the_one_that_failed_longest_ago_is_forgotten() -> None:
    attempts = Attempts(burst=1, most_sources=2)
    for ip in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3"):
        attempts.failed(ip, 0.0)
    assert attempts.wait("192.0.2.1", 0.0) > 0.0
    assert attempts.wait("192.0.2.2", 0.0) == 0.0
    assert attempts.wait("192.0.2.3", 0.0) > 0.0


def test_what_is_no_address_is_an_error() -> None:
    with pytest.raises(ValueError, match="x:y"):
        Attempts().wait("x:y", 0.0)


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0.0, 3.0)), max_size=60))
def test_whoever_waits_as_told_fails_no_faster_than_the_pace(steps: list[tuple[int, float]]) -> None:
    attempts = Attempts(burst=3, per_second=2.0, most_sources=20)
    now, failures = 0.0, 0
    for pressure, passed in steps:
        now += passed
        for _ in range(pressure):
            if attempts.wait(SOURCE, now) == 0.0:
                attempts.failed(SOURCE, now)
                failures += 1
    # Half a failure for what floats round.
    assert failures <= 3 + now * 2.0 + 0.5
