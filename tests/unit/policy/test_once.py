"""Values that count once within some time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nodepass.policy.once import Once


def test_a_value_counts_once_within_its_lifetime() -> None:
    once = Once(lifetime=10.0, most=5)
    assert once.take(b"a", 0.0)
    assert not once.take(b"a", 0.0)
    assert once.take(b"b", 5.0)
    assert not once.take(b"a", 10.0)
    assert once.take(b"a", 10.5)
    assert not once.take(b"b", 15.0)


def test_what_is_repeated_does_not_live_longer() -> None:
    once = Once(lifetime=10.0, most=5)
    assert once.take(b"a", 0.0)
    assert not once.take(b"a", 9.0)
    assert once.take(b"a", 11.0)


def test_when_it_is_full_it_refuses_until_something_is_forgotten() -> None:
    once = Once(lifetime=10.0, most=2)
    assert once.take(b"a", 0.0)
    assert once.take(b"b", 1.0)
    assert not once.take(b"c", 2.0)
    assert once.take(b"c", 10.5)
    assert not once.take(b"d", 10.5)


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c", b"d"]), st.floats(0.0, 5.0)), max_size=40))
def test_no_value_counts_twice_within_its_lifetime_and_memory_is_bounded(steps: list[tuple[bytes, float]]) -> None:
    once = Once(lifetime=8.0, most=3)
    now, taken_at = 0.0, dict[bytes, float]()
    for value, passed in steps:
        now += passed
        remembered = {other for other, then in taken_at.items() if now - then <= 8.0}
        assert once.take(value, now) is (value not in remembered and len(remembered) < 3)
        if value not in remembered and len(remembered) < 3:
            taken_at[value] = now
        assert len(once._taken_at) <= 3
