"""wrk: running it, and reading what it prints."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.model import BenchError
from bench.processes import Starter
from bench.programs import path_of

if TYPE_CHECKING:
    from bench.stage import Stage

PATIENCE = 30.0
"""Seconds on top of a run for its beginning and its end."""

SIZES = {"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
TIMES = {"us": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}

SUMMARY = re.compile(r"(\d+) requests in ([\d.]+)(us|ms|s|m), ([\d.]+)(B|KB|MB|GB) read")
PERCENTILE = re.compile(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s|m)$", re.MULTILINE)
SOCKET_ERRORS = re.compile(r"Socket errors: (.*)")
BAD_ANSWERS = re.compile(r"Non-2xx or 3xx responses: (\d+)")


@dataclass(frozen=True, slots=True)
class WrkReport:
    """What wrk found.

    Args:
        requests: answered.
        seconds: in which they were.
        size: bytes read.
        p50: median of the time for an answer, in milliseconds.
        p99: which 99 of 100 did not exceed, in milliseconds.
        notes: errors that it counted.
    """

    requests: int
    seconds: float
    size: float
    p50: float
    p99: float
    notes: tuple[str, ...]

    @property
    def per_second(self) -> float:
        """Requests."""
        return self.requests / self.seconds

    @property
    def bytes_per_second(self) -> float:
        """Of headers and bodies."""
        return self.size / self.seconds


def wrk_command(url: str, connections: int, seconds: int, *, close: bool = False) -> tuple[str, ...]:
    """The command that asks for a URL on so many connections, by one thread.

    Args:
        url: what is asked for, again and again.
        connections: at once.
        seconds: how long.
        close: whether each request has a connection of its own.

    Raises:
        BenchError: wrk is missing.
    """
    header = ("-H", "Connection: close") if close else ()
    return (path_of("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "--latency", *header, url)


def run_wrk(stage: Stage, path: str, connections: int, *, close: bool = False) -> WrkReport:
    """Run it through a contender; see `wrk_command`.

    Raises:
        BenchError: it did not end well.
    """
    argv = wrk_command(stage.url(path), connections, stage.seconds, close=close)
    return parse_wrk(Starter(stage.folder).run("wrk", argv, stage.seconds + PATIENCE))


def parse_wrk(text: str) -> WrkReport:
    """Read what wrk printed.

    Raises:
        BenchError: it is not a report, or nothing was answered.
    """
    summary = SUMMARY.search(text)
    if summary is None:
        raise BenchError(f"wrk gave no report: {' '.join(text.split())[:200]}")
    requests, seconds = int(summary[1]), float(summary[2]) * TIMES[summary[3]] / 1e3
    if not requests:
        raise BenchError("wrk got no answers")
    if bad := BAD_ANSWERS.search(text):
        raise BenchError(f"{bad[1]} of {requests} answers were not those of the target")
    times = {match[1]: float(match[2]) * TIMES[match[3]] for match in PERCENTILE.finditer(text)}
    errors = SOCKET_ERRORS.search(text)
    notes = (f"socket errors: {errors[1]}",) if errors else ()
    size = float(summary[4]) * SIZES[summary[5]]
    return WrkReport(requests, seconds, size, times.get("50", 0.0), times.get("99", 0.0), notes)
