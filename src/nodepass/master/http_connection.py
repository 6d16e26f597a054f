"""One HTTP connection, as uvicorn serves it, with the bounds that uvicorn does not set.

The head of a request is only so long, and comes within a time; few requests may wait for the answer to the one before; and
see `Visitor`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from nodepass.master.visitor import VISITOR, VisitedProtocol, Visitor

if TYPE_CHECKING:
    import asyncio

    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from nodepass.master.arrivals import Waiting
    from nodepass.policy.newcomers import Newcomers

HEAD_TIMEOUT = 10.0
"""Seconds that the head of a request may take, from the connection or from its first byte on."""

LONGEST_HEAD: Final = 1 << 16
"""Bytes that are read of a head that is not complete."""

MOST_PIPELINED: Final = 16
"""Requests that may wait for the answer to the one before: a single read would bring thousands."""


class TooManyRequestsError(Exception):
    """More requests than may wait. It stops the parser, which makes it an invalid request."""


class GuardedProtocol(VisitedProtocol, HttpToolsProtocol):
    """A connection that is broken off when it holds too much for too long.

    Args:
        crowd: those who have not shown the key; it is one of them while it does not.
        given: what uvicorn gives each connection.
    """

    def __init__(self, crowd: Newcomers[Waiting], **given: Any) -> None:
        super().__init__(**given)
        self._crowd = crowd
        self._head_size = 0
        self._deadline: asyncio.TimerHandle | None = None
        """There while a head is awaited."""
        self._answered: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        self._await_head()
        self._visitor = Visitor(self._crowd, transport, self.client[0] if self.client else "")
        self.app_state[VISITOR] = self._visitor

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._deadline is not None:
            self._head_size += len(data)
            if self._head_size > LONGEST_HEAD:
                self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._await_no_more()
        super().connection_lost(exc)
        # uvicorn tells the latest request only, and would go on to answer the one before that.
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()

    def on_message_begin(self) -> None:
        """The first byte of a request has come."""
        super().on_message_begin()
        if self._deadline is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """The head of a request has come.

        Raises:
            TooManyRequestsError: others wait for an answer.
        """
        self._await_no_more()
        if len(self.pipeline) >= MOST_PIPELINED:
            raise TooManyRequestsError
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """A request has been answered."""
        super().on_response_complete()
        self._visitor.forget()

    def handle_websocket_upgrade(self) -> None:
        """Become a WebSocket; but not behind requests that have no answer yet, which would be written into it."""
        if self.flow.write_paused or (self._answered is not None and not self._answered.response_complete):
            self.transport.abort()
        else:
            super().handle_websocket_upgrade()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _await_head(self) -> None:
        self._head_size = 0
        self._deadline = self.loop.call_later(HEAD_TIMEOUT, self.transport.abort)

    def _await_no_more(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
