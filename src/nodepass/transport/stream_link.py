"""What links have in common that are one stream of a connection with many, as in QUIC and HTTP/2.

A `StreamLink` has the two queues, the watermarks and the end of life; its connection has the socket, the flow control and
the other streams. The connection calls `received`, `peer_ended`, `peer_reset`, `peer_stopped`, `connection_failed` and
`room`; the link calls the abstract methods below, which hand something to the connection.

What always holds, besides what `nodepass.transport.base` says:

- What has come and is not read waits in `_stash`. Its sender is granted more only for what has been read (`_consumed`), so
  that a slow reader holds one window of memory, and no other stream is held up by it.
- What the connection does not take waits in `_queue`; the connection calls `room` when it takes more.
- Each direction comes to an end once, by its end or by a reset. When both have, `_release` is called, once, and the
  connection may forget the stream. That can be long after the link is gone for its owner: what a peer sends on a link
  that has been closed is refused until then.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Final

from nodepass.transport.base import Ending
from nodepass.transport.queued_link import QueuedLink

if TYPE_CHECKING:
    import asyncio

    from nodepass.net.address import Address

SMALL = 4 * 1024
"""Bytes up to which pieces that wait to be read are joined."""

MOST_PIECES = 256
"""Pieces that wait unjoined where they may be datagrams."""

NOTHING: Final[deque[bytes]] = deque()
"""The stash of all streams where nothing waits: an empty one takes much memory, too."""


class StreamLink(QueuedLink):
    """One stream of a connection.

    Args:
        remote: the other side.
    """

    __slots__ = ("_failure", "_heard_end", "_lost", "_stash", "_stashed", "_told_end", "_wake")

    record_size = None

    def __init__(self, remote: Address) -> None:
        super().__init__(remote)
        self._stash = NOTHING
        self._stashed = 0
        self._told_end = False
        self._heard_end = False
        self._failure: Exception | None = None
        self._lost = False
        self._wake: asyncio.Handle | None = None

    # What each kind of connection does in its way.

    @abstractmethod
    def _carry(self, data: bytes | bytearray | memoryview) -> int:
        """Hand over as much as the connection takes now; how many bytes that were. Fewer: it calls `room` later.

        The connection tells of its end later, and never from inside this call.
        """

    @abstractmethod
    def _send_end(self) -> None:
        """End the sending direction behind what has been carried."""

    @abstractmethod
    def _send_reset(self) -> None:
        """Break the sending direction, unless it has ended, and have the peer send no more; at once."""

    @abstractmethod
    def _refuse(self) -> None:
        """Have the peer send no more: it sent something to a link that was closed."""

    @abstractmethod
    def _consumed(self, count: int) -> None:
        """So many bytes have been read: the peer may be granted as many."""

    @abstractmethod
    def _release(self) -> None:
        """Both directions have come to their end: the stream can be forgotten."""

    # What is asked of a link.

    @property
    def gone(self) -> bool:
        return self._lost

    @property
    def quiet(self) -> bool:
        return not (self._lost or self._stash or self._heard_end or self._failure is not None)

    def pause_reading(self) -> None:
        self._reading = False

    def resume_reading(self) -> None:
        if self._reading or self._lost or self._ending is not None:
            return
        self._reading = True
        if self._wake is None and not self.quiet:
            self._wake = self._loop.call_soon(self._woken)

    def read_now(self) -> None:
        """Nothing lies over a stream."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._lost or self._write_ended or not data:
            return
        carried = 0 if self._queue else self._carry(data)
        if carried < len(data) and self._queue.append(data, carried):
            self._receiver.pause_writing()

    def write_eof(self) -> None:
        if self._lost or self._write_ended:
            return
        self._write_ended = True
        if not self._queue:
            self._all_sent()

    def close(self) -> None:
        if self._ending is not None or self._lost:
            return
        self._ending = Ending.CLOSE
        self._read_no_more()
        if self._queue:
            self._abort_later()
        else:
            self._all_sent()

    def abort(self) -> None:
        if self._lost:
            return
        if not (self._told_end and self._heard_end):
            self._send_reset()
            self._end_told()
        self._lose(None)

    # What the connection tells.

    def received(self, data: bytes | memoryview) -> None:
        """The next bytes of the peer; a view is valid during the call only."""
        if self._lost or self._ending is not None:
            self._refuse()
        elif self._reading and not self._stash and self._wake is None:
            self._deliver(data)
        else:
            self._stashed += len(data)
            joins = self.coalesce or len(self._stash) >= MOST_PIECES
            if joins and self._stash and len(self._stash[-1]) + len(data) <= SMALL:
                # Many small pieces would take many times the memory of what is in them.
                self._stash[-1] += data
            else:
                if self._stash is NOTHING:
                    self._stash = deque()
                self._stash.append(bytes(data))

    def peer_ended(self) -> None:
        """The peer sends no more, in order."""
        self._end_heard()
        self._read_on()

    def peer_reset(self, error: Exception) -> None:
        """The peer broke the stream."""
        self._end_heard()
        if not self._lost:
            if not self._told_end:
                self._send_reset()
                self._end_told()
            self._fail(error)

    def peer_stopped(self, error: Exception) -> None:
        """The peer takes no more; what it had sent before can still be read."""
        if self._told_end or self._lost:
            return
        self._end_told()
        self._fail(error)

    def connection_failed(self, error: Exception | None) -> None:
        """The connection is gone, and the stream with it; None where both sides wanted that."""
        self._told_end = self._heard_end = True
        if error is None or self._ending is not None:
            self._lose(error)
        else:
            self._fail(error)

    def room(self) -> None:
        """The connection takes more."""
        if self._queue:
            self._queue.drain(self._carry)
            if not self._queue and (self._write_ended or self._ending is not None):
                self._all_sent()
        if self._queue.relieved():
            self._receiver.resume_writing()

    # Reading.

    def _deliver(self, data: bytes | memoryview) -> None:
        self._receiver.data_received(memoryview(data))
        if not self._heard_end:
            self._consumed(len(data))

    def _woken(self) -> None:
        self._wake = None
        self._read_on()

    def _read_on(self) -> None:
        """Deliver what has come, and behind it the end, as far as the receiver reads."""
        if self._wake is not None:
            return
        while self._reading and self._stash:
            data = self._stash.popleft()
            self._stashed -= len(data)
            self._deliver(data)
        if not self._reading or self._lost:
            return
        if self._failure is not None and (self._heard_end or self._read_ended):
            self._lose(self._failure)
        elif self._heard_end and not self._read_ended:
            self._read_ended = True
            self._receiver.eof_received()
            self._lose_if_done()

    def _read_no_more(self) -> None:
        """The owner closed the link: what came unread is lost to it, and the peer is told so."""
        self._reading = False
        if self._stash:
            self._stash = NOTHING
            self._stashed = 0
            self._refuse()

    # The end.

    def _all_sent(self) -> None:
        """The queue is empty: what waited for that can happen."""
        if self._ending is Ending.BREAK:
            self._abort_when_received()
            return
        self._write_ended = True
        if not self._told_end:
            self._send_end()
            self._end_told()
        if self._ending is Ending.CLOSE:
            self._lose(None)
        else:
            self._lose_if_done()

    def _lose_if_done(self) -> None:
        if self._read_ended and self._told_end:
            self._lose(None)

    def _left(self) -> object:
        return self._queue.size, self._stashed

    def _end_told(self) -> None:
        if not self._told_end:
            self._told_end = True
            if self._heard_end:
                self._release()

    def _end_heard(self) -> None:
        if not self._heard_end:
            self._heard_end = True
            if self._told_end:
                self._release()

    def _fail(self, error: Exception) -> None:
        """The stream is broken: tell so behind what has come before, for which there is a while."""
        if self._lost:
            return
        self._failure = error
        self._write_ended = True
        self._queue.clear()
        if self._ending is not None:
            self._lose(error)
            return
        self._lose_unless_read(error)
        self._read_on()

    def _lose(self, error: Exception | None) -> None:
        """The link is gone for its owner, who is told once."""
        if self._lost:
            return
        self._lost = True
        self._reading = False
        self._stash = NOTHING
        self._stashed = 0
        self._queue.clear()
        for handle in (self._linger, self._wake):
            if handle is not None:
                handle.cancel()
        self._tell_lost(error)
