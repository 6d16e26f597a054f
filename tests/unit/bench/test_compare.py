"""What changed since older results, and how they are kept."""

from __future__ import annotations

import pytest

from bench.compare import Verdict, change_text, comparison, verdict
from bench.model import BenchError
from bench.results import Results
from tests.unit.bench.results_of import RATE, TIME, row


def test_results_come_back_from_json() -> None:
    measured = row(nodepass=[(100, 4), (200, 5)], v1=[(50, 20)])
    measured.failures["v1"] = "ended"
    measured.absent["frp"] = "has no such thing"
    measured.notes["nodepass"] = ["one failed"]
    skipped = row("other/tcp", nodepass=[])
    skipped.skipped = "no time was left"
    results = Results({"machine": "of the test"}, [measured, skipped])
    again = Results.from_json(results.to_json())
    assert again.machine == results.machine
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
    before = Results({}, [row(nodepass=[(100, 10)], haproxy=[(200, 5)]), row("gone/tcp", nodepass=[(1, 1)])])
    now = Results({}, [row("new/tcp", nodepass=[(1, 1)]), row(nodepass=[(150, 10)], haproxy=[(220, 5)])])
    found = comparison(before, now).splitlines()
    assert len(found) == 3
    assert found[1].split() == ["load/tcp", "rate,", "1/s", "100", "150", "+50.0", "%", "better", "haproxy", "+10.0", "%"]
    assert found[2].split() == ["time,", "ms", "10.0", "10.0", "+0.0", "%", "same", "haproxy", "+0.0", "%"]


def test_nothing_in_common_is_said() -> None:
    assert comparison(Results({}, []), Results({}, [row(nodepass=[(1, 1)])])).startswith("nothing to compare")
