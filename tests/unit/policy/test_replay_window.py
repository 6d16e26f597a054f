"""Numbers that count once."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from nodepass.policy.replay_window import WIDTH, ReplayWindow


def test_ascending_numbers_count_once() -> None:
    window = ReplayWindow()
    for counter in range(3 * WIDTH):
        assert window.take(counter)
        assert not window.take(counter)
    assert window._taken.bit_length() <= WIDTH + 1


def test_numbers_out_of_order_count_once() -> None:
    window = ReplayWindow()
    assert window.take(100)
    assert all(window.take(counter) for counter in range(99, -1, -1))
    assert not any(window.take(counter) for counter in range(101))


def test_what_is_too_far_back_is_refused() -> None:
    window = ReplayWindow()
    assert window.take(10_000)
    assert window.take(10_000 - WIDTH)
    assert not window.take(10_000 - WIDTH)
    assert not window.take(10_000 - WIDTH - 1)


def test_a_number_far_ahead_costs_no_memory() -> None:
    window = ReplayWindow()
    assert window.take(0)
    assert window.take(2**64 - 1)
    assert window._taken.bit_length() <= WIDTH + 1
    assert not window.take(2**64 - 1)
    assert not window.take(0)
    assert window.take(2**64 - 2)


@given(st.lists(st.integers(0, 3 * WIDTH), max_size=50))
@example([WIDTH, 0, 0])
@example([WIDTH + 1, 0])
@example([0, WIDTH, 0, 1])
@example([0, WIDTH + 1, 1, 0])
def test_it_does_what_a_set_would_within_its_width(counters: list[int]) -> None:
    window = ReplayWindow()
    taken: set[int] = set()
    for counter in counters:
        expected = counter not in taken and counter >= max(taken, default=0) - WIDTH
        assert window.take(counter) is expected
        taken.add(counter)
