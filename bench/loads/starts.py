"""How long it takes until something runs: a process, a tunnel."""

from __future__ import annotations

import statistics
import subprocess
import time
from typing import TYPE_CHECKING

from bench.model import BenchError, Better, Figure, Load, NotOfferedError, Sample
from bench.processes import inherited
from bench.stage import READY_SECONDS
from bench.users import wait_for_echo

if TYPE_CHECKING:
    from bench.stage import Stage

TO_FIRST_BYTE = Figure("first byte after the last process began", "ms", Better.LOWER)
TO_FIRST_BYTE_IN_ALL = Figure("after the first process began", "ms", Better.LOWER)
VERSION = Figure("--version", "ms", Better.LOWER)

THOUSAND = 1000

VERSION_TIMES = 10
PROCESS_SECONDS = 10.0
MOST_QUOTED = 200


class FirstByte(Load):
    """Start everything; the client as soon as the server listens. Until when is the first user answered?"""

    figures = (TO_FIRST_BYTE, TO_FIRST_BYTE_IN_ALL)
    starts_itself = True

    def measure(self, stage: Stage) -> Sample:
        # Certificates are made, and files written, by the bench.
        stage.prepare()
        first = last = time.perf_counter()
        while stage.spawn_next():
            if stage.is_last_next:
                last = time.perf_counter()
        answered = wait_for_echo(stage, READY_SECONDS)
        return Sample(
            {
                TO_FIRST_BYTE.name: (answered - last) * THOUSAND,
                TO_FIRST_BYTE_IN_ALL.name: (answered - first) * THOUSAND,
            }
        )


class Version(Load):
    """The command that prints the version, as often as gives a figure."""

    figures = (VERSION,)
    starts_itself = True

    def measure(self, stage: Stage) -> Sample:
        argv = stage.contender.version()
        if not argv:
            raise NotOfferedError(f"{stage.name} has no --version")
        times = []
        for _ in range(VERSION_TIMES):
            begun = time.perf_counter()
            try:
                ended = subprocess.run(argv, capture_output=True, env=inherited(), timeout=PROCESS_SECONDS, check=False)
            except subprocess.TimeoutExpired:
                raise BenchError(f"did not end within {PROCESS_SECONDS:g} s") from None
            if ended.returncode:
                raise BenchError(f"ended with {ended.returncode}: {ended.stderr[:MOST_QUOTED]!r}")
            times.append(time.perf_counter() - begun)
        return Sample({VERSION.name: statistics.median(times) * THOUSAND})
