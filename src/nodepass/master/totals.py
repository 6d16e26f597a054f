"""Byte counts on their way to the disk: many at a time, and not more often than once a second."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from nodepass.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.log import Log
    from nodepass.master.model import Instance
    from nodepass.master.store import Store

SAVE_INTERVAL: Final = 1.0
"""Seconds between two savings at least."""


class TotalsSaver:
    """Saves the byte counts that have changed; what cannot be saved is tried again.

    Args:
        store: where.
        existing: gives those of these instances that are still there.
        log: of the master.
    """

    def __init__(self, store: Store, existing: Callable[[set[str]], list[Instance]], log: Log) -> None:
        self._store = store
        self._existing = existing
        self._log = log
        self._counted: set[str] = set()
        self._something = asyncio.Event()
        self._fails = False

    def has_counted(self, instance_id: str) -> None:
        """Save the counts of this instance soon."""
        self._counted.add(instance_id)
        self._something.set()

    async def run(self) -> None:
        """Save them, for ever."""
        while True:
            await self._something.wait()
            self._something.clear()
            counted, self._counted = self._counted, set()
            try:
                await self._store.save_totals(self._existing(counted))
            except StateError as error:
                for instance_id in counted:
                    self.has_counted(instance_id)
                self._tell_failure(error)
            else:
                self._tell_success()
            await asyncio.sleep(SAVE_INTERVAL)

    def _tell_failure(self, error: StateError) -> None:
        if not self._fails:
            self._log.error("Byte counts are not saved: %s", error)
        self._fails = True

    def _tell_success(self) -> None:
        if self._fails:
            self._log.info("Byte counts are saved again")
        self._fails = False
