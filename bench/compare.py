"""How results differ from older ones. The others' changes are shown beside ours: they tell how much is the machine's.

What else differs, such as the machine, is said first: then a change is not nodepass's alone.
"""

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
    UNKNOWN = "one run: says nothing"
    """There is no spread, then or now."""


ABOUT = ("machine", "system", "congestion control", "python", "OpenSSL of Python", "loop")
"""What of the table's head changes all figures."""

OLDER_BENCH = "the older results are of a bench that measured growth, UDP and first-byte in another way"


def comparison(old: Results, new: Results) -> str:
    """What else has changed, and one line for each figure that both have, or for a row that was not measured now."""
    before = {row.name: row for row in old.rows}
    warnings = "".join(f"careful: {one}\n" for one in differences(old, new))
    cells = [["row", "figure", "before", "now", "change", "", "others' change"]]
    for row in new.rows:
        if earlier := before.get(row.name):
            cells += _lines(earlier, row)
    if len(cells) == 1:
        return f"{warnings}nothing to compare: no figure of the older results was measured again\n"
    return warnings + "\n".join(aligned(cells)) + "\n"


def differences(old: Results, new: Results) -> list[str]:
    """What differs between two benches beside nodepass, as far as both say it."""
    found = [
        _difference(name, old.machine[name], new.machine[name])
        for name in ABOUT
        if name in old.machine and name in new.machine and old.machine[name] != new.machine[name]
    ]
    if old.asked is None or new.asked is None:
        return [*found, OLDER_BENCH] if new.asked else found
    if old.asked.quick != new.asked.quick:
        found.append(_difference("--quick", *("yes" if one.quick else "no" for one in (old.asked, new.asked))))
    if old.asked.seconds != new.asked.seconds:
        found.append(_difference("seconds of a run", old.asked.seconds, new.asked.seconds))
    if old.asked.file_limit != new.asked.file_limit:
        found.append(_difference("open files", old.asked.file_limit, new.asked.file_limit))
    return found


def _difference(name: str, before: object, now: object) -> str:
    return f"{name}: {before} before, {now} now"


def _lines(before: RowResult, now: RowResult) -> list[list[str]]:
    if (reason := unmeasured(now)) and not unmeasured(before):
        return [[now.name, reason, *[""] * 5]]
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


def unmeasured(row: RowResult) -> str:
    """What became of us in a row, where there are no figures; empty if there are."""
    if row.ours in row.failures:
        return "FAILED"
    return "" if row.summary(row.figures[0].name, row.ours) else "not measured"


def verdict(before: RowResult, now: RowResult, figure: Figure) -> Verdict:
    """What came of one of our figures, which both must have."""
    earlier, later = before.summary(figure.name, before.ours), now.summary(figure.name, now.ours)
    if earlier is None or later is None or earlier.runs == 1 or later.runs == 1:
        return Verdict.UNKNOWN
    if earlier.overlaps(later):
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
