"""What all links have in common that keep what the network does not take yet: who hears them, the queue, how they end."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from functools import partial
from typing import TYPE_CHECKING

from nodepass.transport.base import LINGER, NOBODY, Ending, Link, gone_before_use
from nodepass.transport.patience import Patience, UnreadError
from nodepass.transport.send_queue import SendQueue

if TYPE_CHECKING:
    from nodepass.net.address import Address
    from nodepass.transport.base import Receiver


class QueuedLink(Link):
    """Such a link.

    Args:
        remote: the other side.
    """

    __slots__ = (
        "_ending",
        "_last_error",
        "_linger",
        "_loop",
        "_queue",
        "_read_ended",
        "_reading",
        "_receiver",
        "_write_ended",
    )

    def __init__(self, remote: Address) -> None:
        self._loop = asyncio.get_running_loop()
        self._receiver: Receiver = NOBODY
        self._queue = SendQueue()
        self._reading = False
        self._read_ended = False
        self._write_ended = False
        self._ending: Ending | None = None
        self._last_error: Exception | None = None
        self._linger: asyncio.TimerHandle | Patience | None = None
        self.coalesce = True
        self.remote = remote

    @property
    def unsent(self) -> int:
        return self._queue.size

    def attach(self, receiver: Receiver) -> None:
        if self.gone:
            self._loop.call_soon(receiver.connection_lost, self._last_error or gone_before_use())
            return
        self._receiver = receiver
        self.resume_reading()

    def break_off(self) -> None:
        if self._ending is not None or self.gone:
            return
        self._ending = Ending.BREAK
        self._read_no_more()
        if self._linger is not None:
            self._linger.cancel()
        self._linger = Patience(self._left, self.abort)
        if not self._queue:
            self._abort_when_received()

    @abstractmethod
    def _read_no_more(self) -> None:
        """The owner ends the link: nothing that comes is delivered any more."""

    @abstractmethod
    def _abort_when_received(self) -> None:
        """Call `abort` once all that has been sent has arrived, as far as a reset could overtake it."""

    @abstractmethod
    def _left(self) -> object:
        """What is left to be moved, for a `Patience`."""

    @abstractmethod
    def _lose(self, error: Exception | None) -> None:
        """The link is gone for its owner, who is told once."""

    def _lose_unless_read(self, error: Exception) -> None:
        """The link broke, and what had come before can still be read, for a while."""
        if self._linger is None:
            self._linger = Patience(self._left, partial(self._lose, UnreadError(*error.args)))

    def _abort_later(self) -> None:
        """What is left has a while to go, in order."""
        if self._linger is not None:
            self._linger.cancel()
        self._linger = self._loop.call_later(LINGER, self.abort)

    def _tell_lost(self, error: Exception | None) -> None:
        """Nothing comes behind this: the receiver is told, and forgotten."""
        if error is not None:
            self._last_error = error
        receiver, self._receiver = self._receiver, NOBODY
        receiver.connection_lost(error)
