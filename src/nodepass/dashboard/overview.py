"""What stands above the list: figures of all instances, their traffic, and the machine at a glance."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from nicegui import ui

from nodepass.dashboard.charts import TrafficChart
from nodepass.master.model import Status
from nodepass.master.recent import NOTHING
from nodepass.units import size_text

if TYPE_CHECKING:
    from nodepass.master.front import Backend

MINUTE, HOUR, DAY = 60, 3600, 86400


class Overview:
    """The figures and the plot.

    Args:
        backend: of the master.
    """

    def __init__(self, backend: Backend) -> None:
        self._core = backend.parts.core
        self._recent = backend.recent
        with ui.element("section").classes("np-tiles").props('aria-label="All instances"'):
            self._instances = Tile("Instances")
            self._connections = Tile("Connections")
            self._received = Tile("Received", "np-in")
            self._sent = Tile("Sent", "np-out")
        with ui.element("section").classes("np-columns"):
            with ui.element("div").classes("np-sheet np-total"):
                ui.label("Traffic of all instances").classes("np-sheet-title").props('role="heading" aria-level="2"')
                self._chart = TrafficChart(
                    backend.recent.step, "Traffic and connections of all instances in the last minutes"
                )
            with ui.element("div").classes("np-sheet np-machine"):
                self._machine = Machine(backend)

    def refresh(self) -> None:
        """Show how it is now."""
        instances = self._core.all()
        running = sum(instance.status is Status.RUNNING for instance in instances)
        failed = sum(instance.status is Status.ERROR for instance in instances)
        self._instances.show(
            f"{running} of {len(instances)}", f"{failed} in error" if failed else "running", bad=bool(failed)
        )
        tcp = sum(instance.figures.tcps for instance in instances)
        udp = sum(instance.figures.udps for instance in instances)
        self._connections.show(str(tcp + udp), f"{tcp} TCP · {udp} UDP")
        total = self._recent.total()
        now = total[-1] if total else NOTHING
        received = sum(instance.figures.tcprx + instance.figures.udprx for instance in instances)
        sent = sum(instance.figures.tcptx + instance.figures.udptx for instance in instances)
        self._received.show(f"{size_text(now.received)}/s", f"{size_text(received)} in all")
        self._sent.show(f"{size_text(now.sent)}/s", f"{size_text(sent)} in all")
        self._chart.show(total)
        self._machine.refresh()


class Tile:
    """One figure, and a line about it."""

    def __init__(self, title: str, look: str = "") -> None:
        with ui.element("div").classes("np-tile"):
            ui.label(title).classes(f"np-tile-title {look}")
            self._figure = ui.label().classes("np-tile-figure")
            self._line = ui.label().classes("np-soft")

    def show(self, figure: str, line: str, *, bad: bool = False) -> None:
        """Show these."""
        self._figure.set_text(figure)
        self._line.set_text(line)
        self._line.classes(add="np-bad" if bad else "", remove="" if bad else "np-bad")


class Machine:
    """The machine that the master runs on."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._before: tuple[float, dict[str, Any]] | None = None
        members = self._members()
        ui.label("Machine").classes("np-sheet-title").props('role="heading" aria-level="2"')
        ui.label(f"{members['name']} · {members['os']}/{members['arch']}").classes("np-soft np-machine-name")
        self._cpu = Gauge("CPU")
        self._memory = Gauge("Memory")
        self._swap = Gauge("Swap") if members["swap_total"] else None
        with ui.element("dl").classes("np-facts"):
            self._net = _fact("Network")
            self._disks = _fact("Disks")
            self._up = _fact("Up")
            self._master_up = _fact("Master")

    def refresh(self) -> None:
        """Show how it is now."""
        members, now = self._members(), time.monotonic()
        self._cpu.show(members["cpu"] / 100, f"{members['cpu']} %")
        self._memory.show_part(members["mem_used"], members["mem_total"])
        if self._swap is not None:
            self._swap.show_part(members["swap_used"], members["swap_total"])
        self._up.set_text(duration_text(members["sysup"]))
        self._master_up.set_text(f"{duration_text(members['uptime'])}, nodepass {members['ver']}")
        if self._before is None or now - self._before[0] >= _RATE_SPAN:
            self._show_rates(members, now)
            self._before = now, members

    def _show_rates(self, members: dict[str, Any], now: float) -> None:
        def rate(name: str) -> str:
            then, before = self._before or (now - 1, members)
            return f"{size_text(max(members[name] - before[name], 0) / max(now - then, 1e-9))}/s"

        self._net.set_text(f"↓ {rate('netrx')}  ↑ {rate('nettx')}")
        self._disks.set_text(f"read {rate('diskr')}, write {rate('diskw')}")

    def _members(self) -> dict[str, Any]:
        master = self._backend.parts.core.master
        return self._backend.parts.info.members(master.id, master.alias)


_RATE_SPAN: Final = 4.0
"""Seconds over which the machine's rates are taken: its figures are sampled every other second."""


class Gauge:
    """A part of a whole."""

    def __init__(self, title: str) -> None:
        with ui.element("div").classes("np-gauge"):
            with ui.element("div").classes("np-gauge-head"):
                ui.label(title)
                self._text = ui.label().classes("np-soft")
            self._bar = ui.linear_progress(0, show_value=False, size="6px").props(f'rounded aria-label="{title}"')

    def show(self, part: float, text: str) -> None:
        """Show a part from 0 to 1."""
        self._bar.set_value(round(part, 3))
        self._text.set_text(text)

    def show_part(self, used: int, total: int) -> None:
        """Show bytes of bytes."""
        self.show(used / total if total else 0.0, f"{size_text(used)} of {size_text(total)}")


def _fact(title: str) -> ui.label:
    with ui.element("div"):
        with ui.element("dt"):
            ui.label(title)
        with ui.element("dd"):
            return ui.label()


def duration_text(seconds: int) -> str:
    """Write a length of time: `12 s`, `3 min`, `5 h 12 min`, `4 d 3 h`."""
    if seconds < MINUTE:
        return f"{seconds} s"
    if seconds < HOUR:
        return f"{seconds // MINUTE} min"
    if seconds < DAY:
        return f"{seconds // HOUR} h {seconds % HOUR // MINUTE} min"
    return f"{seconds // DAY} d {seconds % DAY // HOUR} h"
