"""What the contender's processes spend while a load runs: figures that many loads give."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.model import Better, Figure

if TYPE_CHECKING:
    from bench.processes import Meter

GIGA: Final = 1e9
MEGA: Final = 1e6

CPU_PER_GIGABYTE: Final = Figure("CPU", "s/GB", Better.LOWER)
CPU_PER_THOUSAND_REQUESTS: Final = Figure("CPU", "s/1000 requests", Better.LOWER)
CPU_PER_THOUSAND_CONNECTIONS: Final = Figure("CPU", "s/1000 connections", Better.LOWER)
PEAK_MEMORY: Final = Figure("peak memory", "MB", Better.LOWER)


def costs(meter: Meter, figure: Figure, amount: float) -> dict[str, float]:
    """The CPU time of each of so many units, and the peak of memory.

    Args:
        meter: that was entered while the load ran.
        figure: per which unit.
        amount: how many of these units were carried.
    """
    cpu = meter.cpu_seconds / amount if amount else 0.0
    return {figure.name: cpu, PEAK_MEMORY.name: meter.peak_bytes / MEGA}
