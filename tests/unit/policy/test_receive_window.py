"""How far a sender may be ahead of what has been consumed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nodepass.policy.receive_window import LARGEST, SHARED, SMALLEST, ReceiveWindow, largest_of


def test_a_fresh_stream_may_send_the_smallest_window() -> None:
    assert ReceiveWindow().limit == SMALLEST


def test_little_is_not_worth_telling() -> None:
    window = ReceiveWindow()
    assert window.consume(SMALLEST // 2 - 1, waiting=0, largest=LARGEST) == 0
    assert window.limit == SMALLEST
    assert window.consume(1, waiting=0, largest=LARGEST) > 0


def test_the_window_of_a_consumer_that_keeps_up_grows_to_the_largest() -> None:
    window = ReceiveWindow()
    consumed = 0
    for _ in range(100):
        step = window.limit - consumed
        consumed += step
        assert window.consume(step, waiting=0, largest=LARGEST) > 0
    assert window.limit - consumed == LARGEST


def test_that_of_one_that_falls_behind_shrinks_to_the_smallest() -> None:
    window = ReceiveWindow()
    consumed = 0
    for _ in range(100):
        step = window.limit - consumed
        consumed += step
        window.consume(step, waiting=0, largest=LARGEST)
    # From here on something always waits: the limit stands until less than the smallest window is left.
    while not window.consume(1000, waiting=1, largest=LARGEST):
        consumed += 1000
    assert window.limit - (consumed + 1000) == SMALLEST


def test_many_streams_share_what_is_above_the_smallest() -> None:
    assert largest_of(0) == largest_of(1) == LARGEST
    assert largest_of(SHARED // LARGEST * 2) == LARGEST // 2
    assert largest_of(1_000_000) == SMALLEST


@given(st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 100), st.integers(0, 4000)), max_size=200))
def test_what_is_on_the_way_is_bounded_and_the_limit_never_falls(steps: list[tuple[int, int, int]]) -> None:
    window = ReceiveWindow()
    consumed = 0
    most = SMALLEST
    for count, waiting, streams in steps:
        step = min(count, window.limit - consumed)
        consumed += step
        before = window.limit
        grown = window.consume(step, waiting=waiting, largest=largest_of(streams))
        assert grown >= 0
        assert window.limit == before + grown
        most = max(most, largest_of(streams))
        assert window.limit - consumed <= most
        # A sender is never left without anything to send once all has been consumed.
        assert window.limit > consumed
