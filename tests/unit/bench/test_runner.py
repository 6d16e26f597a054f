"""The runner: in turns, past failures, until the time is up; and processes that end with what started them."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from bench.model import BenchError, Cast, Command, Contender, Figure, Load, NotOfferedError, Ports, Row, Sample, Setup
from bench.ports import PortMaker
from bench.processes import Meter, Process, proportional_bytes
from bench.runner import Effort, Runner

if TYPE_CHECKING:
    from pathlib import Path

    from bench.results import RowResult
    from bench.stage import Stage

RATE = Figure("rate", "1/s")

PARENT = "import subprocess, sys; subprocess.Popen(['sleep', '60']); print('up', flush=True); sys.stdin.read()"


class Fake(Contender):
    """Has no processes."""

    def commands(self, setup: Setup, ports: Ports, folder: Path) -> tuple[Command, ...]:
        return ()

    def version(self) -> tuple[str, ...]:
        return ("true",)


class Turns(Load):
    """Notes whose turn it is; some fail."""

    figures = (RATE,)
    starts_itself = True

    def __init__(self, **errors: Exception) -> None:
        self.turns: list[str] = []
        self._errors = errors

    def measure(self, stage: Stage) -> Sample:
        name = stage.contender.name
        self.turns.append(name)
        if name in self._errors:
            raise self._errors[name]
        return Sample({"rate": float(len(self.turns))})


def run(load: Load, folder: Path, deadline: float = float("inf"), runs: int = 3) -> RowResult:
    casts = {Cast.ALL: (Fake("nodepass"), Fake("a"), Fake("b"))}
    runner = Runner(casts, Effort(runs, runs, 1, deadline), folder, PortMaker(), lambda _: None)
    (result,) = runner.run([Row("row", Setup(), load)])
    return result


def test_contenders_take_turns(tmp_path: Path) -> None:
    load = Turns()
    result = run(load, tmp_path)
    assert load.turns == ["nodepass", "a", "b"] * 3
    assert result.values == {"rate": {"nodepass": [1, 4, 7], "a": [2, 5, 8], "b": [3, 6, 9]}}
    assert (result.failures, result.absent, result.skipped) == ({}, {}, "")


def test_all_runs_that_are_asked_for_are_run(tmp_path: Path) -> None:
    load = Turns()
    result = run(load, tmp_path, runs=12)
    assert len(load.turns) == 36
    assert (result.asked, result.runs) == (12, 12)


@pytest.mark.parametrize("error", [BenchError("broken"), OSError("broken"), TimeoutError("broken")])
def test_who_fails_is_out_and_the_others_go_on(error: Exception, tmp_path: Path) -> None:
    load = Turns(a=error)
    result = run(load, tmp_path)
    assert load.turns == ["nodepass", "a", "b", "nodepass", "b", "nodepass", "b"]
    assert result.failures == {"a": "broken"}
    assert set(result.values["rate"]) == {"nodepass", "b"}


def test_who_has_no_such_thing_has_not_failed(tmp_path: Path) -> None:
    result = run(Turns(b=NotOfferedError("has none")), tmp_path)
    assert result.absent == {"b": "has none"}
    assert result.failures == {}


def test_a_missing_program_skips_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.runner.find", lambda program: None if program == "wrk" else "/there")
    load = Turns()
    load.programs = ("nginx", "wrk")
    result = run(load, tmp_path)
    assert result.skipped == "wrk is missing (apt-get install wrk)"
    assert load.turns == []


def test_nothing_begins_when_the_time_is_up(tmp_path: Path) -> None:
    load = Turns()
    assert run(load, tmp_path, deadline=time.monotonic() - 1).skipped == "no time was left"
    assert load.turns == []


def test_a_process_ends_with_all_that_it_started(tmp_path: Path) -> None:
    with Process("parent", (sys.executable, "-c", PARENT), tmp_path / "log", piped=True) as process:
        assert process.ask("") == "up\n"
        tree = process.tree()
        assert len(tree) == 2
        assert proportional_bytes([process]) > 0
    assert process.has_ended
    psutil.wait_procs(tree, timeout=10)
    assert not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in tree)


def test_what_ended_is_told_with_its_log(tmp_path: Path) -> None:
    with Process(
        "short", (sys.executable, "-c", "print('why it ended'); raise SystemExit(3)"), tmp_path / "log"
    ) as process:
        process.wait(20)
        with pytest.raises(BenchError, match="short ended with 3: why it ended"):
            process.check()


def test_variables_of_nodepass_are_not_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NP_OF_THE_TEST", "of the shell")
    monkeypatch.setenv("OF_THE_TEST", "of the shell")
    script = "import os; print(*(os.environ.get(name) for name in ('NP_OF_THE_TEST', 'OF_THE_TEST', 'NP_OTHER')))"
    argv = (sys.executable, "-c", script)
    with Process("printer", argv, tmp_path / "log", env={"NP_OTHER": "of the bench"}) as process:
        process.wait(20)
        assert process.log_text().split() == ["None", "of", "the", "shell", "of", "the", "bench"]


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="gone cannot be started"):
        Process("gone", ("/nowhere/at/all",), tmp_path / "log")


def test_a_meter_counts_the_work_that_is_done_meanwhile(tmp_path: Path) -> None:
    work = "import sys\nfor line in sys.stdin:\n    sum(range(10_000_000)); print('done', flush=True)"
    with Process("worker", (sys.executable, "-c", work), tmp_path / "log", piped=True) as process:
        process.ask("before")
        with Meter([process]) as idle:
            pass
        with Meter([process]) as busy:
            process.ask("meanwhile")
        assert idle.cpu_seconds < busy.cpu_seconds
        assert busy.peak_bytes > 0
