"""One WebSocket of the dashboard, as uvicorn serves it, with the bounds of a `Visitor`.

It is imported for the first one: most masters have none.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from nodepass.master.visitor import VISITOR, VisitedProtocol


class GuardedWebSocket(VisitedProtocol, WebSocketsSansIOProtocol):
    """A connection whose HTTP is over; its visitor stays.

    Args:
        app_state: what the HTTP connection gave to its requests.
        given: what uvicorn gives each connection.
    """

    def __init__(self, *, app_state: dict[str, Any], **given: Any) -> None:
        super().__init__(app_state=app_state, **given)
        self._visitor = app_state[VISITOR]
