"""As much as goes through, driven by iperf3; where users speak TLS, by wrk, which downloads files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bench.loads.costs import CPU_PER_GIGABYTE, GIGA, MEGA, PEAK_MEMORY, costs
from bench.loads.wrk import run_wrk
from bench.model import HOST, BenchError, Figure, Load, Sample, Target
from bench.ports import wait_listening
from bench.processes import Meter, Starter
from bench.programs import path_of
from bench.targets import FILE_PATH
from bench.users import prove_download, prove_echo

if TYPE_CHECKING:
    from bench.stage import Stage

THROUGHPUT = Figure("throughput", "MB/s")

START_SECONDS = 10.0
PATIENCE = 30.0
"""Seconds on top of a run for its beginning and its end."""


class Bulk(Load):
    """iperf3 through the contender; what counts is what its receiver has received.

    Args:
        streams: at once.
        up: from the user to the target, in place of the other direction.
    """

    figures = (THROUGHPUT, CPU_PER_GIGABYTE, PEAK_MEMORY)
    programs = ("iperf3",)
    target = Target.OWN

    def __init__(self, streams: int, *, up: bool = False) -> None:
        self._streams = streams
        self._up = up

    def verify(self, stage: Stage) -> None:
        prove_echo(stage)

    def measure(self, stage: Stage) -> Sample:
        iperf3, ports = path_of("iperf3"), stage.ports
        serve = (iperf3, "-s", "-1", "-B", HOST, "-p", str(ports.target))
        ask = [iperf3, "-c", HOST, "-p", str(ports.users), "-t", str(stage.seconds), "-P", str(self._streams), "-J"]
        if not self._up:
            ask.append("-R")
        starter = Starter(stage.folder)
        with starter.start("iperf3-target", serve) as server:
            wait_listening({ports.target}, START_SECONDS, server.check)
            with Meter(stage.processes) as meter:
                report = starter.run("iperf3-user", ask, stage.seconds + PATIENCE)
        size, seconds = received(report)
        return Sample({THROUGHPUT.name: size / seconds / MEGA, **costs(meter, CPU_PER_GIGABYTE, size / GIGA)})


def received(report: str) -> tuple[int, float]:
    """What the receiver has received, of iperf3's report in JSON.

    Returns:
        Bytes and seconds.

    Raises:
        BenchError: it tells of an error.
    """
    try:
        members = json.loads(report)
        if "error" in members:
            raise BenchError(f"iperf3: {members['error']}")
        total = members["end"]["sum_received"]
        return int(total["bytes"]), float(total["seconds"])
    except (ValueError, KeyError) as error:
        raise BenchError(f"iperf3 gave no report: {error}") from None


class Downloads(Load):
    """Users who download a file again and again.

    Args:
        users: at once.
    """

    figures = (THROUGHPUT, CPU_PER_GIGABYTE, PEAK_MEMORY)
    programs = ("wrk", "nginx")
    target = Target.NGINX
    proof_target = Target.NGINX

    def __init__(self, users: int) -> None:
        self._users = users

    def verify(self, stage: Stage) -> None:
        prove_download(stage, FILE_PATH, stage.targets.digest)

    def measure(self, stage: Stage) -> Sample:
        with Meter(stage.processes) as meter:
            report = run_wrk(stage, FILE_PATH, self._users)
        values = {THROUGHPUT.name: report.bytes_per_second / MEGA, **costs(meter, CPU_PER_GIGABYTE, report.size / GIGA)}
        return Sample(values, report.notes)
