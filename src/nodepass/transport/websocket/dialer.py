"""The client's side of an upgrade: one connection below, one request, one answer, and then a link."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidMessage, InvalidStatus
from websockets.protocol import State
from websockets.uri import WebSocketURI

from nodepass.errors import DialError
from nodepass.protocol.handshake import one_line
from nodepass.transport.base import Dialer
from nodepass.transport.websocket.framing import ANSWER_LIMIT, HALF_CLOSE, HEAD_END, MESSAGE_LIMIT, SILENT
from nodepass.transport.websocket.keep_alive import KeepAlive
from nodepass.transport.websocket.link import WebSocketLink

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.log import Log
    from nodepass.transport.base import Link

NO_ANSWER = "the server closed the connection without an answer to the WebSocket request"


@dataclass(frozen=True, slots=True)
class _Manner:
    """How connections are upgraded: see `WebSocketDialer`."""

    uri: WebSocketURI
    timeout: float
    keep_alive: KeepAlive
    log: Log


class WebSocketDialer(Dialer):
    """Opens pool connections.

    Args:
        below: opens what carries them.
        host: named as `Host` in the request, without a port.
        timeout: seconds for the answer to a request.
        interval: seconds between pings on a connection over which nothing comes.
        log: of the instance.
    """

    def __init__(self, below: Dialer, host: str, timeout: float, interval: float, log: Log) -> None:
        self._below = below
        # What the library makes of it are the path and `Host`; with the port of its scheme, that names none.
        uri = WebSocketURI(secure=False, host=host, port=80, path="/", query="")
        self._manner = _Manner(uri, timeout, KeepAlive(interval), log)

    def open(self, opened: Callable[[Link], None], failed: Callable[[Exception], None]) -> Callable[[], None]:
        """See `Dialer`."""
        return _Opening(self._below, self._manner, opened, failed).cancel


class _Opening:
    """One connection on the way: what is below, then the upgrade, during which it is the receiver of that."""

    __slots__ = ("_cancel", "_failed", "_lower", "_manner", "_opened", "_protocol", "_received", "_timer")

    def __init__(
        self, below: Dialer, manner: _Manner, opened: Callable[[Link], None], failed: Callable[[Exception], None]
    ) -> None:
        self._manner = manner
        self._opened = opened
        self._failed: Callable[[Exception], None] | None = failed
        self._received = bytearray()
        self._lower: Link | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._protocol: ClientProtocol
        self._cancel: Callable[[], None] | None = below.open(self._connected, failed)

    def cancel(self) -> None:
        """Give up; nothing is called any more."""
        self._failed = None
        cancel = self._cancel
        self._let_go()
        if cancel is not None:
            cancel()

    def _connected(self, lower: Link) -> None:
        manner = self._manner
        self._lower = lower
        self._cancel = lower.abort
        self._timer = asyncio.get_running_loop().call_later(manner.timeout, self._too_late)
        self._protocol = ClientProtocol(manner.uri, subprotocols=[HALF_CLOSE], max_size=MESSAGE_LIMIT, logger=SILENT)
        self._protocol.send_request(self._protocol.connect())
        lower.attach(self)
        lower.write(b"".join(self._protocol.data_to_send()))

    def _judge(self, early: bytes = b"") -> None:
        """Has the answer come, and is it the right one? `early` is what came behind it."""
        refusal = self._protocol.handshake_exc
        lower = self._lower
        if refusal is not None:
            self._fail(DialError(_explained(refusal)))
        elif self._protocol.state is State.OPEN and lower is not None:
            self._let_go()
            self._opened(WebSocketLink(lower, self._protocol, early, self._manner.keep_alive, self._manner.log))
        elif len(self._received) > ANSWER_LIMIT:
            self._fail(DialError(f"the answer to the WebSocket request is over {ANSWER_LIMIT} bytes"))

    def _too_late(self) -> None:
        self._fail(DialError("the WebSocket request was not answered in time"))

    def _fail(self, error: Exception) -> None:
        failed, self._failed = self._failed, None
        lower = self._lower
        self._let_go()
        if lower is not None:
            lower.abort()
        if failed is not None:
            failed(error)

    def _let_go(self) -> None:
        """It is over: forget what knows this in turn, or only the garbage collector would find them."""
        if self._timer is not None:
            self._timer.cancel()
        self._lower = self._timer = self._cancel = None

    # As the receiver of the link below.

    def data_received(self, data: memoryview) -> None:
        if self._lower is None:
            return
        known = len(self._received)
        self._received += data
        end = self._received.find(HEAD_END, max(known + 1 - len(HEAD_END), 0))
        head = len(data) if end < 0 else end + len(HEAD_END) - known
        self._protocol.receive_data(bytes(data[:head]))
        early = bytes(data[head:])
        if early and self._protocol.state is not State.OPEN:
            # The answer is a refusal, and this what is said about it.
            self._protocol.receive_data(early)
        self._judge(early)

    def eof_received(self) -> None:
        if self._lower is not None:
            self._protocol.receive_eof()
            self._judge()
            self._fail(DialError(NO_ANSWER))

    def connection_lost(self, error: Exception | None) -> None:
        if self._lower is not None:
            self._fail(error or DialError(NO_ANSWER))

    def pause_writing(self) -> None:
        """The request is short."""

    def resume_writing(self) -> None:
        """The request is short."""


def _explained(refusal: Exception) -> str:
    """What the person who runs the client can act on."""
    if isinstance(refusal, InvalidStatus):
        response = refusal.response
        status = response.status_code
        known = HTTPStatus(status).phrase if status in set(HTTPStatus) else ""
        reason = one_line(response.reason_phrase.encode()) or known
        return f"{status} {reason} from the server or a proxy in front of it, in answer to a WebSocket request"
    cause = refusal.__cause__ if isinstance(refusal, InvalidMessage) else refusal
    if isinstance(cause, EOFError):
        return NO_ANSWER
    return f"the answer to a WebSocket request is not right: {one_line(str(cause).encode())}"
