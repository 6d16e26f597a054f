"""How far a sender may be ahead of what has been consumed."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from nodepass.policy.receive_window import LARGEST, SHARED, SMALLEST, ReceiveWindow, largest_of


class Connection:
    """One whose windows are counted."""

    windows_left = SHARED


def test_a_fresh_stream_may_send_the_smallest_window() -> None:
    assert ReceiveWindow(Connection()).limit == SMALLEST


def test_little_is_not_worth_telling() -> None:
    window = ReceiveWindow(Connection())
    assert window.consume(SMALLEST // 2 - 1, waiting=0, largest=LARGEST) == 0
    assert window.limit == SMALLEST
    assert window.consume(1, waiting=0, largest=LARGEST) > 0


def test_the_window_of_a_consumer_that_keeps_up_grows_to_the_largest() -> None:
    window = ReceiveWindow(Connection())
    consumed = 0
    for _ in range(100):
        step = window.limit - consumed
        consumed += step
        assert window.consume(step, waiting=0, largest=LARGEST) > 0
    assert window.limit - consumed == LARGEST


def test_that_of_one_that_falls_behind_shrinks_to_the_smallest() -> None:
    window = ReceiveWindow(Connection())
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
    window = ReceiveWindow(Connection())
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


class Streams:
    """Those of one connection, whose senders use all that they are granted."""

    def __init__(self) -> None:
        self.budget = Connection()
        self.windows: list[ReceiveWindow] = []
        self.consumed: list[int] = []

    def begin(self) -> None:
        self.windows.append(ReceiveWindow(self.budget))
        self.consumed.append(0)

    def consume(self, index: int, count: int, waiting: int = 0) -> None:
        window = self.windows[index]
        count = min(count, window.limit - self.consumed[index])
        self.consumed[index] += count
        window.consume(count, waiting=waiting, largest=largest_of(len(self.windows)))

    def busy(self, indexes: range) -> None:
        """These keep up for a while."""
        for _ in range(10):
            for index in indexes:
                self.consume(index, LARGEST)

    def end(self, index: int) -> None:
        self.windows.pop(index).close()
        self.consumed.pop(index)

    @property
    def outstanding(self) -> int:
        """Bytes that may come and stay unread."""
        return sum(window.limit - consumed for window, consumed in zip(self.windows, self.consumed, strict=True))


def test_windows_that_grew_while_they_were_few_count_when_they_are_many() -> None:
    streams = Streams()
    few, many = SHARED // LARGEST, 200
    for _ in range(few):
        streams.begin()
    streams.busy(range(few))
    assert streams.outstanding > SHARED // 2
    # Those stand still from now on.
    for _ in range(many):
        streams.begin()
    streams.busy(range(few, few + many))
    assert streams.outstanding <= SHARED + (few + many) * SMALLEST
    # And when they end, the others have what they held.
    for _ in range(few):
        streams.end(0)
    streams.busy(range(many))
    assert streams.windows[0].limit - streams.consumed[0] == largest_of(many)
    while streams.windows:
        streams.end(0)
    assert streams.budget.windows_left == SHARED


STEPS = st.lists(
    st.one_of(
        st.just("begin"),
        st.tuples(st.integers(0, 300), st.integers(0, LARGEST), st.booleans()),
        st.integers(0, 300),
    ),
    max_size=100,
)


@settings(deadline=None)
@given(st.integers(0, 300), STEPS)
def test_all_windows_together_are_bounded(begun: int, steps: list[str | int | tuple[int, int, bool]]) -> None:
    streams = Streams()
    for _ in range(begun):
        streams.begin()
    for step in steps:
        if isinstance(step, str):
            streams.begin()
        elif streams.windows and isinstance(step, tuple):
            streams.consume(step[0] % len(streams.windows), step[1], int(step[2]))
        elif streams.windows and isinstance(step, int):
            streams.end(step % len(streams.windows))
        assert streams.outstanding <= SHARED + len(streams.windows) * SMALLEST
        assert 0 <= streams.budget.windows_left <= SHARED
