"""What changed since older results, and how they are kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.compare import OLDER_BENCH, Verdict, change_text, comparison, differences, verdict
from bench.loads.instances import Instances
from bench.model import BenchError, Sample
from bench.results import Asked, Results, RowResult
from tests.unit.bench.results_of import RATE, TIME, row, row_of


def test_results_come_back_from_json() -> None:
    measured = row(nodepass=[(100, 4), (200, 5)], v1=[(50, 20)])
    measured.failures["v1"] = "ended"
    measured.absent["frp"] = "has no such thing"
    measured.notes["nodepass"] = ["one failed"]
    skipped = row("other/tcp", nodepass=[])
    skipped.skipped = "no time was left"
    measured.asked = 3
    results = Results({"machine": "of the test"}, [measured, skipped], Asked(3, 1, 2, quick=True, file_limit=1024))
    again = Results.from_json(results.to_json())
    assert (again.machine, again.asked) == (results.machine, results.asked)
    assert again.rows[0] == measured
    assert again.rows[1].skipped == "no time was left"
    assert again.to_json() == results.to_json()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1, "machine": {}, "rows": [{}]}', '{"format": 0}'])
def test_other_files_are_refused(text: str) -> None:
    with pytest.raises(BenchError):
        Results.from_json(text)


def test_a_change_counts_when_the_spreads_are_apart() -> None:
    before = row(nodepass=[(100, 10), (110, 11)])
    assert verdict(before, row(nodepass=[(120, 9), (130, 8)]), RATE) is Verdict.BETTER
    assert verdict(before, row(nodepass=[(120, 9), (130, 8)]), TIME) is Verdict.BETTER
    assert verdict(before, row(nodepass=[(90, 12), (95, 13)]), RATE) is Verdict.WORSE
    assert verdict(before, row(nodepass=[(90, 12), (95, 13)]), TIME) is Verdict.WORSE
    assert verdict(before, row(nodepass=[(110, 10), (500, 1)]), RATE) is Verdict.SAME


@pytest.mark.parametrize(("before", "now", "text"), [(100, 150, "+50.0 %"), (100, 75, "-25.0 %"), (0, 0, "+0.0 %")])
def test_changes_are_in_percent(before: float, now: float, text: str) -> None:
    assert change_text(before, now) == text


def test_the_others_are_shown_beside_ours() -> None:
    before = Results({}, [row(nodepass=[(100, 10)] * 2, haproxy=[(200, 5)]), row("gone/tcp", nodepass=[(1, 1)])])
    now = Results({}, [row("new/tcp", nodepass=[(1, 1)]), row(nodepass=[(150, 10)] * 2, haproxy=[(220, 5)])])
    found = comparison(before, now).splitlines()
    assert len(found) == 3
    assert found[1].split() == ["load/tcp", "rate,", "1/s", "100", "150", "+50.0", "%", "better", "haproxy", "+10.0", "%"]
    assert found[2].split() == ["time,", "ms", "10.0", "10.0", "+0.0", "%", "same", "haproxy", "+0.0", "%"]


OLDER = """{
 "format": 1,
 "machine": {"when": "2026-11-23T00:00:00+00:00", "machine": "2 processors", "nodepass": "nodepass 0.1.0"},
 "rows": [
  {"name": "instances-1", "contenders": ["nodepass", "haproxy"], "figures": [
    {"name": "start of all", "unit": "s", "better": "lower", "values": {"nodepass": [0.4, 0.5]}},
    {"name": "memory of each", "unit": "MB", "better": "lower", "values": {"nodepass": [40.0, 40.0]}}],
   "failures": {}, "absent": {"haproxy": "haproxy has no master"}, "notes": {}, "skipped": ""},
  {"name": "bulk-down-1/tcp", "contenders": ["nodepass"], "figures": [
    {"name": "throughput", "unit": "MB/s", "better": "higher", "values": {"nodepass": [100.0]}}],
   "failures": {}, "absent": {}, "notes": {}, "skipped": ""}]}"""
"""As it was written before instances were given users, and the head of the table had a commit."""


def test_files_of_before_rows_had_more_figures_can_be_compared() -> None:
    now = RowResult("instances-1", ("nodepass", "haproxy"), Instances.figures)
    for _ in range(2):
        now.add("nodepass", Sample({figure.name: 20 for figure in Instances.figures}))
    found = comparison(Results.from_json(OLDER), Results({}, [now])).splitlines()
    assert [line.split()[-5:] for line in found[1:]] == [
        ["0.45", "20.0", "+4344.4", "%", "WORSE"],
        ["40.0", "20.0", "-50.0", "%", "better"],
    ]


def test_one_run_says_nothing() -> None:
    one, two = row(nodepass=[(100, 10)]), row(nodepass=[(200, 5), (300, 5)])
    assert verdict(one, two, RATE) is verdict(two, one, RATE) is verdict(one, one, TIME) is Verdict.UNKNOWN


def test_a_row_that_failed_now_is_said() -> None:
    before, failed, skipped = (row(nodepass=[(100, 10)] * 2) for _ in range(3))
    failed.failures["nodepass"] = "ended with 1"
    skipped.values.clear()
    for now, reason in ((failed, "FAILED"), (skipped, "not measured")):
        assert comparison(Results({}, [before]), Results({}, [now])).splitlines()[1] == f"load/tcp  {reason}"
    # It is no news.
    assert comparison(Results({}, [failed]), Results({}, [failed])).startswith("nothing to compare")


def test_columns_of_nodepass_may_have_other_names() -> None:
    before, now = row(nodepass=[(100, 10)] * 2), row_of("load/tcp", {"workers=2": [(200, 10)] * 2})
    assert verdict(before, now, RATE) is Verdict.BETTER


def test_what_else_differs_is_said_first() -> None:
    asked = Asked(3, 3, 2, quick=False, file_limit=1024)
    old = Results({"congestion control": "bbr", "machine": "2 processors", "when": "then"}, [], asked)
    new = Results({"congestion control": "reno", "machine": "2 processors", "when": "now"}, [], asked)
    assert differences(old, old) == []
    assert differences(old, new) == ["congestion control: bbr before, reno now"]
    assert differences(old, replace(old, asked=replace(asked, quick=True))) == ["--quick: no before, yes now"]
    assert differences(old, replace(old, asked=replace(asked, seconds=1, file_limit=9))) == [
        *("seconds of a run: 2 before, 1 now", "open files: 1024 before, 9 now")
    ]
    assert differences(Results({}, []), new) == [OLDER_BENCH]
    assert comparison(old, new).startswith("careful: congestion control: bbr before, reno now\n")


def test_nothing_in_common_is_said() -> None:
    assert comparison(Results({}, []), Results({}, [row(nodepass=[(1, 1)])])).startswith("nothing to compare")
