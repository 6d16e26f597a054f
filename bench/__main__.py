"""`python -m bench`: see `bench.arguments`, or `--help`.

Exit codes: 0 when nodepass was measured in every row that was asked for, whoever is ahead, and whether others were or not;
1 when it failed in a row, or a file could not be read or written; 2 for wrong arguments; 3 when it failed nowhere, but a
row was not measured, because a program is missing or no time was left; 130 after Ctrl-C, with the table of what was
measured until then.
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from bench import files, plot
from bench.arguments import parse_arguments
from bench.compare import comparison
from bench.contenders import Gated, Reference, Spread, this_nodepass
from bench.interrupts import INTERRUPTS
from bench.machine import facts
from bench.model import BenchError, Cast
from bench.ports import PortMaker
from bench.processes import stop_all
from bench.results import Asked, Results
from bench.rows import all_rows, chosen
from bench.runner import Effort, Runner
from bench.table import table

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from bench.arguments import Options
    from bench.model import Row
    from bench.results import RowResult

QUICK_SECONDS = 165.0
"""After which nothing more is begun, so that the whole is done in three minutes."""

FEW_CONTENDERS = 2

EXIT_FAILED = 1
EXIT_INCOMPLETE = 3
EXIT_INTERRUPTED = 130


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for; gives the exit code."""
    options = parse_arguments(arguments)
    makes = PortMaker()
    rows = chosen(all_rows(makes), options.only, quick=options.quick)
    if options.names_only:
        print("\n".join(row.name for row in rows))
        return 0
    if not rows:
        print("no row has such a name; --list prints them", file=sys.stderr)
        return EXIT_FAILED
    try:
        if options.json:
            files.try_out(options.json)
        if options.plot:
            plot.require()
            for path in (options.plot, plot.growth_path(options.plot)):
                files.try_out(path)
        old = Results.from_json(options.compare.read_text(encoding="utf-8")) if options.compare else None
        results, interrupted = _run(options, rows, makes)
        print(table(results), end="", flush=True)
        if old is not None:
            print(f"\nsince {options.compare}:\n\n{comparison(old, results)}", end="", flush=True)
        _report(options, results)
    except (BenchError, OSError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return EXIT_FAILED
    if interrupted:
        return EXIT_INTERRUPTED
    return exit_code(results.rows, {name for one in (Reference(), *options.peers) for name in one.names})


def exit_code(rows: Sequence[RowResult], others: Collection[str]) -> int:
    """What a bench that was not interrupted ends with.

    Args:
        rows: what they gave.
        others: the names of those who are not nodepass.
    """
    if any(name not in others for row in rows for name in row.failures):
        return EXIT_FAILED
    return 0 if all(row.summary(row.figures[0].name, row.ours) for row in rows) else EXIT_INCOMPLETE


def _run(options: Options, rows: list[Row], makes: PortMaker) -> tuple[Results, bool]:
    """Run the rows.

    Returns:
        What was measured, and whether somebody ended it early.
    """
    ours = this_nodepass()
    contenders = (ours, Reference(), *options.peers)
    extension = (Gated("with extension", ours, makes, strips=False), Gated("without", ours, makes, strips=True))
    workers = (Spread("workers=2", ours, 2), Spread("workers=1", ours, 1))
    casts = {Cast.ALL: contenders, Cast.EXTENSION: extension, Cast.WORKERS: workers}
    # Not at the end: files may be edited while it runs.
    about = facts(contenders)
    file_limit = _raise_file_limit()
    INTERRUPTS.take()
    effort = _effort(options, len(contenders))
    done: list[RowResult] = []
    asked = Asked(effort.runs, effort.fresh_runs, effort.seconds, options.quick, file_limit)
    results = Results(about, done, asked)
    interrupted = False
    with tempfile.TemporaryDirectory(prefix="nodepass-bench-") as folder:
        runner = Runner(casts, effort, Path(folder), makes, _tell)
        try:
            with closing(runner.run(rows)) as running:
                for row in running:
                    done.append(row)
                    _keep(options, results)
        except KeyboardInterrupt:
            interrupted = True
            stop_all()
            _tell("interrupted: what follows is what was measured until now")
    return results, interrupted


def _effort(options: Options, contenders: int) -> Effort:
    if not options.quick:
        runs = options.runs or 3
        return Effort(runs, runs, seconds=2)
    runs = options.runs or (3 if contenders <= FEW_CONTENDERS else 2)
    return Effort(runs, options.runs or 1, seconds=1, deadline=time.monotonic() + QUICK_SECONDS)


def _raise_file_limit() -> int:
    """As `ulimit -n` with the most that is allowed, for all alike: many users need many open files. Gives the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _keep(options: Options, results: Results) -> None:
    """Write what there is, so that nothing is lost whatever happens next. Where that fails, the end of the bench tells."""
    if options.json:
        with suppress(OSError):
            files.write(options.json, results.to_json())


def _report(options: Options, results: Results) -> None:
    if options.json:
        files.write(options.json, results.to_json())
    if options.plot:
        for path in plot.draw(results, options.plot):
            _tell(f"drawn: {path}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
