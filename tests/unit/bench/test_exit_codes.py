"""What the bench ends with."""

from __future__ import annotations

from bench.__main__ import exit_code
from bench.contenders import Reference
from tests.unit.bench.results_of import row, row_of

OTHERS = {"v1", *Reference().names}


def test_all_measured_is_success_whoever_is_ahead() -> None:
    assert exit_code([row(nodepass=[(1, 1)], v1=[(9, 1)])], OTHERS) == 0


def test_what_others_fail_at_is_no_concern() -> None:
    measured = row(nodepass=[(1, 1)], v1=[], nginx=[])
    measured.failures.update(v1="ended", nginx="ended")
    assert exit_code([measured], OTHERS) == 0


def test_nodepass_fails_under_each_of_its_names() -> None:
    for name in ("nodepass", "workers=2", "workers=1", "with extension", "without"):
        failed = row_of("load/tcp", {"workers=2": [(1, 1)], name: [(1, 1)]})
        failed.failures[name] = "ended"
        assert exit_code([row(nodepass=[(1, 1)]), failed], OTHERS) == 1


def test_a_row_that_was_not_measured_is_no_success() -> None:
    skipped = row(nodepass=[], v1=[(1, 1)])
    assert exit_code([row(nodepass=[(1, 1)]), skipped], OTHERS) == 3
