"""`python -m tests.fuzz [TARGET or group …] --seconds N`: fuzz them, each in a process of its own, and give a verdict.

It begins with the committed inputs, and keeps what else it finds worth keeping to itself. Only an input that fails is put
into the corpus, for the tests to fail with until that is mended.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fuzz.corpus import folder_of
from tests.fuzz.targets import GROUPS, TARGETS

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[2]

MISSING = "atheris is not installed: pip install -e '.[fuzz]' (it is built for Linux and macOS)"

ONE_INPUT = 10
"""Seconds that reading one input may take: none takes a hundredth of that."""

MEMORY = 2048
"""MB that a process may come to."""

PATIENCE = 60
"""Seconds on top for a process to start and to read the corpus."""


@dataclass(frozen=True)
class Outcome:
    """What came of one target."""

    target: str
    executions: int
    coverage: int
    """Edges of the instrumented code that some input has taken."""
    inputs: int
    """That were worth keeping, the committed ones included."""
    failed: tuple[Path, ...]
    output: str
    """Of a fuzzer that failed."""


def fuzz(target: str, seconds: int) -> Outcome:
    """Fuzz one target."""
    seeds = folder_of(target)
    with tempfile.TemporaryDirectory(prefix="nodepass-fuzz-") as own, tempfile.TemporaryDirectory() as failures:
        options = (
            *(f"-max_total_time={seconds}", f"-max_len={TARGETS[target].longest}", f"-timeout={ONE_INPUT}"),
            *(f"-rss_limit_mb={MEMORY}", f"-artifact_prefix={failures}/", "-print_final_stats=1"),
        )
        process = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.one", target, *options, own, str(seeds)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds + PATIENCE,
            check=False,
        )
        output = (process.stdout + process.stderr).decode("utf-8", "replace")
        failed = tuple(_keep(path, seeds) for path in sorted(Path(failures).iterdir()))
    return Outcome(
        target,
        # The first is missing after a failure.
        executions=_last(r"number_of_executed_units:\s*(\d+)", output) or _last(r"^#(\d+)", output),
        coverage=_last(r"cov: (\d+)", output),
        inputs=_last(r"corp: (\d+)", output),
        failed=failed,
        output=output if process.returncode or failed else "",
    )


def _last(pattern: str, output: str) -> int:
    """The last figure that libFuzzer has told of something."""
    found = re.findall(pattern, output, re.MULTILINE)
    return int(found[-1]) if found else 0


def _keep(path: Path, seeds: Path) -> Path:
    """Put an input that failed into the corpus."""
    kept = seeds / path.name[:20]
    kept.write_bytes(path.read_bytes())
    return kept


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz what the arguments ask for; gives the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    names = [*GROUPS, *TARGETS]
    parser.add_argument("which", nargs="*", metavar="TARGET", help=f"of {', '.join(names)} (default: all)")
    parser.add_argument("--seconds", type=int, default=60, help="for each target (default: 60)")
    parser.add_argument("-n", type=int, default=2, metavar="N", help="targets at a time (default: 2)")
    asked = parser.parse_args(arguments)
    if unknown := sorted(set(asked.which) - set(names)):
        parser.error(f"no target or group {', '.join(unknown)}; there are {', '.join(names)}")
    if importlib.util.find_spec("atheris") is None:
        print(MISSING, file=sys.stderr)
        return 2
    chosen = [
        target.name
        for group, targets in GROUPS.items()
        for target in targets
        if not asked.which or {group, target.name} & set(asked.which)
    ]
    with ThreadPoolExecutor(asked.n) as pool:
        outcomes = []
        for outcome in pool.map(lambda target: fuzz(target, asked.seconds), chosen):
            outcomes.append(outcome)
            print(_line(outcome), flush=True)
    failed = [outcome for outcome in outcomes if outcome.output]
    for outcome in failed:
        print(f"\n--- {outcome.target}", outcome.output[-4000:], *outcome.failed, sep="\n")
    total = sum(outcome.executions for outcome in outcomes)
    print(f"{len(outcomes)} targets, {total:,} executions:", f"{len(failed)} FAILED" if failed else "nothing failed")
    return bool(failed)


def _line(outcome: Outcome) -> str:
    verdict = "FAILED" if outcome.output else "ok"
    return (
        f"{outcome.target:24} {outcome.executions:>12,} executions {outcome.coverage:>6} edges"
        f" {outcome.inputs:>5} inputs  {verdict}"
    )


if __name__ == "__main__":
    sys.exit(main())
