"""The page that somebody who is signed in sees: the head, the overview, the list; and what the buttons do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nicegui import ui

from nodepass.dashboard import actions
from nodepass.dashboard.detail import open_detail
from nodepass.dashboard.dialogs import ask_text, icon_button, open_tcping
from nodepass.dashboard.form import open_form
from nodepass.dashboard.instance_table import InstanceTable, row_of
from nodepass.dashboard.overview import Overview
from nodepass.errors import UnknownInstanceError
from nodepass.master.model import Action
from nodepass.master.system import HOST_NAME
from nodepass.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nodepass.master.front import Backend

REFRESH: Final = 1.0
"""Seconds between two looks at how all is."""

THEME_COOKIE: Final = "nodepass-theme"

_THEMES: Final[Mapping[str, tuple[bool | None, str]]] = {
    "system": (None, "brightness_auto"),
    "light": (False, "light_mode"),
    "dark": (True, "dark_mode"),
}

_HEAD: Final = f"""
<link rel="stylesheet" href="/_nodepass/dashboard.css?{__version__}">
<script src="/_nodepass/dashboard.js?{__version__}" defer></script>
"""


def draw_page(backend: Backend, cookies: Mapping[str, str]) -> None:
    """Draw the page of one master, for one browser."""
    ui.add_head_html(_HEAD)
    Page(backend, cookies.get(THEME_COOKIE, "system"))


class Page:
    """One page in one browser.

    Args:
        backend: of the master.
        theme: `system`, `light` or `dark`.
    """

    def __init__(self, backend: Backend, theme: str) -> None:
        self._backend = backend
        self._core = backend.parts.core
        self._theme = theme if theme in _THEMES else "system"
        self._dark = ui.dark_mode(_THEMES[self._theme][0])
        self._wanted = ""
        self._head()
        with ui.element("main").classes("np-main"):
            self._overview = Overview(backend)
            self._instances()
        self._refresh()
        ui.timer(REFRESH, self._refresh)

    def _head(self) -> None:
        with ui.header().classes("np-head"), ui.element("div").classes("np-head-inner"):
            with ui.element("div").classes("np-brand"):
                ui.image("/_nodepass/icon.svg").classes("np-logo").props('no-spinner no-transition alt=""')
                self._name = ui.label().classes("np-brand-name").props('role="heading" aria-level="1"')
                icon_button("edit", "Name this master", self._rename).classes("np-rename")
            with ui.element("nav").classes("np-head-buttons").props('aria-label="Master"'):
                icon_button("network_ping", "Try a TCP connection", lambda: open_tcping(self._backend.parts.tcping))
                self._theme_button = icon_button("brightness_auto", "Theme", self._turn_theme)
                icon_button("logout", "Sign out", lambda: ui.run_javascript("nodepass.signOut()"))
        self._show_theme()

    def _instances(self) -> None:
        with ui.element("section").classes("np-sheet np-instances"):
            with ui.element("div").classes("np-instances-head"):
                ui.label("Instances").classes("np-sheet-title").props('role="heading" aria-level="2"')
                search = ui.input(placeholder="Find by name, tag, address", on_change=lambda event: self._find(event.value))
                search.props('outlined dense clearable type="search" aria-label="Find instances"').classes("np-find")
                new = ui.button("New instance", icon="add", on_click=lambda: open_form(self._backend))
                new.props("unelevated no-caps").classes("np-new")
            self._table = InstanceTable(self._act)

    # What is shown.

    def _refresh(self) -> None:
        self._name.set_text(self._core.master.alias or HOST_NAME)
        self._overview.refresh()
        core, recent = self._core, self._backend.recent
        rows = [row_of(instance, recent, core.stage(instance.id)) for instance in core.all()]
        if self._wanted:
            rows = [row for row in rows if self._wanted in _searchable(row)]
        self._table.show(rows, searched=bool(self._wanted))

    def _find(self, text: str | None) -> None:
        self._wanted = (text or "").strip().lower()
        self._refresh()

    def _turn_theme(self) -> None:
        themes = list(_THEMES)
        self._theme = themes[(themes.index(self._theme) + 1) % len(themes)]
        self._dark.value = _THEMES[self._theme][0]
        self._show_theme()
        ui.run_javascript(f"nodepass.keepTheme('{self._theme}')")

    def _show_theme(self) -> None:
        label = f"Theme: {self._theme}"
        self._theme_button.props(f'icon={_THEMES[self._theme][1]} aria-label="{label}"')

    # What is done.

    async def _rename(self) -> None:
        alias = await ask_text("Name this master", "Alias", self._core.master.alias)
        if alias is not None:
            await actions.attempt(self._core.master.rename(alias.strip()), "The name is saved")
            self._refresh()

    async def _act(self, instance_id: str, action: str) -> None:
        try:
            instance = self._core.get(instance_id)
        except UnknownInstanceError as error:
            ui.notify(str(error), type="warning")
            return
        if action in {"open", "logs"}:
            tab = "Logs" if action == "logs" else "Overview"
            open_detail(self._backend, instance, tab, lambda current: open_form(self._backend, current))
        elif action in {"edit", "copy"}:
            open_form(self._backend, instance, copy=action == "copy")
        elif action == "delete":
            await actions.delete(self._core, instance)
        elif action in set(Action):
            await actions.act(self._core, instance_id, Action(action))
        self._refresh()


def _searchable(row: Mapping[str, object]) -> str:
    names = ("id", "alias", "type", "status", "tunnel", "targets", "tags")
    return " ".join(str(row[name]) for name in names).lower()
