"""Looking at the first bytes of a connection before deciding what it is, without taking them from whoever comes next."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Protocol

from nodepass.errors import ProtocolError, SilentEndError

if TYPE_CHECKING:
    from collections.abc import Callable


class Examiner(Protocol):
    """What is asked about the first bytes."""

    def __call__(self, data: bytes) -> int | None:
        """Take what has come since the last call; None to see more, else how many of these bytes to remove.

        Raises:
            ProtocolError: the connection is not what it should be.
        """


class Peek:
    """One connection being looked at.

    Args:
        sock: non-blocking; the caller's until `done`, which gives it back.
        size: most bytes to look at, at a time.
        timeout: seconds until an undecided connection is closed.
        examine: see `Examiner`. While it asks for more, what it has seen is removed, since it stays in no one's way.
        done: called once with the socket when `examine` has decided.
        failed: called instead when it ends, breaks or takes too long; the socket is closed then. The error is a
            `SilentEndError` where it ended and not one byte had come.
    """

    __slots__ = ("_done", "_examine", "_failed", "_loop", "_size", "_sock", "_spoke", "_timer")

    def __init__(
        self,
        sock: socket.socket,
        size: int,
        timeout: float,
        examine: Examiner,
        done: Callable[[socket.socket], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)
        self._sock = sock
        self._size = size
        self._examine = examine
        self._done = done
        self._failed = failed
        self._spoke = False
        self._timer = self._loop.call_later(timeout, self._fail, ProtocolError("nothing was sent in time"))
        self._loop.add_reader(sock.fileno(), self._on_readable)

    def cancel(self) -> None:
        """Close the connection; nothing is called any more."""
        self._release()
        self._sock.close()

    def _on_readable(self) -> None:
        try:
            data = self._sock.recv(self._size, socket.MSG_PEEK)
            self._spoke = self._spoke or bool(data)
            remove = self._examine(data) if data else self._ended_early()
            taken = len(data) if remove is None else remove
            if taken:
                self._sock.recv(taken)
        except (BlockingIOError, InterruptedError):
            return
        except ConnectionResetError as error:
            self._fail(error if self._spoke else SilentEndError("it was reset before it began"))
            return
        except (OSError, ProtocolError) as error:
            self._fail(error)
            return
        if remove is not None:
            self._release()
            self._done(self._sock)

    def _ended_early(self) -> int:
        if self._spoke:
            raise ProtocolError("it ended in its first bytes")
        raise SilentEndError("it ended before it began")

    def _release(self) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self._sock.fileno())

    def _fail(self, error: Exception) -> None:
        self.cancel()
        self._failed(error)
