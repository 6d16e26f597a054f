"""Results as pictures.

Bars say for the main figure of each row how many times as good ours is. Lines say how things grow (`bench.growth`); they
have a picture of their own, since there may be a hundred bars.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from bench.growth import draw_lines, panels, round_numbers
from bench.model import BenchError, Better
from bench.statistics import ratio
from bench.table import number_text

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from bench.results import Results

INCHES_WIDE = 9
INCHES_PER_BAR = 0.22
DOTS_PER_INCH = 120

Bar = tuple[str, float]
"""A row's name, and the factor."""


def factors(results: Results) -> dict[str, list[Bar]]:
    """By the contender's name: how many times as good ours is in the main figure of each row, over 1 where it is better."""
    bars: dict[str, list[Bar]] = {}
    for row in results.rows:
        figure = row.figures[0]
        ours = row.summary(figure.name, row.ours)
        for contender in row.contenders:
            theirs = row.summary(figure.name, contender)
            if contender == row.ours or ours is None or theirs is None or not ours.median or not theirs.median:
                continue
            times = ratio(ours.median, theirs.median)
            bars.setdefault(contender, []).append((row.name, 1 / times if figure.better is Better.LOWER else times))
    return bars


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
        _save(pyplot, _draw_bars(pyplot, bars), path)
        written.append(path)
    if lines:
        _save(pyplot, draw_lines(pyplot, lines, _title(results)), growth_path(path))
        written.append(growth_path(path))
    return written


def _title(results: Results) -> str:
    about = (results.machine.get(name, "") for name in ("commit", "machine"))
    return "\n".join(
        ("How it grows. Lines: medians of the runs; shades: lowest to highest", ", ".join(filter(None, about)))
    )


def _save(pyplot: Any, figure: Any, path: Path) -> None:
    try:
        figure.savefig(path, dpi=DOTS_PER_INCH)
    except ValueError as error:
        # The ending of its name.
        raise BenchError(str(error)) from None
    finally:
        pyplot.close(figure)


def _draw_bars(pyplot: Any, bars: dict[str, list[Bar]]) -> Any:
    tallest = max(len(of_one) for of_one in bars.values())
    figure, axes = pyplot.subplots(
        1, len(bars), squeeze=False, figsize=(INCHES_WIDE * len(bars), 1.2 + INCHES_PER_BAR * tallest), layout="constrained"
    )
    for (contender, of_one), axis in zip(bars.items(), axes[0], strict=True):
        _draw_one(axis, contender, of_one)
    return figure


def _draw_one(axis: Any, contender: str, bars: list[Bar]) -> None:
    names, times = [name for name, _ in bars], [factor for _, factor in bars]
    colours = ["tab:green" if factor >= 1 else "tab:red" for factor in times]
    drawn = axis.barh(range(len(bars)), [factor - 1 for factor in times], left=1, color=colours)
    axis.bar_label(drawn, labels=[number_text(factor) for factor in times], padding=3, fontsize=7)
    axis.set_yticks(range(len(bars)), names, fontsize=7)
    axis.set_xscale("log")
    axis.axvline(1, color="black", linewidth=0.8)
    axis.margins(x=0.15)
    rounded = round_numbers(*axis.get_xlim())
    axis.set_xticks(rounded, [f"{number:,g}" for number in rounded], fontsize=8)
    axis.minorticks_off()
    axis.invert_yaxis()
    axis.set_title(f"nodepass against {contender}: times as good (right of 1: ahead)", fontsize=9)
