"""What was measured, for all who report it; and as JSON, there and back."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
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
    """

    name: str
    contenders: tuple[str, ...]
    figures: tuple[Figure, ...]
    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    notes: dict[str, list[str]] = field(default_factory=dict)
    skipped: str = ""

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
        """The runs of one contender; None if there were none."""
        values = self.values.get(figure, {}).get(contender)
        return Summary.of(values) if values else None


@dataclass(frozen=True, slots=True)
class Results:
    """What a bench gave.

    Args:
        machine: what it ran on, and what took part: name and text.
        rows: in the order in which they ran.
    """

    machine: dict[str, str]
    rows: Sequence[RowResult]

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
            }
            for row in self.rows
        ]
        return json.dumps({"format": FORMAT, "machine": self.machine, "rows": rows}, indent=1) + "\n"

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
            return cls(dict(members["machine"]), [_row(row) for row in members["rows"]])
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
    )
