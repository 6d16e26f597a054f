"""The tunnel as an end of a UDP relay: datagrams in a byte stream.

Between two ends of this project a length stands in front of each (`FramedEnd`). v1 writes them into the stream with no
boundary (spec: wire.md, User data); `UnframedEnd` keeps what boundaries there are: one write per datagram, one datagram per
read, and with TLS one record each.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Final

from nodepass.log import WARN
from nodepass.protocol.udp_frame import DatagramSplitter, header
from nodepass.relay.datagram_ends import DatagramEnd
from nodepass.transport.base import HIGH_WATER

if TYPE_CHECKING:
    from nodepass.log import Log
    from nodepass.relay.datagram_ends import DatagramReceiver
    from nodepass.transport.base import Link

LARGEST_DATAGRAM: Final = 65507
"""Bytes of payload that fit into one UDP datagram over IPv4."""

MOST_UNSENT: Final = 512 * 1024
"""Bytes that may wait for the tunnel: a burst of datagrams comes faster than a stream takes it."""

BATCH: Final = 128 * 1024
"""Bytes of datagrams that are handed on together at most."""


class LinkEnd(DatagramEnd):
    """What both kinds share.

    Args:
        link: to the other end of the tunnel.
        largest: most bytes of a datagram (NP_UDP_DATA_BUF_SIZE).
        log: where dropped datagrams are told of.
        early: bytes that have been read from the link.
        ended: whether its end has been.
    """

    __slots__ = ("_early", "_ended", "_largest", "_link", "_log")

    def __init__(self, link: Link, largest: int, log: Log, early: bytes = b"", *, ended: bool = False) -> None:
        self._link = link
        self._log = log
        self._largest = largest
        self._early = early
        self._ended = ended

    def start(self, receiver: DatagramReceiver) -> None:
        self.receiver = receiver
        self._link.attach(self)
        if self._early:
            self.data_received(memoryview(self._early))
            self._early = b""
        if self._ended:
            self.eof_received()

    def pause(self) -> None:
        self._link.pause_reading()

    def resume(self) -> None:
        self._link.resume_reading()

    def close(self) -> None:
        self._link.close()

    # As the link's receiver.

    @abstractmethod
    def data_received(self, data: memoryview) -> None:
        """See `nodepass.transport.base.Receiver`."""

    def eof_received(self) -> None:
        self.receiver.end_lost(None)

    def connection_lost(self, error: Exception | None) -> None:
        self.receiver.end_lost(error)

    def pause_writing(self) -> None:
        """Nothing to stop: `send` drops while there is no room."""

    def resume_writing(self) -> None:
        """See `pause_writing`."""


class FramedEnd(LinkEnd):
    """Each datagram behind its length, so that it comes out as it went in, of whatever size.

    Those that are sent in one turn of the loop go on together. Those that have come together and are not wanted at once
    wait here.
    """

    __slots__ = ("_batch", "_batched", "_held", "_loop", "_paused", "_splitter")

    def __init__(self, link: Link, largest: int, log: Log, early: bytes = b"", *, ended: bool = False) -> None:
        super().__init__(link, largest, log, early, ended=ended)
        self._loop = asyncio.get_running_loop()
        self._splitter = DatagramSplitter()
        self._batch: list[bytes | memoryview] = []
        self._batched = 0
        self._held: deque[bytes] = deque()
        self._paused = False

    def send(self, datagram: bytes | memoryview) -> bool:
        size = len(datagram)
        if self._link.unsent + self._batched > MOST_UNSENT:
            return False
        if not self._batch:
            self._loop.call_soon(self._flush)
        # The memory of a datagram is the socket's, which reads the next one into it.
        self._batch += (header(size), bytes(datagram))
        self._batched += size
        if self._batched > BATCH:
            self._flush()
        return True

    def close(self) -> None:
        self._held.clear()
        self._flush()
        super().close()

    def data_received(self, data: memoryview) -> None:
        receiver = self.receiver
        for datagram in self._splitter.feed(data):
            if len(datagram) <= self._largest:
                if self._paused:
                    self._held.append(bytes(datagram))
                else:
                    receiver.datagram_received(datagram)
            else:
                self._log.seldom(
                    "udp oversized",
                    WARN,
                    "UDP: dropped a datagram of %d bytes from the tunnel: NP_UDP_DATA_BUF_SIZE is %d",
                    len(datagram),
                    self._largest,
                )

    def pause(self) -> None:
        self._paused = True
        super().pause()

    def resume(self) -> None:
        self._paused = False
        if self._held:
            self._loop.call_soon(self._deliver_held)
        else:
            super().resume()

    def _deliver_held(self) -> None:
        while self._held and not self._paused:
            self.receiver.datagram_received(memoryview(self._held.popleft()))
        if not self._paused:
            super().resume()

    def _flush(self) -> None:
        if self._batch:
            batch, self._batch = self._batch, []
            self._batched = 0
            self._link.write(b"".join(batch))


class UnframedEnd(LinkEnd):
    """Datagrams written into the link one by one, each read taken for one."""

    __slots__ = ()

    def __init__(self, link: Link, largest: int, log: Log, early: bytes = b"", *, ended: bool = False) -> None:
        super().__init__(link, min(largest, LARGEST_DATAGRAM), log, early, ended=ended)
        link.coalesce = False

    def send(self, datagram: bytes | memoryview) -> bool:
        if self._link.unsent > HIGH_WATER:
            return False
        record_size = self._link.record_size
        if record_size is not None and len(datagram) > record_size:
            # The other end takes each record for a datagram: it would come out in pieces.
            self._log.seldom(
                "udp record", WARN, "UDP: dropped a datagram of %d bytes: over TLS, %d fit", len(datagram), record_size
            )
            return False
        self._link.write(datagram)
        return True

    def data_received(self, data: memoryview) -> None:
        for start in range(0, len(data), self._largest):
            self.receiver.datagram_received(data[start : start + self._largest])
