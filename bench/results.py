"""What was measured, for all who report it; and as JSON, there and back."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from bench.model import BenchError, Better, Figure
from bench.statistics import Summary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.model import Sample

FORMAT = 1


@dataclass(slots=True)
class RowResult:
    """What one row gave.

    Args:
        name: of the row.
        contenders: that took part, at least one, ours first.
        figures: that the row has.
        values: by the figure's name, then the contender's: one of each run.
        failures: by the contender's name: why there is nothing, or not all of it.
        absent: by the contender's name: why it cannot take part.
        notes: by the contender's name: what the reader should know.
        skipped: why nobody was measured; empty if somebody was.
        asked: how many runs it should have had; 0 if that is not known.
    """

    name: str
    contenders: tuple[str, ...]
    figures: tuple[Figure, ...]
    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    skipped: str = ""
    asked: int = 0

    @property
    def ours(self) -> str:
        """The contender that the others are compared with."""
        return self.contenders[0]

    def add(self, contender: str, sample: Sample) -> None:
        """Take the sample of one run."""
        for figure in self.figures:
            self.values.setdefault(figure.name, {}).setdefault(contender, []).append(sample.values[figure.name])
        if sample.notes:
            self.notes.setdefault(contender, []).extend(sample.notes)

    def summary(self, figure: str, contender: str) -> Summary | None:
        """The runs of one contender; None if there were none, or one of them failed."""
        values = self.values.get(figure, {}).get(contender)
        return Summary.of(values) if values and contender not in self.failures else None

    @property
    def runs(self) -> int:
        """How many there were of the contender that had the most."""
        return max((len(values) for figure in self.values.values() for values in figure.values()), default=0)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the figures depend on beside the machine.

    Args:
        runs: of each row.
        fresh_runs: of rows that need new processes for each run.
        seconds: that a run takes, where the load does not need longer.
        quick: whether it was to be done in three minutes.
        file_limit: how many files a process may have open.
    """

    runs: int
    fresh_runs: int
    seconds: int
    quick: bool
    file_limit: int


@dataclass(frozen=True, slots=True)
class Results:
    """What a bench gave.

    Args:
        machine: what it ran on, and what took part: name and text.
        rows: in the order in which they ran.
        asked: how much was to be measured; None if that is not known, as of older files.
    """

    machine: dict[str, str]
    rows: Sequence[RowResult]
    asked: Asked | None = None

    def to_json(self) -> str:
        """Write them; `from_json` reads it."""
        rows = [
            {
                "name": row.name,
                "contenders": row.contenders,
                "figures": [
                    {
                        "name": figure.name,
                        "unit": figure.unit,
                        "better": figure.better.value,
                        "values": row.values.get(figure.name, {}),
                    }
                    for figure in row.figures
                ],
                "failures": row.failures,
                "absent": row.absent,
                "notes": row.notes,
                "skipped": row.skipped,
                "runs asked": row.asked,
            }
            for row in self.rows
        ]
        asked = asdict(self.asked) if self.asked else None
        return json.dumps({"format": FORMAT, "machine": self.machine, "asked": asked, "rows": rows}, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Results:
        """Read what `to_json` wrote.

        Raises:
            BenchError: it is something else.
        """
        try:
            members = json.loads(text)
            if members["format"] != FORMAT:
                raise BenchError(f"results of format {members['format']}, not {FORMAT}")
            asked = Asked(**members["asked"]) if members.get("asked") else None
            return cls(dict(members["machine"]), [_row(row) for row in members["rows"]], asked)
        except (ValueError, KeyError, TypeError) as error:
            raise BenchError(f"not the results of a bench: {error!r}") from None


def _row(members: dict[str, Any]) -> RowResult:
    figures = members["figures"]
    return RowResult(
        members["name"],
        tuple(members["contenders"]),
        tuple(Figure(figure["name"], figure["unit"], Better(figure["better"])) for figure in figures),
        {figure["name"]: dict(figure["values"]) for figure in figures},
        dict(members["failures"]),
        dict(members["absent"]),
        dict(members["notes"]),
        members["skipped"],
        members.get("runs asked", 0),
    )
