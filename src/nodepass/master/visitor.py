"""Who is at the other end of a connection to the web server, and what it can hold.

What always holds: it is one of the crowd, which is bounded, whenever no request of its has shown the key or a session that
stands for it; and whoever does not take what is written to it is broken off after a time. uvicorn would wait for ever.

Below TLS lies a buffer that nobody sees. What is stuck there is noticed when more is to be written; else the connection
closes for want of requests, and TLS has its own time for that.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.types import Scope

    from nodepass.master.arrivals import Waiting
    from nodepass.policy.newcomers import Newcomers

VISITOR: Final = "nodepass.visitor"
"""Where the state of a request has its `Visitor`, if it comes over the web server."""

STRANGERS_PATIENCE = 10.0
"""Seconds in which a stranger has to take what is written."""

KNOWN_PATIENCE = 60.0
"""The same for who has shown the key: readers of events may be slow."""

PROGRESS: Final = 1 << 14
"""Bytes that are enough for as long again, where not everything has been taken."""


class Visitor:
    """The other end of one connection.

    Args:
        crowd: those who have not shown the key.
        transport: of the connection. It is to tell as soon as anything waits, or what waits when it closes would go unseen.
        source: the address it comes from.
    """

    def __init__(self, crowd: Newcomers[Waiting], transport: asyncio.Transport, source: str) -> None:
        self.source = source
        self._crowd = crowd
        self._transport = transport
        self._is_known = self._is_gone = False
        self._left = 0
        self._deadline: asyncio.TimerHandle | None = None
        # The transports of TLS take "at most 0" for "always".
        transport.set_write_buffer_limits(0 if transport.get_extra_info("sslcontext") is None else 1)
        crowd.enter(source, self)

    def know(self) -> None:
        """It has shown the key, for this request."""
        self._is_known = True
        self._crowd.leave(self.source, self)

    def forget(self) -> None:
        """The request is over: it is one of the crowd again, the latest."""
        self._is_known = False
        if not self._is_gone:
            self._crowd.leave(self.source, self)
            self._crowd.enter(self.source, self)

    def expect_reading(self) -> None:
        """Something waits to be taken."""
        self._left = self._transport.get_write_buffer_size()
        patience = KNOWN_PATIENCE if self._is_known else STRANGERS_PATIENCE
        self._deadline = asyncio.get_running_loop().call_later(patience, self._look)

    def has_read(self) -> None:
        """All has been taken."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def drop(self) -> None:
        """See `Waiting`."""
        self._transport.abort()

    def gone(self) -> None:
        """The connection is lost."""
        self._is_gone = True
        self.has_read()
        self._crowd.leave(self.source, self)

    def _look(self) -> None:
        if self._left - self._transport.get_write_buffer_size() < PROGRESS:
            self.drop()
        else:
            self.expect_reading()


class VisitedProtocol(asyncio.Protocol):
    """What both protocols of a connection tell its visitor; it goes in front of uvicorn's, whose part is done as well."""

    _visitor: Visitor

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is lost."""
        self._visitor.gone()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """What has been written waits."""
        super().pause_writing()
        self._visitor.expect_reading()

    def resume_writing(self) -> None:
        """It has been taken."""
        super().resume_writing()
        self._visitor.has_read()


def has_shown_the_key(scope: Scope) -> None:
    """Tell the visitor of a request, if it has one."""
    visitor: Visitor | None = scope.get("state", {}).get(VISITOR)
    if visitor is not None:
        visitor.know()
