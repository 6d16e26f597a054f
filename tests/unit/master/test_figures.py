from __future__ import annotations

from nodepass.master import figures
from nodepass.master.model import Figures
from nodepass.master.pauses import FIRST, HEALTHY, LONGEST, Pauses
from nodepass.protocol.checkpoint import CheckPoint


def test_every_figure_of_a_report_has_its_own_place() -> None:
    assert figures.of_report(CheckPoint(1, 2, 3, 4, 5, 6, 7, 8, 9)) == Figures(1, 2, 3, 4, 5, 6, 7, 8, 9)


def test_a_report_adds_what_is_new() -> None:
    shown = figures.advanced(Figures(tcprx=100, udptx=50), Figures(tcprx=10), Figures(mode=1, tcprx=15, udptx=1))
    assert shown == Figures(mode=1, tcprx=105, udptx=51)


def test_counts_never_go_back() -> None:
    shown = figures.advanced(Figures(tcprx=100), Figures(tcprx=10), Figures(tcprx=3))
    assert shown.tcprx == 100


def test_what_is_left_without_a_process() -> None:
    assert figures.without_process(Figures(1, 2, 3, 4, 5, 6, 7, 8, 9)) == Figures(0, 0, 0, 0, 0, 6, 7, 8, 9)
    assert figures.without_totals(Figures(1, 2, 3, 4, 5, 6, 7, 8, 9)) == Figures(1, 2, 3, 4, 5)


def test_pauses_grow_to_a_minute_and_begin_anew_after_a_time_of_health() -> None:
    pauses = Pauses()
    assert [pauses.after(0) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert pauses.after(HEALTHY - 1) == LONGEST
    assert [pauses.after(HEALTHY), pauses.after(0)] == [FIRST, 2 * FIRST]
