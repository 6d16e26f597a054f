"""Links of no network: what is done to them is written down, and what they tell is said by the test."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, ClassVar

from nodepass.log import DEBUG, Log
from nodepass.net.address import Address
from nodepass.transport.base import NOBODY, Link

if TYPE_CHECKING:
    from nodepass.transport.base import Receiver

REMOTE = Address("192.0.2.7", 40112)


class FakeLink(Link):
    """A link whose other side is the test. It ends at once, whichever way it is asked to.

    What was written is in `sent`; `end` is how it was ended, by whom it was.

    Args:
        remote: where it says that the other side is.
    """

    __slots__ = (
        "_fingerprint",
        "_paused",
        "end",
        "ended",
        "lost",
        "over",
        "receiver",
        "sent",
        "unsent_now",
        "vouched",
        "writes",
    )

    record_size: ClassVar[int | None] = None

    def __init__(self, remote: Address = REMOTE, fingerprint: str | None = None) -> None:
        self.remote = remote
        self.coalesce = True
        self.receiver: Receiver = NOBODY
        self.sent = b""
        self.writes: list[bytes] = []
        self.ended = False
        """Whether the sending direction has been ended."""
        self.end = ""
        """`close`, `break` or `abort` once it has been asked for."""
        self.lost = False
        self.over = asyncio.Event()
        """Set once it is lost."""
        self._paused = False
        self.unsent_now = 0
        self.vouched = False
        self._fingerprint = fingerprint

    # What the test lets it tell.

    def hears(self, data: bytes) -> None:
        """Bytes came from the other side, in memory that is another's afterwards, as a link's is."""
        assert not self._paused
        memory = bytearray(data)
        self.receiver.data_received(memoryview(memory))
        memory[:] = b"?" * len(memory)

    def hears_end(self) -> None:
        self.receiver.eof_received()

    def breaks(self, error: Exception | None = None) -> None:
        """The link is gone, by the other side's doing."""
        self.is_lost(error or ConnectionResetError("broken by the test"))

    def is_lost(self, error: Exception | None) -> None:
        """The link is gone: for no other reason than its end with None."""
        if not self.lost:
            self.lost = True
            self.over.set()
            receiver, self.receiver = self.receiver, NOBODY
            receiver.connection_lost(error)

    def is_paused(self) -> bool:
        """Whether it was asked to deliver nothing."""
        return self._paused

    # As a link.

    @property
    def gone(self) -> bool:
        return self.lost

    @property
    def quiet(self) -> bool:
        return not self.lost

    @property
    def unsent(self) -> int:
        return self.unsent_now

    @property
    def fingerprint(self) -> str | None:
        return self._fingerprint

    def attach(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self._paused = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.lost:
            self.writes.append(bytes(data))
            self.sent += data

    def write_eof(self) -> None:
        self.ended = True

    def pause_reading(self) -> None:
        self._paused = True

    def resume_reading(self) -> None:
        self._paused = False

    def read_now(self) -> None:
        """Nothing waits: what comes is heard at once."""

    def close(self) -> None:
        self._finish("close")

    def break_off(self) -> None:
        self._finish("break")

    def abort(self) -> None:
        self._finish("abort")

    def vouch(self) -> None:
        self.vouched = True

    def _finish(self, end: str) -> None:
        if not self.lost:
            self.end = end
            self.is_lost(None)


class Lines(logging.Handler):
    """What an instance has logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        logger = logging.Logger("test")  # noqa: LOG001 - of one test, and known to no other
        logger.addHandler(self)
        self.log = Log(DEBUG, logger)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
