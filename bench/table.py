"""Results as text: one line for each figure, one column for each contender, with the ratio of ours to theirs."""

from __future__ import annotations

import math
from collections import Counter
from itertools import groupby
from textwrap import wrap
from typing import TYPE_CHECKING

from bench.model import Better
from bench.statistics import is_behind, ratio

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.model import Figure
    from bench.results import Asked, Results, RowResult
    from bench.statistics import Summary

LEGEND = (
    "median (lowest - highest) of the runs; then ours as a multiple of theirs, and `behind` where ours is the worse.",
    "Without brackets: one run, which does not tell how much is chance.",
    "A dash: it has no such thing, or nothing was measured; the lines below a row say why.",
)

GAP = "  "

WIDTH = 160
"""Of the table, in characters, where one column of a contender is not wider by itself."""

NAMES = 2
"""Columns in front of those of the contenders."""


def table(results: Results) -> str:
    """Everything: what it ran on, the figures, what went wrong."""
    lines = [f"{name}: {text}" for name, text in results.machine.items()]
    if results.asked:
        lines += asked_lines(results.asked)
    for contenders, rows in groupby(results.rows, key=lambda row: row.contenders):
        lines += ["", *_section(contenders, list(rows))]
    return "\n".join((*lines, "", *LEGEND)) + "\n"


def number_text(value: float) -> str:
    """Three digits that count, or all before the point."""
    if math.isinf(value):
        return "inf"
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    for least, digits in ((100, 0), (10, 1), (1, 2)):
        if size >= least:
            return f"{value:.{digits}f}"
    return f"{value:.3g}"


def ratio_text(value: float) -> str:
    """A factor."""
    return f"x{value:.2f}" if 0.095 <= value < 100 else f"x{number_text(value)}"


def summary_text(summary: Summary) -> str:
    """A median and its spread; one run has none."""
    if summary.runs == 1:
        return number_text(summary.median)
    return f"{number_text(summary.median)} ({number_text(summary.low)} - {number_text(summary.high)})"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Cells in columns."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [GAP.join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def asked_lines(asked: Asked) -> Iterator[str]:
    """How much was asked for."""
    fresh = f", {asked.fresh_runs} where each starts processes anew" if asked.fresh_runs != asked.runs else ""
    yield f"runs: {asked.runs}{fresh}; of {asked.seconds} s{'; --quick' if asked.quick else ''}"
    yield f"open files: {asked.file_limit} at most in a process"


def _section(contenders: tuple[str, ...], rows: list[RowResult]) -> Iterator[str]:
    """The rows in which the same contenders took part; in blocks of columns where they are too many for one."""
    cells = [["row", "figure", *contenders]]
    remarks: list[list[str]] = [[]]
    for row in rows:
        measured = [] if row.skipped else row.figures
        shown = [figure for figure in measured if figure.in_table and figure.name in row.values]
        if not shown:
            became = ["FAILED" if one in row.failures else "-" for one in contenders]
            cells.append([row.name, "not measured", *became])
            remarks.append([])
        for number, figure in enumerate(shown):
            name = f"{figure.name}, {figure.unit}"
            cells.append(["" if number else row.name, name, *(_cell(row, figure, one) for one in contenders)])
            remarks.append([])
        remarks[-1].extend(_remarks(row))
    for number, block in enumerate(blocks(cells)):
        if number:
            yield ""
        for line, below in zip(aligned(block), remarks, strict=True):
            yield line
            if not number:
                for remark in below:
                    yield from wrap(remark, WIDTH, initial_indent="    ", subsequent_indent="      ")


def blocks(cells: Sequence[Sequence[str]]) -> Iterator[list[list[str]]]:
    """The columns of contenders in as many tables as their width needs, each with the columns of the row and figure."""
    widths = [len(GAP) + max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    begin = NAMES
    while begin < len(widths):
        end = begin + 1
        while end < len(widths) and sum(widths[:NAMES]) + sum(widths[begin : end + 1]) - len(GAP) <= WIDTH:
            end += 1
        yield [[*line[:NAMES], *line[begin:end]] for line in cells]
        begin = end


def _cell(row: RowResult, figure: Figure, contender: str) -> str:
    summary = row.summary(figure.name, contender)
    if summary is None:
        return "FAILED" if contender in row.failures else "-"
    text = summary_text(summary)
    ours = row.summary(figure.name, row.ours)
    if contender == row.ours or ours is None or figure.better is Better.NEITHER:
        return text
    # Of nothing, nothing is a multiple.
    times = f"  {ratio_text(ratio(ours.median, summary.median))}" if summary.median else ""
    behind = " behind" if is_behind(ours.median, summary.median, figure.better) else ""
    return f"{text}{times}{behind}"


def _remarks(row: RowResult) -> Iterator[str]:
    if row.skipped:
        yield row.skipped
    elif 0 < row.runs < row.asked:
        yield f"{row.runs} of {row.asked} runs"
    for name, reason in row.failures.items():
        yield f"{name} FAILED: {reason}"
    for name, reason in row.absent.items():
        yield f"{name}: {reason}"
    noted: dict[str, list[str]] = {}
    for name, notes in row.notes.items():
        for note, times in Counter(notes).items():
            noted.setdefault(note + (f" ({times} times)" if times > 1 else ""), []).append(name)
    for note, names in noted.items():
        yield f"{', '.join(names)}: {note}"
