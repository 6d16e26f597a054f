"""Pictures: what is drawn, and where it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.growth import panels, round_numbers
from bench.loads.costs import CPU_PER_THOUSAND_REQUESTS
from bench.loads.crowd import THROUGHPUT, TOGETHER, USERS, Growth
from bench.loads.instances import INSTANCES, Instances
from bench.model import BenchError, Figure, Sample
from bench.plot import MOST_BARS, Bar, draw, factors, growth_path, pages
from bench.results import Asked, Results, RowResult
from tests.unit.bench.results_of import row

if TYPE_CHECKING:
    from pathlib import Path


def grown(name: str, over: Figure, number: float, **throughput: list[float]) -> RowResult:
    """A row that was measured with so many; CPU and memory follow from the throughput of each run."""
    result = RowResult(name, tuple(throughput), (THROUGHPUT, CPU_PER_THOUSAND_REQUESTS, TOGETHER, over))
    for contender, runs in throughput.items():
        for value in runs:
            values = {THROUGHPUT: value, CPU_PER_THOUSAND_REQUESTS: value / 10, TOGETHER: value * 2, over: number}
            result.add(contender, Sample({figure.name: found for figure, found in values.items()}))
    return result


GROWN = [
    grown("instances-10", INSTANCES, 10, nodepass=[8]),
    grown("instances-1", INSTANCES, 1, nodepass=[9], haproxy=[]),
    grown("growth-10/tcp", USERS, 9, nodepass=[30, 10, 20], v1=[5]),
    grown("growth-1/tcp", USERS, 1, nodepass=[4], v1=[2]),
]


def test_lines_go_by_what_grows_and_in_its_order() -> None:
    users, instances = panels(Results({}, [*GROWN, row("load/tcp", nodepass=[(1, 1)])]))
    assert [panel.figure for panel in users] == [THROUGHPUT, CPU_PER_THOUSAND_REQUESTS, TOGETHER]
    assert {(panel.over, panel.setup) for panel in users} == {(USERS, "tcp")}
    assert {(panel.over, panel.setup) for panel in instances} == {(INSTANCES, "")}
    # As many as there were, not as many as were wanted.
    ours, theirs = users[0].lines["nodepass"], users[0].lines["v1"]
    assert [(number, found.low, found.median, found.high) for number, found in ours] == [(1, 4, 4, 4), (9, 10, 20, 30)]
    assert [(number, found.median) for number, found in theirs] == [(1, 2), (9, 5)]
    assert set(instances[0].lines) == {"nodepass"}
    assert [number for number, _ in instances[2].lines["nodepass"]] == [1, 10]


def test_setups_have_lines_of_their_own() -> None:
    over_quic = [grown(f"growth-{number}/quic", USERS, number, nodepass=[number]) for number in (1, 10)]
    assert [group[0].setup for group in panels(Results({}, [*GROWN[2:], *over_quic]))] == ["tcp", "quic"]


def test_one_point_is_no_line() -> None:
    assert panels(Results({}, GROWN[:1])) == []


def test_the_rows_that_grow_have_what_is_drawn() -> None:
    for figures, over in ((Growth.figures, USERS), (Instances.figures, INSTANCES)):
        assert {THROUGHPUT, CPU_PER_THOUSAND_REQUESTS, TOGETHER, over} <= set(figures)


@pytest.mark.parametrize(
    ("low", "high", "numbers"),
    [
        (0.66, 1, [0.7, 0.8, 0.9, 1]),
        (12, 600, [20, 50, 100, 200, 500]),
        (1, 10000, [1, 10, 100, 1000, 10000]),
    ],
)
def test_round_numbers_stand_at_the_axis(low: float, high: float, numbers: list[float]) -> None:
    assert round_numbers(low, high) == pytest.approx(numbers)


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_bars_and_lines_have_a_picture_each(ending: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / f"picture.{ending}"
    lines = tmp_path / f"picture-growth.{ending}"
    assert draw(Results({"commit": "of-the-test"}, GROWN), path) == [path, lines]
    assert growth_path(path) == lines
    for one in (path, lines):
        assert one.read_bytes().startswith(b"\x89PNG" if ending == "png" else b"<?xml")
    if ending == "svg":
        text = lines.read_text()
        for words in ("of-the-test", "less is better", "instances of a master", "tcp: users at once", "nodepass", "v1"):
            assert words in text


def test_what_there_is_not_is_not_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "picture.svg"
    assert draw(Results({}, [row(nodepass=[(1, 2)], v1=[(2, 1)])]), path) == [path]
    assert draw(Results({}, GROWN[:2]), path) == [growth_path(path)]
    with pytest.raises(BenchError, match="nothing to draw"):
        draw(Results({}, [row(nodepass=[(1, 2)])]), path)


def test_a_picture_shows_the_main_figure_so_that_more_is_better() -> None:
    slower = row("slow/tcp", nodepass=[(50, 1)], v1=[(100, 1)], haproxy=[])
    quicker = row("quick/tcp", nodepass=[(200, 1), (300, 1), (400, 1)], v1=[(80, 1), (100, 1), (125, 1)])
    times = row("time/tcp", nodepass=[(1, 5), (1, 10)], v1=[(1, 20), (1, 40)])
    times.figures = times.figures[1:]
    assert factors(Results({}, [slower, quicker, times])) == {
        "v1": [Bar("slow/tcp", 0.5, 0.5, 0.5), Bar("quick/tcp", 3, 1.6, 5), Bar("time/tcp", 4, 2, 8)]
    }


def test_who_failed_is_drawn_as_such(tmp_path: Path) -> None:
    theirs = row("theirs/tcp", nodepass=[(50, 1)], v1=[(50, 1)])
    theirs.failures["v1"] = "ended"
    ours = row("ours/tcp", nodepass=[], v1=[(50, 1)])
    ours.failures["nodepass"] = "ended"
    results = Results({"commit": "of-the-test"}, [theirs, ours], Asked(3, 1, 2, quick=False, file_limit=1024))
    assert factors(results) == {"v1": [Bar("theirs/tcp", failed="v1"), Bar("ours/tcp", failed="nodepass")]}
    pytest.importorskip("matplotlib")
    text = draw(results, tmp_path / "picture.svg")[0].read_text()
    for words in ("v1 FAILED", "nodepass FAILED", "of-the-test", "runs: 3"):
        assert words in text


def test_many_bars_go_on_beside_the_first() -> None:
    bars = [Bar(str(number)) for number in range(2 * MOST_BARS + 1)]
    found = pages({"v1": bars, "frp": bars[:1]})
    assert [(name, len(page)) for name, page in found] == [("v1", MOST_BARS), ("v1", MOST_BARS), ("v1", 1), ("frp", 1)]
    assert [bar for name, page in found if name == "v1" for bar in page] == bars
