"""Plots of the last minutes: traffic in both directions, and connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nicegui import ui

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nodepass.master.recent import Point

RECEIVED: Final = "#0d9488"
SENT: Final = "#6366f1"
CONNECTIONS: Final = "#d97706"
"""Colours that are told apart on light and on dark ground."""

_AXIS: Final = "#8593a1"
_GRID: Final = "rgba(130, 145, 160, 0.18)"
_MOST_TICKS: Final = 5
_LOWEST_RATE: Final = 3000
_FEWEST: Final = 3
"""What the axes go up to at least: bytes a second, and connections."""

_RATE_TEXT: Final = (
    "v => { const u = ['B', 'kB', 'MB', 'GB']; let i = 0; while (v >= 1000 && i < 3) { v /= 1000; i++; } "
    "return (i && v < 10 ? v.toFixed(1) : Math.round(v)) + ' ' + u[i] + '/s'; }"
)
"""As `units.size_text` writes them; the browser labels the axis by itself."""


class TrafficChart:
    """A plot that is drawn anew when there are more points.

    Args:
        step: seconds between two points.
        label: what it shows, for those who do not see it.
    """

    def __init__(self, step: float, label: str) -> None:
        self._step = step
        self._last: list[Point] | None = None
        self._chart = ui.echart(_options()).classes("np-chart").props(f'role="img" aria-label="{label}"')

    def show(self, points: Sequence[Point]) -> None:
        """Draw these points, the latest last."""
        latest = list(points)
        if latest == self._last:
            return
        self._last = latest
        ago = [-(len(latest) - 1 - index) * self._step for index in range(len(latest))]
        series = self._chart.options["series"]
        series[0]["data"] = [[at, round(point.received)] for at, point in zip(ago, latest, strict=True)]
        series[1]["data"] = [[at, round(point.sent)] for at, point in zip(ago, latest, strict=True)]
        series[2]["data"] = [[at, point.connections] for at, point in zip(ago, latest, strict=True)]
        self._chart.options["xAxis"]["min"] = min(-60.0, ago[0] if ago else 0.0)
        self._chart.update()


def _options() -> dict[str, Any]:
    label = {"color": _AXIS, "fontSize": 11}
    axis = {"type": "value", "min": 0, "splitNumber": 3, "axisLine": {"show": False}, "axisTick": {"show": False}}
    return {
        "animation": False,
        "color": [RECEIVED, SENT, CONNECTIONS],
        "grid": {"left": 8, "right": 8, "top": 34, "bottom": 4, "containLabel": True},
        "legend": {
            "top": 0,
            "left": 0,
            "icon": "roundRect",
            "itemWidth": 12,
            "itemHeight": 4,
            "textStyle": {"color": _AXIS},
        },
        "tooltip": {"trigger": "axis", "className": "np-tooltip", "confine": True, ":formatter": _TOOLTIP},
        "xAxis": {
            "type": "value",
            "max": 0,
            "min": -60,
            "splitNumber": _MOST_TICKS,
            "axisLabel": {**label, ":formatter": _AGO, "hideOverlap": True},
            "splitLine": {"show": False},
            "axisLine": {"lineStyle": {"color": _GRID}},
        },
        "yAxis": [
            {
                **axis,
                ":max": f"v => v.max < {_LOWEST_RATE} ? {_LOWEST_RATE} : null",
                "axisLabel": {**label, ":formatter": _RATE_TEXT},
                "splitLine": {"lineStyle": {"color": _GRID}},
            },
            {
                **axis,
                "minInterval": 1,
                ":max": f"v => v.max < {_FEWEST} ? {_FEWEST} : null",
                "axisLabel": label,
                "splitLine": {"show": False},
            },
        ],
        "series": [
            _line("received", 0, RECEIVED, area=True),
            _line("sent", 0, SENT, area=True),
            _line("connections", 1, CONNECTIONS, area=False),
        ],
    }


def _line(name: str, axis: int, color: str, *, area: bool) -> dict[str, Any]:
    line: dict[str, Any] = {
        "name": name,
        "type": "line",
        "yAxisIndex": axis,
        "showSymbol": False,
        "data": [],
        "lineStyle": {"width": 2 if area else 1.5, "type": "solid" if area else "dashed"},
    }
    if area:
        line["areaStyle"] = {"color": color, "opacity": 0.10}
    return line


_AGO: Final = "v => v === 0 ? 'now' : (v % 60 === 0 ? (-v / 60) + ' min ago' : (-v) + ' s ago')"

_TOOLTIP: Final = (
    f"ps => {{ const rate = {_RATE_TEXT}; const ago = {_AGO}; return '<b>' + ago(ps[0].value[0]) + '</b>' + "
    "ps.map(p => '<br>' + p.marker + p.seriesName + ' ' + (p.seriesIndex < 2 ? rate(p.value[1]) : p.value[1])).join(''); }"
)
