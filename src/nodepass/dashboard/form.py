"""The form that makes and edits instances: a field for each parameter of the table, and the URL that comes of it, live.

The key of an instance that is edited does not come to the page unless somebody asks to see it: until then, an empty field
means that the key stays as it is. Whoever has seen it and empties the field removes it.

Once something in it has been changed, the form does not close by Esc or by a click beside it, which would lose that.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, Final

from nicegui import ui

from nodepass.config.values import Mode
from nodepass.dashboard.actions import attempt, name_of
from nodepass.dashboard.dialogs import dialog, icon_button, keep_open
from nodepass.dashboard.fields import Draft, Look, draft_of, groups_of
from nodepass.master.model import LONGEST_TEXT, Status

if TYPE_CHECKING:
    from nodepass.dashboard.fields import Field
    from nodepass.master.front import Backend
    from nodepass.master.model import Instance

_KEY_BYTES: Final = 32
"""Random bytes in a key, as `nodepass genkey` makes one."""

_INPUT: Final = "outlined dense hide-bottom-space"

_NO_KEY: Final = "none: everybody can derive it"

_PARTS: Final = {
    Mode.SERVER: {
        "address": (
            "Tunnel address",
            ":10101",
            "Where clients of this server connect: host:port; without a host, everywhere",
        ),
        "targets": (
            "Target",
            "127.0.0.1:8080",
            "mode 1: where users come in. mode 2: what they are taken to; several with commas",
        ),
    },
    Mode.CLIENT: {
        "address": (
            "Tunnel address",
            "server.example:10101",
            "The server's tunnel address; with mode 1, where users come in",
        ),
        "targets": (
            "Target",
            "127.0.0.1:80",
            "What users are taken to; several with commas. In forward flow, where they come in",
        ),
    },
}


def open_form(backend: Backend, instance: Instance | None = None, *, copy: bool = False) -> None:
    """Let somebody make an instance, or edit one.

    Args:
        backend: of the master.
        instance: what to begin with.
        copy: whether another is made of it.
    """
    edited = None if copy else instance
    title = "New instance" if edited is None else f"Edit {name_of(edited)}"
    with dialog(title, wide=True) as opened:
        Form(backend, instance, edited, opened)
    opened.open()


class Form:
    """The form.

    Args:
        backend: of the master.
        source: what to begin with.
        edited: the instance that is edited; None where one is made.
        opened: the dialog that it is in.
    """

    def __init__(self, backend: Backend, source: Instance | None, edited: Instance | None, opened: ui.dialog) -> None:
        self._core, self._config = backend.parts.core, backend.config
        self._edited, self._dialog = edited, opened
        self._draft = draft_of(source.url) if source is not None else Draft(Mode.SERVER)
        self._kept_key = self._draft.key
        self._key_seen = not self._kept_key
        self._alias = ""
        self._tried = False
        self._at_work = False
        self._touched: set[str] = set()
        self._fields: dict[str, Any] = {}
        self._shows_key = False
        if edited is None:
            modes = {Mode.SERVER: "Server", Mode.CLIENT: "Client"}
            ui.toggle(modes, value=self._draft.mode, on_change=self._turn).props("no-caps unelevated").classes("np-toggle")
        self._body = ui.element("div")
        self._make_body()
        with ui.element("div").classes("np-form-end"):
            self._whole = ui.label().classes("np-bad").props('role="alert"')
            ui.label("URL").classes("np-label")
            with ui.row().classes("np-url-row"):
                self._url = ui.label().classes("np-url").props('aria-label="Resulting URL" tabindex="0"')
                self._eye = icon_button("visibility", "Show the key in the URL", self._turn_url)
            with ui.row().classes("np-buttons"):
                ui.button("Cancel", on_click=opened.close).props("flat no-caps")
                ui.button(_what_it_does(edited), on_click=self._submit).props("unelevated no-caps")
        self._unchanged = self._contents()
        self._refresh()

    # Its fields.

    def _turn(self, event: Any) -> None:
        """Make of a server's form a client's, or back; what both have stays."""
        self._draft.mode = Mode(event.value)
        names = {each.name for fields in groups_of(self._draft.mode, self._config).values() for each in fields}
        self._draft.values = {name: text for name, text in self._draft.values.items() if name in names}
        self._make_body()
        self._refresh()

    def _make_body(self) -> None:
        self._body.clear()
        self._fields = {}
        with self._body:
            with ui.element("div").classes("np-fields"):
                if self._edited is None:
                    self._text("alias", self._alias, ("Alias", "", "A name for people"), longest=LONGEST_TEXT)
                self._key_field()
                for name, texts in _PARTS[self._draft.mode].items():
                    self._text(name, getattr(self._draft, name), texts)
            for title, fields in groups_of(self._draft.mode, self._config).items():
                self._group(title, fields)

    def _group(self, title: str, fields: list[Field]) -> None:
        if not title:
            with ui.element("div").classes("np-fields"):
                for each in fields:
                    self._parameter(each)
            return
        given = [each.name for each in fields if each.name in self._draft.values]
        names = ", ".join(each.name for each in fields)
        group = ui.expansion(title, caption=names, value=bool(given)).classes("np-group")
        with group, ui.element("div").classes("np-fields"):
            for each in fields:
                self._parameter(each)

    def _parameter(self, each: Field) -> None:
        value = self._draft.values.get(each.name, "")
        if each.look is Look.SWITCH:
            with ui.element("div").classes("np-field"):
                is_on = (value or each.default) == "1"
                ui.switch(each.name, value=is_on, on_change=lambda event: self._set_flag(each, on=bool(event.value)))
                ui.label(each.help).classes("np-help")
            return
        if each.look is Look.CHOICE:
            options = {"": each.default_label, **each.choices}
            element: Any = ui.select(
                options, label=each.name, value=value, on_change=lambda e: self._set(each.name, e.value)
            )
            element.without_auto_validation().props(_INPUT + " options-dense")
        else:
            element = ui.input(each.name, placeholder=each.default_label, value=value).without_auto_validation()
            element.on_value_change(lambda event: self._set(each.name, event.value))
            element.on("keydown.enter", self._submit).props(_INPUT + ' autocomplete="off" stack-label')
        element.classes("np-field").props["hint"] = each.help
        self._fields[each.name] = element

    def _text(self, name: str, value: str, texts: tuple[str, str, str], *, longest: int = 4096) -> None:
        label, placeholder, hint = texts
        element = ui.input(label, placeholder=placeholder, value=value).without_auto_validation()
        element.on_value_change(lambda event: self._set(name, event.value)).on("keydown.enter", self._submit)
        element.props(f'{_INPUT} maxlength={longest} autocomplete="off" stack-label').classes("np-field")
        element.props["hint"] = hint
        self._fields[name] = element

    def _key_field(self) -> None:
        is_on_page = self._key_seen or self._draft.key != self._kept_key
        element = ui.input("Key", value=self._draft.key if is_on_page else "", password=True).without_auto_validation()
        element.on_value_change(lambda event: self._set("tunnel key", event.value)).on("keydown.enter", self._submit)
        element.props["placeholder"] = _NO_KEY if self._key_seen else "unchanged"
        element.props(f'{_INPUT} maxlength=512 autocomplete="new-password" stack-label').classes("np-field")
        element.props["hint"] = "The same at both ends. Without one, it is derived from the tunnel's port"
        with element.add_slot("append"):
            icon_button("autorenew", "Generate a key", self._generate)
            icon_button("visibility", "Show the key", self._turn_key)
        self._fields["tunnel key"] = element

    def _generate(self) -> None:
        self._fields["tunnel key"].set_value(secrets.token_urlsafe(_KEY_BYTES))
        self._fields["tunnel key"].props("type=text")

    def _turn_key(self) -> None:
        element = self._fields["tunnel key"]
        is_hidden = element.props.get("type") == "password"
        if is_hidden and not element.value and not self._key_seen:
            self._key_seen = True
            element.props["placeholder"] = _NO_KEY
            element.set_value(self._kept_key)
        element.props(f"type={'text' if is_hidden else 'password'}")

    # What is in them.

    def _set(self, name: str, value: str | None) -> None:
        text = value or ""
        if name == "alias":
            self._alias = text
        elif name == "tunnel key":
            self._draft.key = text or ("" if self._key_seen else self._kept_key)
        elif name in _PARTS[self._draft.mode]:
            setattr(self._draft, name, text)
        elif text:
            self._draft.values[name] = text
        else:
            self._draft.values.pop(name, None)
        self._touched.add(name)
        self._refresh()

    def _set_flag(self, each: Field, *, on: bool) -> None:
        text = "1" if on else "0"
        self._set(each.name, "" if text == each.default else text)

    def _turn_url(self) -> None:
        self._shows_key = not self._shows_key
        icon = "visibility_off" if self._shows_key else "visibility"
        self._eye.props(f'icon={icon} aria-label="{"Hide" if self._shows_key else "Show"} the key in the URL"')
        self._refresh()

    def _refresh(self) -> dict[str, str]:
        """Show the URL, and what is wrong at the fields that somebody has touched; gives all that is wrong."""
        self._url.set_text(self._draft.url(shown=not self._shows_key))
        wrong = self._draft.problems(self._config)
        for name, element in self._fields.items():
            element.error = wrong.get(name) if self._tried or name in self._touched else None
        without_field = [text for name, text in wrong.items() if name not in self._fields]
        self._whole.set_text("; ".join(without_field) if self._tried else "")
        keep_open(self._dialog, kept=self._contents() != self._unchanged)
        return wrong

    def _contents(self) -> tuple[object, ...]:
        """What would be lost, if it is not what was there at first."""
        draft = self._draft
        return self._alias, draft.key, draft.address, draft.targets, dict(draft.values)

    async def _submit(self) -> None:
        self._tried = True
        if wrong := self._refresh():
            first = next((element for name, element in self._fields.items() if name in wrong), None)
            if first is not None:
                first.run_method("focus")
            ui.notify("Some fields are not right yet", type="warning")
            return
        # Enter repeats while it is held down, and the dialog takes a moment to be gone: once it has worked, no more.
        if self._at_work:
            return
        self._at_work = True
        if self._edited is None:
            made = await attempt(self._core.create(self._draft.url(), self._alias.strip()))
        else:
            made = await attempt(self._core.replace_url(self._edited.id, self._draft.url()))
        if made is None:
            self._at_work = False
        else:
            ui.notify(f"{name_of(made)} starts", type="positive")
            self._dialog.close()


def _what_it_does(edited: Instance | None) -> str:
    """What the button says: an instance that gets another URL is started, even one that was stopped (spec: master.md)."""
    if edited is None:
        return "Create"
    return "Save and start" if edited.status is Status.STOPPED else "Save and restart"
