"""How results differ from older ones. The others' changes are shown beside ours: they tell how much is the machine's."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from bench.statistics import is_behind, ratio
from bench.table import aligned, number_text

if TYPE_CHECKING:
    from bench.model import Figure
    from bench.results import Results, RowResult


class Verdict(StrEnum):
    """What came of a figure."""

    BETTER = "better"
    WORSE = "WORSE"
    OTHER = "other"
    """It is neither good nor bad."""
    SAME = "same"
    """The spreads overlap: it may be chance."""


def comparison(old: Results, new: Results) -> str:
    """One line for each figure that both have."""
    before = {row.name: row for row in old.rows}
    cells = [["row", "figure", "before", "now", "change", "", "others' change"]]
    for row in new.rows:
        if earlier := before.get(row.name):
            cells += _lines(earlier, row)
    if len(cells) == 1:
        return "nothing to compare: no figure of the older results was measured again\n"
    return "\n".join(aligned(cells)) + "\n"


def _lines(before: RowResult, now: RowResult) -> list[list[str]]:
    lines: list[list[str]] = []
    for figure in now.figures:
        earlier, later = before.summary(figure.name, before.ours), now.summary(figure.name, now.ours)
        if earlier is None or later is None:
            continue
        lines.append(
            [
                "" if lines else now.name,
                f"{figure.name}, {figure.unit}",
                number_text(earlier.median),
                number_text(later.median),
                change_text(earlier.median, later.median),
                verdict(before, now, figure),
                ", ".join(_others(before, now, figure)),
            ]
        )
    return lines


def verdict(before: RowResult, now: RowResult, figure: Figure) -> Verdict:
    """What came of one of our figures, which both must have."""
    earlier, later = before.summary(figure.name, before.ours), now.summary(figure.name, now.ours)
    if earlier is None or later is None or earlier.overlaps(later):
        return Verdict.SAME
    if is_behind(later.median, earlier.median, figure.better):
        return Verdict.WORSE
    return Verdict.BETTER if is_behind(earlier.median, later.median, figure.better) else Verdict.OTHER


def change_text(before: float, now: float) -> str:
    """A change in percent."""
    if before == now:
        return "+0.0 %"
    return f"{(ratio(now, before) - 1) * 100:+.1f} %"


def _others(before: RowResult, now: RowResult, figure: Figure) -> list[str]:
    changes = []
    for contender in now.contenders:
        earlier, later = before.summary(figure.name, contender), now.summary(figure.name, contender)
        if contender != now.ours and earlier is not None and later is not None:
            changes.append(f"{contender} {change_text(earlier.median, later.median)}")
    return changes
