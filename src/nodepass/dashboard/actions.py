"""What people do to instances here: the calls that the API makes as well, and what came of them, told on the page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from nicegui import ui

from nodepass.dashboard.dialogs import ask
from nodepass.errors import NodePassError
from nodepass.master.model import Action, Change

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from nodepass.master.api.core import Core
    from nodepass.master.model import Instance

T = TypeVar("T")

_DONE: Final = {
    Action.START: "{} starts",
    Action.STOP: "{} has stopped",
    Action.RESTART: "{} restarts",
    Action.RESET: "The counters of {} are at zero",
}


def name_of(instance: Instance) -> str:
    """What people call an instance."""
    return instance.alias or instance.id


async def attempt(work: Coroutine[Any, Any, T], done: str = "") -> T | None:
    """Do something, and tell what came of it; None where it was refused."""
    try:
        result = await work
    except NodePassError as error:
        ui.notify(str(error), type="negative", timeout=8000, close_button="Close")
        return None
    if done:
        ui.notify(done, type="positive")
    return result


async def act(core: Core, instance_id: str, action: Action) -> None:
    """Start, stop, restart or reset an instance."""
    instance = await attempt(core.change(instance_id, Change(action=action)))
    if instance is not None:
        ui.notify(_DONE[action].format(name_of(instance)), type="positive")


async def delete(core: Core, instance: Instance) -> bool:
    """Delete an instance, if the person means it; tells whether it is gone."""
    text = "It is stopped and forgotten, with its URL, its key, its counters and its log. This cannot be undone."
    if not await ask(f"Delete {name_of(instance)}?", text, "Delete"):
        return False
    try:
        await core.delete(instance.id)
    except NodePassError as error:
        ui.notify(str(error), type="negative")
        return False
    ui.notify(f"{name_of(instance)} is deleted", type="positive")
    return True
