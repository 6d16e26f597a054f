"""Small requests on connections that stay: many at once by wrk, one at a time by ourselves, and beside a bulk stream."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.loads.costs import CPU_PER_THOUSAND_REQUESTS, MEGA, PEAK_MEMORY, costs
from bench.loads.wrk import PATIENCE, parse_wrk, run_wrk, wrk_command
from bench.model import BenchError, Better, Figure, Load, Sample, Target
from bench.processes import Meter, Starter
from bench.statistics import percentile
from bench.targets import FILE_PATH, SMALL_BODY, SMALL_PATH
from bench.users import READ_SIZE, prove_download, request

if TYPE_CHECKING:
    from bench.stage import Stage

RATE = Figure("requests", "1/s")
MEDIAN = Figure("p50", "us", Better.LOWER)
SLOW = Figure("p99", "us", Better.LOWER)
SLOW_AT_MANY = Figure("p99", "ms", Better.LOWER)
BULK = Figure("bulk beside", "MB/s")

THOUSAND = 1000

SETTLE_SECONDS = 0.3
"""Until a bulk stream that has just been started takes all it can get."""


class Requests(Load):
    """wrk asks for something small again and again, on this many connections."""

    figures = (RATE, SLOW_AT_MANY, CPU_PER_THOUSAND_REQUESTS, PEAK_MEMORY)
    programs = ("wrk", "nginx")
    target = Target.NGINX
    proof_target = Target.NGINX

    def __init__(self, connections: int) -> None:
        self._connections = connections

    def verify(self, stage: Stage) -> None:
        prove_download(stage, FILE_PATH, stage.targets.digest)

    def measure(self, stage: Stage) -> Sample:
        with Meter(stage.processes) as meter:
            report = run_wrk(stage, SMALL_PATH, self._connections)
        cost = costs(meter, CPU_PER_THOUSAND_REQUESTS, report.requests / THOUSAND)
        return Sample({RATE.name: report.per_second, SLOW_AT_MANY.name: report.p99, **cost}, report.notes)


class OneConnection(Load):
    """One user asks for something small, waits for the answer, and asks again."""

    figures = (MEDIAN, SLOW, CPU_PER_THOUSAND_REQUESTS)
    programs = ("nginx",)
    target = Target.NGINX
    proof_target = Target.NGINX

    def verify(self, stage: Stage) -> None:
        prove_download(stage, FILE_PATH, stage.targets.digest)

    def measure(self, stage: Stage) -> Sample:
        with Meter(stage.processes) as meter:
            times = answer_times(stage)
        cost = costs(meter, CPU_PER_THOUSAND_REQUESTS, len(times) / THOUSAND)
        return Sample({MEDIAN.name: percentile(times, 50) * MEGA, SLOW.name: percentile(times, 99) * MEGA, **cost})


class BesideBulk(Load):
    """The same user, while another one downloads files through the same tunnel as fast as they come."""

    figures = (SLOW_AT_MANY, BULK)
    programs = ("wrk", "nginx")
    target = Target.NGINX
    proof_target = Target.NGINX

    def verify(self, stage: Stage) -> None:
        prove_download(stage, FILE_PATH, stage.targets.digest)

    def measure(self, stage: Stage) -> Sample:
        argv = wrk_command(stage.url(FILE_PATH), 1, stage.seconds + 1)
        with Starter(stage.folder).start("wrk", argv) as wrk:
            time.sleep(SETTLE_SECONDS)
            times = answer_times(stage)
            wrk.check()
            wrk.wait(stage.seconds + PATIENCE)
            bulk = parse_wrk(wrk.log_text())
        values = {SLOW_AT_MANY.name: percentile(times, 99) * THOUSAND, BULK.name: bulk.bytes_per_second / MEGA}
        return Sample(values, bulk.notes)


def answer_times(stage: Stage) -> list[float]:
    """Ask on one connection for as long as a run takes.

    Returns:
        The times for an answer in seconds, sorted.

    Raises:
        BenchError: an answer is not the target's.
    """
    ask, body = request(SMALL_PATH), SMALL_BODY.encode("ascii")
    times = []
    with stage.connect() as sock:
        sock.sendall(ask)
        # All answers are as long as the first, which comes in one piece or is not small.
        size = len(sock.recv(READ_SIZE))
        end = time.perf_counter() + stage.seconds
        while (begun := time.perf_counter()) < end:
            sock.sendall(ask)
            answer = sock.recv(READ_SIZE)
            while len(answer) < size and (part := sock.recv(READ_SIZE)):
                answer += part
            times.append(time.perf_counter() - begun)
            if len(answer) != size or not answer.endswith(body):
                raise BenchError(f"an answer is not the target's: {answer[-100:]!r}")
    return sorted(times)
