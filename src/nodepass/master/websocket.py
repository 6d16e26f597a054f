"""One WebSocket of the dashboard, as uvicorn serves it, with the bounds of a `Visitor`.

It is imported for the first one: most masters have none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from nodepass.master.visitor import VISITOR

if TYPE_CHECKING:
    from nodepass.master.visitor import Visitor


class GuardedWebSocket(WebSocketsSansIOProtocol):
    """A connection whose HTTP is over; its visitor stays.

    Args:
        app_state: what the HTTP connection gave to its requests.
        given: what uvicorn gives each connection.
    """

    def __init__(self, *, app_state: dict[str, Any], **given: Any) -> None:
        super().__init__(app_state=app_state, **given)
        self._visitor: Visitor = app_state[VISITOR]

    def connection_lost(self, exc: Exception | None) -> None:
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
