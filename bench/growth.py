"""Lines: how throughput, memory and CPU go with the number of users, and of instances."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.contenders.nodepass import OURS
from bench.loads.costs import CPU_PER_THOUSAND_REQUESTS
from bench.loads.crowd import MESSAGE_SIZE, THROUGHPUT, TOGETHER, USERS
from bench.loads.instances import INSTANCES
from bench.loads.instances import USERS as USERS_OF_INSTANCES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.model import Figure
    from bench.results import Results, RowResult
    from bench.statistics import Summary

INCHES_WIDE, INCHES_HIGH = 4.8, 3.4
"""Of one panel."""

MOST_NUMBERS = 9
"""Along an axis."""

OVER = {
    USERS: f"users at once; each sends {MESSAGE_SIZE // 1024} KB, and again when it is back",
    INSTANCES: f"instances of a master; the same {USERS_OF_INSTANCES} users, spread over them",
}
"""Along which figures lines are drawn, and what stands below the axis."""

SHOWN = {
    THROUGHPUT: "MB/s there and back (more is better)",
    CPU_PER_THOUSAND_REQUESTS: "CPU time of an exchange, ms (less is better)",
    TOGETHER: "memory of all processes, MB, log scale (less is better)",
}
"""What is drawn, and what stands above it. Seconds for a thousand are milliseconds for each."""

COLOURS = {OURS: "tab:blue"}
OTHER_COLOURS = ("tab:gray", "tab:orange", "tab:green", "tab:purple", "tab:brown")
MARKERS = "osD^vP"


@dataclass(slots=True)
class Panel:
    """One drawing.

    Args:
        over: the figure along which it goes.
        figure: that is drawn.
        setup: of its rows; empty if they have none.
        lines: by the contender's name: for each row the number, and what was measured there, in the order of the numbers.
    """

    over: Figure
    figure: Figure
    setup: str
    lines: dict[str, list[tuple[float, Summary]]] = field(default_factory=dict)

    def add(self, row: RowResult) -> None:
        """Take a row's points."""
        for contender in row.contenders:
            number, found = row.summary(self.over.name, contender), row.summary(self.figure.name, contender)
            if number is not None and found is not None:
                line = self.lines.setdefault(contender, [])
                line.append((number.median, found))
                line.sort(key=lambda point: point[0])

    @property
    def grows(self) -> bool:
        """Whether there is a line at all: more than one number."""
        return any(len(line) > 1 for line in self.lines.values())


def panels(results: Results) -> list[list[Panel]]:
    """What there is to be drawn: a list of panels for each number that grows, and each setup."""
    found: dict[tuple[Figure, str], list[Panel]] = {}
    for row in results.rows:
        setup = row.name.partition("/")[2]
        for over in OVER:
            if over in row.figures:
                group = found.setdefault((over, setup), [Panel(over, figure, setup) for figure in SHOWN])
                for panel in group:
                    panel.add(row)
    groups = sorted(found.values(), key=lambda group: list(OVER).index(group[0].over))
    return [group for group in groups if any(panel.grows for panel in group)]


def round_numbers(low: float, high: float) -> list[float]:
    """What to write along a logarithmic axis: 1, 2, 5, 10 and so on, or only 1, 10 and so on if these are many.

    Args:
        low: the least number on the axis, over 0.
        high: the greatest.
    """
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for steps in ((1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 5), (1,)):
        found = [step * 10.0**exponent for exponent in exponents for step in steps]
        found = [number for number in found if low <= number <= high]
        if len(found) <= MOST_NUMBERS:
            break
    return found


def draw_lines(pyplot: Any, groups: Sequence[Sequence[Panel]], title: str) -> Any:
    """Draw them, one group below the other; gives matplotlib's figure.

    Args:
        pyplot: matplotlib's module of that name.
        groups: at least one.
        title: of the whole.
    """
    figure, axes = pyplot.subplots(
        len(groups),
        len(SHOWN),
        squeeze=False,
        figsize=(INCHES_WIDE * len(SHOWN), INCHES_HIGH * len(groups) + 1),
        layout="constrained",
    )
    names = list(dict.fromkeys(name for group in groups for panel in group for name in panel.lines))
    looks = {name: _look(name, number) for number, name in enumerate(names)}
    for group, row in zip(groups, axes, strict=True):
        for panel, axis in zip(group, row, strict=True):
            _draw_panel(axis, panel, looks)
    handles = [pyplot.Line2D([], [], label=name, **look) for name, look in looks.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    figure.suptitle(title, fontsize=11)
    return figure


def _look(name: str, number: int) -> dict[str, Any]:
    colour = COLOURS.get(name) or OTHER_COLOURS[(number - 1) % len(OTHER_COLOURS)]
    return {
        "color": colour,
        "marker": MARKERS[number % len(MARKERS)],
        "markersize": 4,
        "linewidth": 2.2 if name == OURS else 1.2,
        "zorder": 3 if name == OURS else 2,
    }


def _draw_panel(axis: Any, panel: Panel, looks: dict[str, dict[str, Any]]) -> None:
    numbers = sorted({number for line in panel.lines.values() for number, _ in line})
    for name, line in panel.lines.items():
        along = [number for number, _ in line]
        axis.plot(along, [found.median for _, found in line], **looks[name])
        lows, highs = [found.low for _, found in line], [found.high for _, found in line]
        axis.fill_between(along, lows, highs, color=looks[name]["color"], alpha=0.15, linewidth=0)
    axis.set_xscale("log")
    axis.set_xticks(numbers, [f"{number:,.0f}" for number in numbers])
    if panel.figure is TOGETHER:
        # A process of its own for each contender at the beginning, and a hundred times that at the end.
        axis.set_yscale("log")
        rounded = round_numbers(*axis.get_ylim())
        axis.set_yticks(rounded, [f"{number:,g}" for number in rounded])
    else:
        axis.set_ylim(bottom=0)
    axis.minorticks_off()
    axis.grid(alpha=0.3)
    axis.set_title(SHOWN[panel.figure], fontsize=9, loc="left")
    axis.set_xlabel((f"{panel.setup}: " if panel.setup else "") + OVER[panel.over], fontsize=8.5)
    axis.tick_params(labelsize=8)
