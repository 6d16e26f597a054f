"""An event loop in a thread of its own, for what must go on while a test waits."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from tests.harness import TIMEOUT

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

T = TypeVar("T")

TURNS: Final = 5


class LoopThread:
    """A context manager; what runs on it ends with it."""

    def __init__(self) -> None:
        self.loop = asyncio.SelectorEventLoop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.run(self._cancel_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, T], timeout: float = TIMEOUT) -> T:
        """Run it there, and wait for what comes of it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout)

    @staticmethod
    async def _cancel_all() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        # Transports close in the turns after the one in which they are told to.
        for _ in range(TURNS):
            await asyncio.sleep(0)
