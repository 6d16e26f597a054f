"""What is wrong with a file of tunnels: where, and what would be right."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from nodepass.fleet.watch import look_at

if TYPE_CHECKING:
    from pathlib import Path

    from nodepass.fleet.watch import Look


class Severity(StrEnum):
    """What comes of a problem."""

    ERROR = "error"
    """The file is refused."""
    WARNING = "warning"
    """It is used all the same."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. Neither part of it shows a secret.

    Args:
        severity: what comes of it.
        file: the file's path, as it was given.
        table: the table's name, as `tunnels.web`; empty at the top.
        key: in the table; empty for the table itself.
        text: what is wrong, or what would be right.
    """

    severity: Severity
    file: str
    table: str
    key: str
    text: str

    def __str__(self) -> str:
        table = f"[{self.table}] " if self.table else ""
        key = f"{self.key}: " if self.key else ""
        return f"{self.file}: {table}{key}{self.text}"

    def members(self) -> dict[str, str]:
        """As JSON has it."""
        return {
            "severity": self.severity,
            "file": self.file,
            "table": self.table,
            "key": self.key,
            "problem": self.text,
        }


@dataclass(slots=True)
class Report:
    """All problems of one file, in the order in which they were found."""

    file: str
    problems: list[Problem] = field(default_factory=list)
    seen: Look = field(default_factory=dict)
    """What was read, or should have been, as it was just before: when one of them changes, it is worth another reading."""

    @property
    def is_good(self) -> bool:
        """Whether the file can be used."""
        return not any(problem.severity is Severity.ERROR for problem in self.problems)

    def about_to_read(self, path: Path) -> None:
        """A file is read next: what it is now is remembered, so that no change is missed however soon it comes."""
        self.seen.update(look_at((path,)))

    def wrong(self, table: str, key: str, text: str) -> None:
        """Add an error."""
        self.problems.append(Problem(Severity.ERROR, self.file, table, key, text))

    def warn(self, table: str, key: str, text: str) -> None:
        """Add a warning."""
        self.problems.append(Problem(Severity.WARNING, self.file, table, key, text))


@dataclass(frozen=True, slots=True)
class Table:
    """Where the problems of one table go.

    Args:
        report: of the file.
        name: of the table, as problems show it.
        folder: which the table's paths are relative to.
    """

    report: Report
    name: str
    folder: Path

    def wrong(self, key: str, text: str) -> None:
        """Add an error about a key."""
        self.report.wrong(self.name, key, text)

    def warn(self, key: str, text: str) -> None:
        """Add a warning about a key."""
        self.report.warn(self.name, key, text)
