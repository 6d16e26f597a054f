"""Who a master is, and the key to it."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from nodepass.config import Secret
from nodepass.master.changes import check_text
from nodepass.master.state_tables import MasterRow

if TYPE_CHECKING:
    from nodepass.master.events import EventHub
    from nodepass.master.store import Store

_ID_BYTES: Final = 8
_KEY_BYTES: Final = 16


def new_master() -> MasterRow:
    """Make a random identity."""
    return MasterRow(secrets.token_hex(_ID_BYTES), _new_key())


def _new_key() -> Secret:
    return Secret(secrets.token_hex(_KEY_BYTES))


class MasterIdentity:
    """ID, key and alias of this master.

    Args:
        row: as they are stored.
        store: where.
        events: whose streams end when the key changes.
    """

    def __init__(self, row: MasterRow, store: Store, events: EventHub) -> None:
        self._row = row
        self._store = store
        self._events = events

    @property
    def id(self) -> str:
        """16 hex digits."""
        return self._row.id

    @property
    def api_key(self) -> Secret:
        """32 hex digits."""
        return self._row.api_key

    @property
    def alias(self) -> str:
        """A name for people."""
        return self._row.alias

    def accepts(self, key: str) -> bool:
        """Whether this is the API key; it takes the same time whatever part of it is right."""
        return hmac.compare_digest(key.encode("utf-8", "replace"), self.api_key.reveal().encode("ascii"))

    async def rename(self, alias: str) -> None:
        """Change the alias.

        Raises:
            ConfigError: it is too long.
            StateError: it cannot be stored.
        """
        check_text("alias", alias)
        await self._become(replace(self._row, alias=alias))

    async def renew_key(self) -> None:
        """Make another key; the old one opens nothing any more, and all event streams end.

        Raises:
            StateError: it cannot be stored, and the old one stays.
        """
        await self._become(replace(self._row, api_key=_new_key()))
        self._events.end_streams()

    async def _become(self, row: MasterRow) -> None:
        await self._store.save_master(row)
        self._row = row
