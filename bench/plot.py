"""Results as pictures.

Bars say for the main figure of each row how many times as good ours is, and a thin line at each, from where to where: our
worst run by their best, and our best by their worst. Who failed is named in place of a bar. Lines say how things grow
(`bench.growth`); they have a picture of their own, since there may be a hundred bars.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from bench.growth import draw_lines, panels, round_numbers
from bench.model import BenchError, Better
from bench.table import asked_lines, number_text

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from bench.results import Results
    from bench.statistics import Summary

INCHES_WIDE = 6.5
"""Of a panel."""

INCHES_PER_BAR = 0.22
MOST_BARS = 45
"""In a panel: what is more goes to the next."""

MOST_PANELS = 4
"""Beside each other."""

DOTS_PER_INCH = 120

SMALL = {"fontsize": 7, "verticalalignment": "center"}

BARS = "The main figure of each row. Bars: medians; lines: from our worst run by their best to the contrary"
LINES = "How it grows. Lines: medians of the runs; shades: lowest to highest"


@dataclass(frozen=True, slots=True)
class Bar:
    """One row.

    Args:
        name: of the row.
        times: how many times as good ours is; 1 if that cannot be said.
        low: the same of our worst run and their best.
        high: of our best run and their worst.
        failed: who has failed, so that there is no bar.
    """

    name: str
    times: float = 1.0
    low: float = 1.0
    high: float = 1.0
    failed: str = ""


def factors(results: Results) -> dict[str, list[Bar]]:
    """By the contender's name: how many times as good ours is in the main figure of each row, over 1 where it is better."""
    bars: dict[str, list[Bar]] = {}
    for row in results.rows:
        figure = row.figures[0]
        ours = row.summary(figure.name, row.ours)
        for contender in row.contenders:
            theirs = row.summary(figure.name, contender)
            if contender == row.ours:
                continue
            if failed := [name for name in (row.ours, contender) if name in row.failures]:
                bars.setdefault(contender, []).append(Bar(row.name, failed=" and ".join(failed)))
            elif ours and theirs and all((ours.low, theirs.low, ours.median, theirs.median)):
                bars.setdefault(contender, []).append(_bar(row.name, ours, theirs, figure.better))
    return bars


def _bar(name: str, ours: Summary, theirs: Summary, better: Better) -> Bar:
    if better is Better.LOWER:
        ours, theirs = theirs, ours
    return Bar(name, ours.median / theirs.median, ours.low / theirs.high, ours.high / theirs.low)


def require() -> None:
    """Make sure before a long bench that it can be drawn at its end.

    Raises:
        BenchError: matplotlib is missing.
    """
    try:
        import_module("matplotlib")
    except ImportError:
        raise BenchError("--plot needs matplotlib: pip install '.[bench]'") from None


def growth_path(path: Path) -> Path:
    """Where the lines go, beside the bars."""
    return path.with_stem(f"{path.stem}-growth")


def draw(results: Results, path: Path) -> list[Path]:
    """Write the pictures; the ending of the name says which kind.

    Args:
        results: of a bench.
        path: for the bars; the lines go to `growth_path` of it.

    Returns:
        What was written: what there is nothing to draw of is not.

    Raises:
        BenchError: there is nothing to draw at all, or no way to.
        OSError: it cannot be written.
    """
    require()
    bars, lines = factors(results), panels(results)
    if not bars and not lines:
        raise BenchError("nothing to draw: no other contender was measured, and nothing that grows")
    # Imported by name: the type checker knows nothing of it, since only this function needs it.
    matplotlib: Any = import_module("matplotlib")
    matplotlib.use("Agg")
    # Text in an SVG stays text: it can be searched, and the file is small.
    matplotlib.rcParams["svg.fonttype"] = "none"
    pyplot: Any = import_module("matplotlib.pyplot")
    written = []
    if bars:
        _save(pyplot, _draw_bars(pyplot, bars, _title(results, BARS)), path)
        written.append(path)
    if lines:
        _save(pyplot, draw_lines(pyplot, lines, _title(results, LINES)), growth_path(path))
        written.append(growth_path(path))
    return written


def _title(results: Results, says: str) -> str:
    about = [results.machine.get(name, "") for name in ("commit", "machine")]
    if results.asked:
        about += asked_lines(results.asked)
    return "\n".join((says, ", ".join(filter(None, about))))


def _save(pyplot: Any, figure: Any, path: Path) -> None:
    try:
        figure.savefig(path, dpi=DOTS_PER_INCH)
    except ValueError as error:
        # The ending of its name.
        raise BenchError(str(error)) from None
    finally:
        pyplot.close(figure)


def pages(bars: dict[str, list[Bar]]) -> list[tuple[str, list[Bar]]]:
    """The panels: those of a contender follow each other, and none is longer than can be read."""
    return [
        (contender, of_one[begin : begin + MOST_BARS])
        for contender, of_one in bars.items()
        for begin in range(0, len(of_one), MOST_BARS)
    ]


def _draw_bars(pyplot: Any, bars: dict[str, list[Bar]], title: str) -> Any:
    panels_of_bars = pages(bars)
    tallest = max(len(page) for _, page in panels_of_bars)
    columns = min(len(panels_of_bars), MOST_PANELS)
    lines = math.ceil(len(panels_of_bars) / columns)
    figure, axes = pyplot.subplots(
        lines,
        columns,
        squeeze=False,
        figsize=(INCHES_WIDE * columns, 1 + lines * (0.8 + INCHES_PER_BAR * tallest)),
        layout="constrained",
    )
    for (contender, page), axis in zip(panels_of_bars, axes.flat, strict=False):
        _draw_page(axis, contender, page, tallest)
    for axis in axes.flat[len(panels_of_bars) :]:
        axis.set_visible(False)
    figure.suptitle(title, fontsize=9)
    return figure


def _draw_page(axis: Any, contender: str, bars: list[Bar], tallest: int) -> None:
    axis.set_xscale("log")
    for place, bar in enumerate(bars):
        if bar.failed:
            axis.annotate(f"{bar.failed} FAILED", (1, place), (4, 0), textcoords="offset points", color="tab:red", **SMALL)
            continue
        axis.barh(place, bar.times - 1, left=1, color="tab:green" if bar.times >= 1 else "tab:red")
        axis.plot((bar.low, bar.high), (place, place), color="black", linewidth=0.8)
        # Beside the bar's end, or the line's where that is further out.
        beside = max(bar.times, bar.high) if bar.times >= 1 else min(bar.times, bar.low)
        side, offset = ("left", 4) if bar.times >= 1 else ("right", -4)
        text = number_text(bar.times)
        axis.annotate(text, (beside, place), (offset, 0), textcoords="offset points", horizontalalignment=side, **SMALL)
    axis.set_yticks(range(len(bars)), [bar.name for bar in bars], fontsize=7)
    # Bars are as thick where they are fewer.
    axis.set_ylim(-0.6, tallest - 0.4)
    axis.axvline(1, color="black", linewidth=0.8)
    axis.margins(x=0.15)
    rounded = round_numbers(*axis.get_xlim())
    axis.set_xticks(rounded, [f"{number:,g}" for number in rounded], fontsize=8)
    axis.minorticks_off()
    axis.invert_yaxis()
    axis.set_title(f"nodepass against {contender}: times as good (right of 1: ahead)", fontsize=9)
