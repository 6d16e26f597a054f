"""What runs once in the background, from `start` to `stop`, and is used as an asynchronous context manager."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Protocol, Self

if TYPE_CHECKING:
    from types import TracebackType

    from nodepass.errors import NodePassError


class Stage(StrEnum):
    """How far something has come."""

    STARTING = "starting"
    LISTENING = "listening"
    """It is ready, and a server waits for a client."""
    CONNECTED = "connected"
    """Users can be carried."""


class Staged(Protocol):
    """What can tell how far it has come."""

    @property
    def is_ready(self) -> bool:
        """Whether it listens; a client without users of its own, whether it has met its server."""

    @property
    def is_connected(self) -> bool:
        """Whether users can be carried."""


def stage_of(instance: Staged) -> Stage:
    """How far an instance has come."""
    if instance.is_connected:
        return Stage.CONNECTED
    return Stage.LISTENING if instance.is_ready else Stage.STARTING


class Life(ABC):
    """One of what runs so. What has been stopped is not started again: another is made."""

    title: str
    """How log lines call it."""

    _noun: ClassVar[str]
    """How errors call it."""

    _stopped: ClassVar[type[NodePassError]]
    """What is raised for those who wait for a state that will not come."""

    def __init__(self) -> None:
        self._life: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Begin to run in the background. It runs once.

        Raises:
            ConfigError: a file that the URL names is no good; nothing has been bound.
            RuntimeError: it has been started before, whether it still runs or not.
        """
        if self._life is not None:
            raise RuntimeError(f"{self._noun} has been started before, and runs once: make another one of the same URL")
        self._load()
        self._life = asyncio.get_running_loop().create_task(self._live(), name=f"nodepass {self.title.lower()}")

    async def stop(self) -> None:
        """Have it end, which gives what is in progress some time to finish, and wait for that."""
        self._stopping.set()
        if self._life is not None:
            await self._life

    async def wait(self) -> None:
        """Wait until it has been stopped."""
        if self._life is not None:
            await asyncio.shield(self._life)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    @abstractmethod
    def _load(self) -> None:
        """Load what the URL names, before anything is bound.

        Raises:
            ConfigError: a file is no good.
        """

    @abstractmethod
    async def _live(self) -> None:
        """Run until `_stopping` is set, and close everything."""

    async def _until(self, state: asyncio.Event) -> None:
        """Wait for a state; once it is being stopped, that will not come.

        Raises:
            RuntimeError: it has not been started.
            NodePassError: it was stopped, before or while this waits: the class says with which error.
        """
        if self._life is None:
            raise RuntimeError(f"{self._noun} has not been started: call start() first, or use `async with`")
        reached = asyncio.ensure_future(state.wait())
        stopping = asyncio.ensure_future(self._stopping.wait())
        try:
            if not self._stopping.is_set():
                await asyncio.wait((reached, stopping, self._life), return_when=asyncio.FIRST_COMPLETED)
            if not reached.done():
                raise self._stopped(f"{self._noun} was stopped")
        finally:
            reached.cancel()
            stopping.cancel()
