"""Small dialogs: a question, one line of text, a TCP connection to try."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from nicegui import ui

from nodepass.errors import ConfigError
from nodepass.master.tcping import parse_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nodepass.master.tcping import Tcping


@contextmanager
def dialog(title: str, *, wide: bool = False) -> Iterator[ui.dialog]:
    """A dialog with a title and a button that closes it; Esc does, too. It is gone for good when it has closed."""
    # In the page and not where the button is: that may be in a dialog that closes now.
    with ui.context.client.content, ui.dialog().props('aria-modal="true" :maximized="Quasar.Screen.lt.sm"') as opened:
        opened.on("hide", opened.delete)
        with ui.card().classes("np-dialog np-wide" if wide else "np-dialog").props('role="document"'):
            with ui.row().classes("np-dialog-head"):
                ui.label(title).classes("np-dialog-title").props('role="heading" aria-level="2"')
                icon_button("close", "Close", opened.close)
            yield opened


def keep_open(opened: ui.dialog, *, kept: bool) -> None:
    """Whether only its buttons close a dialog, and neither Esc nor a click beside it."""
    if kept:
        opened.props("persistent")
    else:
        opened.props(remove="persistent")


def icon_button(icon: str, label: str, on_click: Callable[..., Any] | None = None) -> ui.button:
    """A button that is a picture, with its name for those who do not see it."""
    button = ui.button(icon=icon, color=None, on_click=on_click)
    button.props(f'flat round dense aria-label="{label}"').classes("np-icon-button")
    with button:
        ui.tooltip(label)
    return button


async def ask(title: str, text: str, yes: str) -> bool:
    """Ask whether something that cannot be undone is to be done."""
    with dialog(title) as opened:
        ui.label(text).classes("np-text")
        with ui.row().classes("np-buttons"):
            ui.button("Cancel", on_click=lambda: opened.submit(False)).props("flat no-caps autofocus")
            ui.button(yes, color="negative", on_click=lambda: opened.submit(True)).props("unelevated no-caps")
    return bool(await opened)


async def ask_text(title: str, label: str, text: str) -> str | None:
    """Ask for one line of text; None where the person changed their mind."""
    with dialog(title) as opened:
        field = ui.input(label, value=text).props("outlined dense autofocus maxlength=256").classes("np-full")
        field.on("keydown.enter", lambda: opened.submit(field.value or ""))
        with ui.row().classes("np-buttons"):
            ui.button("Cancel", on_click=opened.close).props("flat no-caps")
            ui.button("Save", on_click=lambda: opened.submit(field.value or "")).props("unelevated no-caps")
    answer = await opened
    return answer if isinstance(answer, str) else None


def open_tcping(tcping: Tcping) -> None:
    """Let somebody try TCP connections from the master's machine."""
    with dialog("Try a TCP connection") as opened:
        ui.label("From the machine of this master, as its instances would connect.").classes("np-text np-soft")
        target = ui.input("Target", placeholder="example.org:443").props("outlined dense autofocus").classes("np-full")
        outcome = ui.label().classes("np-outcome").props('role="status"')

        async def try_it() -> None:
            outcome.classes(remove="np-good np-bad")
            try:
                endpoint = parse_target((target.value or "").strip())
            except ConfigError as error:
                target.error = error.expected.capitalize()
                return
            target.error = None
            outcome.set_text("Connecting …")
            result = await tcping.ping(endpoint)
            outcome.classes("np-good" if result.connected else "np-bad")
            outcome.set_text(f"Connected in {result.latency} ms" if result.connected else f"Not connected: {result.error}")

        target.on("keydown.enter", try_it)
        with ui.row().classes("np-buttons"):
            ui.button("Try", on_click=try_it).props("unelevated no-caps")
    opened.open()
