"""What was done and what came of it, kept over all test processes in one file, and shown as one table."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

FILE: Final = "NODEPASS_ADVERSITY_TABLE"
"""The environment variable that names the file; without it nothing is kept."""

LINE: Final = "{:<44} {:>5} {:>9} {:>8} {:>10} {:>7} {:>7} {:>5} {:>5} {:>7} {:>7}"

LONG: Final = "NODEPASS_ADVERSITY"


def is_long() -> bool:
    """Whether everything is to run."""
    return os.environ.get(LONG) == "long"


@dataclass(frozen=True)
class Row:
    """One fault, injected once.

    Args:
        fault: which.
        recovered: seconds from its end until users were served again; below nothing where they were not.
        verified: bytes compared.
        served: connections that were served whole.
        broken: connections that broke, and were told.
        twice: connections whose beginning a target heard twice.
        lost: connections that ended early as if properly, at a user or a target: what they carried was lost without a word.
        memory: bytes for each connection at the end that took more; 0 where it was not measured.
        grown: bytes by which the end that grew more did so while nothing changed; 0 where it was not measured.
    """

    fault: str
    recovered: float
    verified: int
    served: int
    broken: int
    twice: int = 0
    lost: int = 0
    memory: int = 0
    grown: int = 0


def keep(row: Row) -> None:
    """Add a row to the file."""
    if name := os.environ.get(FILE):
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(row)) + "\n")


def read(path: Path) -> list[Row]:
    """All rows of a file."""
    return [Row(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]


def lines(rows: Iterable[Row]) -> list[str]:
    """The table: one line for each fault."""
    by_fault = defaultdict(list)
    for row in rows:
        by_fault[row.fault].append(row)
    head = ("fault", "times", "recovered", "longest", "verified", "served", "broken", "twice", "lost", "memory", "grown")
    shown = [LINE.format(*head)]
    for fault, them in sorted(by_fault.items()):
        back = [row.recovered for row in them if row.recovered >= 0]
        longest = f"{max(back):.2f} s" if back else "-"
        verified = f"{sum(row.verified for row in them) / 1e6:.1f} MB"
        sums = [sum(getattr(row, name) for row in them) for name in ("served", "broken", "twice", "lost")]
        most = max(row.memory for row in them)
        memory = f"{most / 1000:.1f} kB" if most else "-"
        grew = max(row.grown for row in them)
        grown = f"{grew / 1e6:.1f} MB" if grew else "-"
        shown.append(LINE.format(fault, len(them), len(back), longest, verified, *sums, memory, grown))
    return shown
