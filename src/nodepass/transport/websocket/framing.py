"""What both sides of an upgrade agree on, and the limits of what they take from each other."""

from __future__ import annotations

import logging
from typing import Final

from websockets.typing import Subprotocol

HALF_CLOSE: Final = Subprotocol("nodepass-half-close")
"""A WebSocket cannot end one direction and go on with the other. Where both ends know this subprotocol they can: an empty
binary message ends a direction. A v1 peer does not know it."""

MESSAGE_SIZE: Final = 64 * 1024
"""Most bytes of a message that is sent: any datagram fits into one."""

MESSAGE_LIMIT: Final = 1 << 20
"""Most bytes of a message that is received, in all its fragments."""

REQUEST_LIMIT: Final = 16 * 1024
"""Most bytes of a request."""

ANSWER_LIMIT: Final = 64 * 1024
"""Most bytes of the answer, with what a proxy may have to say in it."""

SILENT: Final = logging.getLogger("nodepass.websocket")
"""Where the library's log goes: nowhere. What is worth a line is logged here, in this project's words and seldom."""
SILENT.disabled = True
