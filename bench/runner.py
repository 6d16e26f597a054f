"""Runs rows: starts contenders, alternates between them run by run so that drift meets all alike, goes on past failures.

What a row goes through: what it needs is looked for; every contender is started and must carry a user; bytes are proven to
pass unchanged; then A B C A B C as often as there are runs. A contender that fails is out of this row, and started anew for
the next. Rows that follow each other on one setup share processes, unless their loads need fresh ones.
"""

from __future__ import annotations

import math
import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING

from bench.model import BenchError, Cast, NotOfferedError, Target
from bench.programs import find, missing
from bench.results import RowResult
from bench.stage import READY_SECONDS, Stage
from bench.targets import Targets

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

    from bench.model import Contender, Row, Setup
    from bench.ports import PortMaker

LEAST_PATIENCE = 2.0
"""Seconds that a contender has to come up even where the time is nearly over."""

FAILURES = (BenchError, OSError, subprocess.SubprocessError)
"""What does not end the bench."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured.

    Args:
        runs: of each row.
        fresh_runs: of rows that need fresh processes for each.
        seconds: that a run takes.
        deadline: time (`time.monotonic`) after which nothing more is begun.
    """

    runs: int
    fresh_runs: int
    seconds: int
    deadline: float = math.inf

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() > self.deadline

    @property
    def patience(self) -> float:
        """Seconds that a contender has to come up."""
        return min(READY_SECONDS, max(self.deadline - time.monotonic(), LEAST_PATIENCE))


class Runner:
    """Runs rows.

    Args:
        casts: who takes part, ours first.
        effort: how much is measured.
        folder: for the files of all that runs.
        makes: free ports.
        tell: takes a line that says what is being done.
    """

    def __init__(
        self,
        casts: Mapping[Cast, Sequence[Contender]],
        effort: Effort,
        folder: Path,
        makes: PortMaker,
        tell: Callable[[str], None],
    ) -> None:
        self._casts = casts
        self._effort = effort
        self._folder = folder
        self._makes = makes
        self._tell = tell
        self._stages = 0

    def run(self, rows: Sequence[Row]) -> Generator[RowResult, None, None]:
        """Run them; gives each row's result as soon as it is there."""
        with Targets(self._makes.next(), self._folder) as targets:
            for _, group in groupby(rows, key=_shared):
                alike = list(group)
                with ExitStack() as stack:
                    stages = [self._stage(one, alike[0].setup, targets) for one in self._casts[alike[0].cast]]
                    for stage in stages:
                        stack.callback(stage.stop)
                    for row in alike:
                        yield self._row(row, stages, targets)

    def _stage(self, contender: Contender, setup: Setup, targets: Targets) -> Stage:
        self._stages += 1
        folder = self._folder / f"{self._stages}-{contender.name}"
        folder.mkdir()
        return Stage(contender, setup, self._makes.three(targets.port), targets, folder, self._effort.seconds)

    def _row(self, row: Row, stages: list[Stage], targets: Targets) -> RowResult:
        result = RowResult(row.name, tuple(stage.name for stage in stages), row.load.figures)
        lacking = [missing(program) for program in row.load.programs if find(program) is None]
        if lacking or self._effort.is_over:
            result.skipped = "; ".join(lacking) or "no time was left"
            self._tell(f"{row.name}: {result.skipped}")
            return result
        self._tell(f"{row.name} …")
        result.asked = self._effort.fresh_runs if _starts_each_run(row) else self._effort.runs
        try:
            if _starts_each_run(row):
                self._run_fresh(row, stages, targets, result)
            else:
                self._run_kept(row, stages, targets, result)
        except BenchError as error:
            # A contender's failures are caught where they happen: this is a target's.
            result.skipped = str(error)
        return result

    def _run_kept(self, row: Row, stages: list[Stage], targets: Targets, result: RowResult) -> None:
        """Measure on processes that stay."""
        starting = [stage for stage in stages if not stage.runs]
        fit = [stage for stage in stages if stage.runs]
        for stage in starting:
            # What was left of it after a failure.
            stage.stop()
        spawned = [stage for stage in starting if self._try(stage, result, stage.spawn)]
        if spawned:
            targets.need(Target.ECHO)
        fit += [stage for stage in spawned if self._try(stage, result, partial(self._come_up, stage, result))]
        fit.sort(key=stages.index)
        targets.need(row.load.proof_target)
        fit = [stage for stage in fit if self._try(stage, result, partial(row.load.verify, stage))]
        targets.need(row.load.target)
        for _ in range(result.asked):
            fit = [stage for stage in fit if self._measure(row, stage, result)]
            if self._effort.is_over:
                return

    def _run_fresh(self, row: Row, stages: list[Stage], targets: Targets, result: RowResult) -> None:
        """Measure on processes that are started for each run."""
        targets.need(Target.ECHO)
        fit = stages
        for _ in range(result.asked):
            fit = [stage for stage in fit if self._run_once(row, stage, result)]
            if self._effort.is_over:
                return

    def _run_once(self, row: Row, stage: Stage, result: RowResult) -> bool:
        try:
            if not row.load.starts_itself:
                for step in (stage.spawn, partial(self._come_up, stage, result), partial(row.load.verify, stage)):
                    if not self._try(stage, result, step):
                        return False
            return self._measure(row, stage, result)
        finally:
            stage.stop()

    def _come_up(self, stage: Stage, result: RowResult) -> None:
        """Wait until a contender carries users; if it does not, start it once more, which is noted.

        Raises:
            BenchError: the second start was in vain, too, or there is no time for it.
        """
        try:
            stage.wait_ready(self._effort.patience)
        except BenchError as error:
            if self._effort.is_over:
                raise
            result.notes.setdefault(stage.name, []).append(f"was started twice: {error}")
            stage.stop()
            stage.spawn()
            stage.wait_ready(self._effort.patience)

    def _measure(self, row: Row, stage: Stage, result: RowResult) -> bool:
        return self._try(stage, result, lambda: result.add(stage.name, row.load.measure(stage)))

    def _try(self, stage: Stage, result: RowResult, step: Callable[[], None]) -> bool:
        """Take a step with a contender; False if it failed, which the result then tells, and it is stopped."""
        name = stage.name
        try:
            step()
        except NotOfferedError as error:
            result.absent[name] = str(error)
        except FAILURES as error:
            result.failures[name] = str(error) or type(error).__name__
            self._tell(f"  {name} failed: {result.failures[name]}")
        else:
            return True
        stage.stop()
        return False


def _starts_each_run(row: Row) -> bool:
    return row.load.fresh or row.load.starts_itself


def _shared(row: Row) -> tuple[Setup, Cast, str]:
    """What rows have in common that run on the same processes."""
    return row.setup, row.cast, row.name if _starts_each_run(row) else ""
