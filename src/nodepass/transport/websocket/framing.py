"""What both sides of an upgrade agree on, and the limits of what they take from each other."""

from __future__ import annotations

import logging
from typing import Final

from websockets.typing import Subprotocol

HALF_CLOSE: Final = Subprotocol("nodepass-half-close")
"""A WebSocket cannot end one direction and go on with the other. Where both ends know this subprotocol they can: an empty
binary message ends a direction. A v1 peer does not know it."""

MESSAGE_SIZE: Final = 64 * 1024
"""Most bytes of a message that is sent to a v1 peer: any datagram fits into one."""

LARGE_MESSAGE: Final = 768 * 1024
"""The same for a peer that knows `HALF_CLOSE`, and so is one of ours: all of one read, with what a shared connection puts
in front of it."""

MESSAGE_LIMIT: Final = 1 << 20
"""Most bytes of a message that is received, in all its fragments."""

HEAD_END: Final = b"\r\n\r\n"
"""Where the head of a request or an answer ends (RFC 9112, 2.1)."""

REQUEST_LIMIT: Final = 16 * 1024
"""Most bytes of a request."""

ANSWER_LIMIT: Final = 64 * 1024
"""Most bytes of the answer, with what a proxy may have to say in it."""

SILENT: Final = logging.getLogger("nodepass.websocket")
"""Where the library's log goes: nowhere. What is worth a line is logged here, in this project's words and seldom."""
SILENT.disabled = True
