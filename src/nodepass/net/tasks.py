"""Background tasks that somebody holds: none is lost, and no error of theirs goes unseen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from nodepass.log import Log


class Tasks:
    """The background tasks of one owner, cancelled together when it ends."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._running: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` in the background; an exception that it does not handle is logged as an error."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._log.error("%s failed: %r", task.get_name(), error)

    def cancel(self) -> None:
        """Ask all to end."""
        for task in self._running:
            task.cancel()

    async def cancelled(self) -> None:
        """Ask all to end, and wait until they have."""
        self.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
