"""What people note about an instance: its alias, its tags, whether it starts with the master, and its peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nicegui import ui

from nodepass.dashboard.actions import attempt
from nodepass.dashboard.dialogs import icon_button
from nodepass.master.model import LONGEST_TEXT, Change, Peer

if TYPE_CHECKING:
    from nodepass.master.api.core import Core
    from nodepass.master.model import Instance

_TEXT = f"outlined dense maxlength={LONGEST_TEXT}"


class Notes:
    """A small form; nothing changes before `Save`.

    Args:
        core: to change it.
        instance: what is noted now.
    """

    def __init__(self, core: Core, instance: Instance) -> None:
        self._core = core
        self._id = instance.id
        self._alias = ui.input("Alias", value=instance.alias).props(_TEXT).classes("np-full")
        self._restart = ui.switch("Starts with the master", value=instance.restart)
        ui.label("Tags").classes("np-label")
        self._tags: dict[ui.row, tuple[ui.input, ui.input]] = {}
        self._list = ui.element("div").classes("np-tag-list")
        for key, value in instance.tags.items():
            self._add(key, value)
        ui.button("Add a tag", icon="add", on_click=lambda: self._add("", "", focus=True)).props("flat dense no-caps")
        with ui.expansion("Peer").classes("np-group").props("dense"):
            ui.label("What a front end notes about the other end of the tunnel.").classes("np-text np-soft")
            self._peer = {
                name: ui.input(label, value=getattr(instance.peer, name)).props(_TEXT).classes("np-full")
                for name, label in (("sid", "Service ID"), ("type", "Type"), ("alias", "Alias of the peer"))
            }
        with ui.row().classes("np-buttons"):
            ui.button("Save notes", on_click=self._save).props("unelevated no-caps")

    def _add(self, key: str, value: str, *, focus: bool = False) -> None:
        with self._list, ui.row().classes("np-tag-row") as row:
            name = ui.input("Name", value=key).props(_TEXT + (" autofocus" if focus else ""))
            self._tags[row] = name, ui.input("Value", value=value).props(_TEXT)
            icon_button("close", "Remove this tag", lambda: self._remove(row))

    def _remove(self, row: ui.row) -> None:
        del self._tags[row]
        row.delete()

    async def _save(self) -> None:
        tags: dict[str, str] = {}
        for name, value in self._tags.values():
            key = (name.value or "").strip()
            twice = key in tags
            name.error = "A name that is there already" if twice else None
            if twice:
                return
            if key:
                tags[key] = (value.value or "").strip()
        change = Change(
            alias=self._alias.value or "",
            restart=bool(self._restart.value),
            tags=tags,
            peer=Peer(**{name: field.value or "" for name, field in self._peer.items()}),
        )
        await attempt(self._core.change(self._id, change), "The notes are saved")
