"""What a request changes about an instance; texts that are too long or cannot be written down are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nodepass.errors import ConfigError
from nodepass.master.model import LONGEST_TEXT, Action

if TYPE_CHECKING:
    from nodepass.master.model import Change, Instance


def check_text(name: str, text: str) -> None:
    """Refuse a text of more than 256 characters, or with half a character (a lone surrogate) in it.

    Raises:
        ConfigError: it is refused; the message does not repeat it.
    """
    if len(text) > LONGEST_TEXT:
        raise ConfigError(name, None, f"expected at most {LONGEST_TEXT} characters")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigError(name, None, "expected text without lone surrogates") from None


def check_change(change: Change) -> None:
    """Refuse a change with such a text.

    Raises:
        ConfigError: see `check_text`.
    """
    if change.alias is not None:
        check_text("alias", change.alias)
    if change.peer is not None:
        for member in ("sid", "type", "alias"):
            check_text(f"peer {member}", getattr(change.peer, member))
    for key, value in (change.tags or {}).items():
        check_text("tag", key)
        check_text("tag", value)


def changed_fields(instance: Instance, change: Change) -> dict[str, Any]:
    """The fields that differ after a change, and are stored."""
    restart = instance.restart if change.restart is None else change.restart
    if change.action is Action.TOGGLE_RESTART:
        restart = not restart
    asked = {
        "alias": change.alias,
        "restart": restart,
        "peer": change.peer,
        "tags": None if change.tags is None else dict(change.tags),
    }
    return {name: value for name, value in asked.items() if value is not None and value != getattr(instance, name)}
