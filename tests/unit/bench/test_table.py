"""The table: what stands where, what is behind, and what went wrong."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from bench.model import Better, Figure, Sample
from bench.results import Asked, Results, RowResult
from bench.table import WIDTH, number_text, ratio_text, table
from tests.unit.bench.results_of import TIME, row, row_of

NEITHER = Figure("offered", "1/s", Better.NEITHER)
HIDDEN = Figure("users", "at once", Better.NEITHER, in_table=False)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.01234, "0.0123"),
        (1, "1.00"),
        (9.876, "9.88"),
        (98.76, "98.8"),
        (987.6, "988"),
        (12345.6, "12,346"),
        (math.inf, "inf"),
    ],
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert number_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.002, "x0.002"), (0.5, "x0.50"), (1.234, "x1.23"), (345.6, "x346"), (math.inf, "xinf")],
)
def test_factors_are_short(value: float, text: str) -> None:
    assert ratio_text(value) == text


def lines(*rows: RowResult) -> list[str]:
    text = table(Results({"machine": "of the test"}, rows))
    return text.splitlines()


def test_ratios_are_ours_to_theirs_and_the_worse_is_behind() -> None:
    found = lines(row(nodepass=[(100, 4), (300, 6), (200, 5)], v1=[(50, 20)], haproxy=[(400, 10)]))
    assert found[0] == "machine: of the test"
    assert found[2].split() == ["row", "figure", "nodepass", "v1", "haproxy"]
    assert [cell.strip() for cell in found[3].split("  ") if cell.strip()] == [
        "load/tcp",
        "rate, 1/s",
        "200 (100 - 300)",
        "50.0",
        "x4.00",
        "400",
        "x0.50 behind",
    ]
    assert [cell.strip() for cell in found[4].split("  ") if cell.strip()] == [
        "time, ms",
        "5.00 (4.00 - 6.00)",
        "20.0",
        "x0.25",
        "10.0",
        "x0.50",
    ]


def test_columns_are_aligned() -> None:
    found = lines(row(nodepass=[(100, 4)], v1=[(50, 20)]), row("a-longer-name/quic", nodepass=[(123456, 1)], v1=[(5, 2)]))
    column = found[2].index("nodepass")
    assert all(line[column - 2 : column] == "  " and line[column].isdigit() for line in found[3:7])


def test_what_went_wrong_stands_below_its_row() -> None:
    measured = row(nodepass=[(100, 4)], v1=[], frp=[])
    measured.failures["v1"] = "ended with 1"
    measured.absent["frp"] = "frp has no HTTP2"
    measured.add("nodepass", Sample({"rate": 100, "time": 4}, ("one failed",)))
    measured.add("nodepass", Sample({"rate": 100, "time": 4}, ("one failed",)))
    found = lines(measured)
    assert "FAILED" in found[3]
    assert found[3].rstrip().endswith("-")
    assert found[5:8] == [
        "    v1 FAILED: ended with 1",
        "    frp: frp has no HTTP2",
        "    nodepass: one failed (2 times)",
    ]


def test_a_row_that_was_skipped_says_why() -> None:
    skipped = row(nodepass=[], v1=[])
    skipped.skipped = "wrk is missing (apt-get install wrk)"
    found = lines(skipped)
    assert found[3].split() == ["load/tcp", "not", "measured", "-", "-"]
    assert found[4] == "    wrk is missing (apt-get install wrk)"


def test_who_has_failed_has_no_figures() -> None:
    measured = row(nodepass=[(100, 4)], v1=[(50, 20)])
    measured.failures["v1"] = "ended with 1"
    found = lines(measured)
    assert found[3].split()[-1] == found[4].split()[-1] == "FAILED"
    assert "50.0" not in "".join(found)


def test_fewer_runs_than_asked_are_said() -> None:
    measured = row(nodepass=[(100, 4), (100, 5)], v1=[(50, 20)])
    measured.asked = 3
    assert lines(measured)[5] == "    2 of 3 runs"
    measured.asked = 2
    assert "runs" not in lines(measured)[5]


def test_the_head_says_how_much_was_asked_for() -> None:
    asked = Asked(runs=3, fresh_runs=1, seconds=2, quick=True, file_limit=1024)
    assert table(Results({}, [], asked)).splitlines()[:2] == [
        "runs: 3, 1 where each starts processes anew; of 2 s; --quick",
        "open files: 1024 at most in a process",
    ]
    assert table(Results({}, [], replace(asked, fresh_runs=3, quick=False))).startswith("runs: 3; of 2 s\n")


def test_many_columns_go_on_below() -> None:
    runs = [(123456.0, 4.0), (234567.0, 5.0)]
    others = {f"contender-{number}": runs for number in range(5)}
    measured = row_of("beside-bulk/websocket+tls-forward", {"nodepass": runs, **others})
    measured.add("nodepass", Sample({"rate": 200000, "time": 4}, ("one failed " * 40,)))
    found = lines(measured, measured)
    assert max(map(len, found)) <= WIDTH
    heads = [line.split() for line in found if line.startswith("row")]
    assert len(heads) > 1
    assert all(head[:2] == ["row", "figure"] for head in heads)
    assert [name for head in heads for name in head[2:]] == ["nodepass", *others]
    assert sum("nodepass: one failed" in line for line in found) == 2


def test_what_has_no_direction_and_what_is_nothing_has_no_ratio() -> None:
    measured = RowResult("load/tcp", ("nodepass", "v1"), (NEITHER, TIME, HIDDEN))
    measured.add("nodepass", Sample({"offered": 2, "time": 3, "users": 9}))
    measured.add("v1", Sample({"offered": 4, "time": 0, "users": 9}))
    found = lines(measured)
    assert [line.split() for line in found[3:5]] == [
        ["load/tcp", "offered,", "1/s", "2.00", "4.00"],
        ["time,", "ms", "3.00", "0", "behind"],
    ]
    assert "users" not in "".join(found)


def test_the_same_note_of_many_is_printed_once() -> None:
    measured = row(nodepass=[(1, 1)], v1=[(1, 1)])
    for name in ("nodepass", "v1"):
        measured.notes[name] = ["9 users, not 10"]
    assert lines(measured)[5] == "    nodepass, v1: 9 users, not 10"


def test_rows_of_others_have_a_table_of_their_own() -> None:
    heads = [
        line.split()[2:]
        for line in lines(row(nodepass=[(1, 1)]), row(nodepass=[(1, 1)], other=[(2, 2)]))
        if "figure" in line
    ]
    assert heads == [["nodepass"], ["nodepass", "other"]]
