"""One instance, opened: its figures and traffic, its URL, its log, and what people note about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nicegui import ui

from nodepass.dashboard.actions import act, name_of
from nodepass.dashboard.charts import TrafficChart
from nodepass.dashboard.dialogs import dialog, icon_button
from nodepass.dashboard.fields import masked
from nodepass.dashboard.log_view import LogView
from nodepass.dashboard.notes import Notes
from nodepass.errors import UnknownInstanceError
from nodepass.master.model import Action, Status
from nodepass.units import size_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.master.front import Backend
    from nodepass.master.model import Instance

REFRESH: float = 1.0
"""Seconds between two looks at how the instance is."""

_MODES = {1: "reverse or single end", 2: "forward or dual end"}


def open_detail(backend: Backend, instance: Instance, tab: str, edit: Callable[[Instance], None]) -> None:
    """Show an instance.

    Args:
        backend: of the master.
        instance: which.
        tab: `Overview`, `Logs` or `Notes`.
        edit: opens the form.
    """

    def go_on_editing() -> None:
        opened.close()
        edit(backend.parts.core.get(instance.id))

    with dialog(name_of(instance), wide=True) as opened:
        detail = Detail(backend, instance.id, tab)
        with ui.row().classes("np-buttons np-detail-buttons"):
            detail.action_button("Start", "play_arrow", Action.START)
            detail.action_button("Stop", "stop", Action.STOP)
            detail.action_button("Restart", "restart_alt", Action.RESTART)
            ui.button("Edit", icon="edit", on_click=go_on_editing).props("flat no-caps")

        def refresh() -> None:
            try:
                detail.refresh()
            except UnknownInstanceError:
                opened.close()

        ui.timer(REFRESH, refresh)
    opened.open()


class Detail:
    """What is shown of an instance.

    Args:
        backend: of the master.
        instance_id: of the instance.
        tab: which of the tabs is open first.
    """

    def __init__(self, backend: Backend, instance_id: str, tab: str) -> None:
        self._core = backend.parts.core
        self._recent = backend.recent
        self._id = instance_id
        self._status = ui.label().classes("np-status np-detail-status").props('role="status"')
        with ui.tabs().props("dense no-caps align=left inline-label").classes("np-tabs") as tabs:
            for title in ("Overview", "Logs", "Notes"):
                ui.tab(title)
        with ui.tab_panels(tabs, value=tab, animated=False).classes("np-panels"):
            with ui.tab_panel("Overview"):
                self._make_overview()
            with ui.tab_panel("Logs"):
                self._log = LogView(backend.recent, instance_id)
            with ui.tab_panel("Notes"):
                Notes(self._core, self._core.get(instance_id))
        self._buttons: dict[Action, ui.button] = {}
        self.refresh()

    def action_button(self, label: str, icon: str, action: Action) -> None:
        """A button that starts, stops or restarts it."""
        button = ui.button(label, icon=icon, on_click=lambda: act(self._core, self._id, action)).props("flat no-caps")
        self._buttons[action] = button
        self.refresh()

    def refresh(self) -> None:
        """Show how it is now.

        Raises:
            UnknownInstanceError: it has been deleted.
        """
        instance = self._core.get(self._id)
        self._status.set_text(f"{instance.type} · {instance.status}")
        self._status.classes(replace=f"np-status np-detail-status np-status-{instance.status}")
        figures, now = instance.figures, self._recent.now(self._id)
        for label, text in (
            ("Connections", f"{figures.tcps} TCP, {figures.udps} UDP"),
            ("Received", f"{size_text(now.received)}/s, {size_text(figures.tcprx + figures.udprx)} in all"),
            ("Sent", f"{size_text(now.sent)}/s, {size_text(figures.tcptx + figures.udptx)} in all"),
            ("Ping", f"{figures.ping} ms" if figures.ping else "-"),
            ("Pool", f"{figures.pool} connections"),
            ("Mode", _MODES.get(figures.mode, "not known yet")),
        ):
            self._facts[label].set_text(text)
        self._chart.show(self._recent.points(self._id))
        if self._url_shown is not None and self._url_shown != instance.url:
            self._hide_url()
        self._url.set_text(self._url_shown or masked(instance.url))
        self._log.refresh()
        for action, button in self._buttons.items():
            button.set_visibility((action is Action.START) == (instance.status is Status.STOPPED))

    def _make_overview(self) -> None:
        self._chart = TrafficChart(self._recent.step, "Traffic and connections in the last minutes")
        self._facts: dict[str, ui.label] = {}
        with ui.element("dl").classes("np-facts np-facts-wide"):
            for title in ("Connections", "Received", "Sent", "Ping", "Pool", "Mode"):
                with ui.element("div"):
                    with ui.element("dt"):
                        ui.label(title)
                    with ui.element("dd"):
                        self._facts[title] = ui.label()
        self._url_shown: str | None = None
        ui.label("URL").classes("np-label")
        with ui.row().classes("np-url-row"):
            self._url = ui.label().classes("np-url").props('aria-label="URL" tabindex="0"')
            self._reveal = icon_button("visibility", "Show the key", self._turn_url)
            icon_button("content_copy", "Copy with the key", self._copy_url)

    def _turn_url(self) -> None:
        if self._url_shown is not None:
            self._hide_url()
        else:
            self._url_shown = self._core.get(self._id).url
            self._reveal.props('icon=visibility_off aria-label="Hide the key"')
        self.refresh()

    def _hide_url(self) -> None:
        self._url_shown = None
        self._reveal.props('icon=visibility aria-label="Show the key"')

    def _copy_url(self) -> None:
        ui.clipboard.write(self._core.get(self._id).url)
        ui.notify("The URL is copied, with its key")
