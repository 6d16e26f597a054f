"""The server's side of an upgrade: a request on a connection that has been accepted, an answer, and then a link."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING

from websockets.exceptions import HeaderLineTooLong, InvalidHeader, RequestLineTooLong, TooManyHeaders
from websockets.http11 import Request
from websockets.server import ServerProtocol

from nodepass.log import WARN
from nodepass.policy.newcomers import Newcomers
from nodepass.protocol.handshake import one_line
from nodepass.transport.base import Acceptor
from nodepass.transport.websocket.framing import HALF_CLOSE, HEAD_END, MESSAGE_LIMIT, REQUEST_LIMIT, SILENT
from nodepass.transport.websocket.keep_alive import KeepAlive
from nodepass.transport.websocket.link import WebSocketLink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from websockets.http11 import Response
    from websockets.typing import Subprotocol

    from nodepass.log import Log
    from nodepass.transport.base import Link

MOST_UPGRADES = 1024
"""Connections that may be waiting for their request at a time."""

DISCARDED = 64 * 1024
"""Bytes that are read and forgotten behind a refusal, so that it arrives: closing on unread bytes would break it off."""

TOO_LARGE: dict[type[Exception], HTTPStatus] = {
    RequestLineTooLong: HTTPStatus.REQUEST_URI_TOO_LONG,
    HeaderLineTooLong: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    TooManyHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
}
"""Answers to requests that are over the library's own limits (RFC 9110 and 6585)."""

VERSION_HEADER = "Sec-WebSocket-Version"
VERSION = "13"
"""RFC 6455, 4.2.2."""


class WebSocketAcceptor(Acceptor):
    """Makes pool connections of connections that ask for an upgrade at the path `/`, and answers those that do not.

    Args:
        accepted: called with each link.
        timeout: seconds for a request.
        interval: seconds between pings on a connection over which nothing comes.
        log: of the instance.
    """

    def __init__(self, accepted: Callable[[Link], None], timeout: float, interval: float, log: Log) -> None:
        self._accepted = accepted
        self._timeout = timeout
        self._keep_alive = KeepAlive(interval)
        self._upgrades: Newcomers[_Upgrade] = Newcomers(MOST_UPGRADES, self._push_out)
        self._log = log

    def accept(self, lower: Link, early: bytes) -> None:
        """See `Acceptor`."""
        upgrade = _Upgrade(self, lower, self._timeout)
        self._upgrades.enter(lower.remote.ip, upgrade)
        upgrade.begin(early)

    def _push_out(self, upgrade: _Upgrade) -> None:
        self._log.seldom("upgrades", WARN, "Too many WebSocket requests at a time: dropped %s", upgrade.remote)
        upgrade.drop()

    def close(self) -> None:
        """See `Acceptor`."""
        for upgrade in self._upgrades:
            upgrade.drop()

    # What upgrades tell.

    def upgraded(self, lower: Link, protocol: ServerProtocol) -> None:
        """One is done."""
        self._accepted(WebSocketLink(lower, protocol, b"", self._keep_alive, self._log))

    def refused(self, lower: Link, response: Response) -> None:
        """One asked for something else."""
        text = one_line(bytes(response.body))
        self._log.seldom(
            "upgrade", WARN, "WebSocket request of %s refused: %d %s", lower.remote, response.status_code, text
        )

    def over(self, upgrade: _Upgrade) -> None:
        """One needs no attention any more."""
        self._upgrades.leave(upgrade.remote.ip, upgrade)


class _Upgrade:
    """One connection until its request has been answered, or until it is gone if that was a refusal."""

    __slots__ = ("_acceptor", "_discarded", "_lower", "_protocol", "_received", "_refused", "_timer", "remote")

    def __init__(self, acceptor: WebSocketAcceptor, lower: Link, timeout: float) -> None:
        self._acceptor = acceptor
        self._lower = lower
        self.remote = lower.remote
        self._protocol = ServerProtocol(select_subprotocol=_select_subprotocol, max_size=MESSAGE_LIMIT, logger=SILENT)
        self._received = b""
        self._refused = False
        self._discarded = 0
        self._timer = asyncio.get_running_loop().call_later(timeout, lower.abort)

    def begin(self, early: bytes) -> None:
        """Read the request, of which `early` is known already."""
        self._lower.attach(self)
        if early:
            self._feed(early)

    def drop(self) -> None:
        """It came to nothing."""
        self._lower.abort()

    def _feed(self, data: bytes) -> None:
        protocol = self._protocol
        protocol.receive_data(data[: REQUEST_LIMIT - len(self._received)])
        self._received += data
        events = protocol.events_received()
        problem = protocol.handshake_exc
        if problem is not None:
            self._refuse(protocol.reject(TOO_LARGE.get(type(problem), HTTPStatus.BAD_REQUEST), f"{problem}\n"))
        elif events and isinstance(events[0], Request):
            self._judge(events[0])
        elif len(self._received) >= REQUEST_LIMIT:
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self._refuse(protocol.reject(status, f"The request is over {REQUEST_LIMIT} bytes.\n"))

    def _judge(self, request: Request) -> None:
        protocol = self._protocol
        if not self._received.endswith(HEAD_END) or self._received.count(HEAD_END) > 1:
            # Nothing may come before the answer (RFC 6455, 4.1): whatever it is, it is not a WebSocket's.
            response = protocol.reject(HTTPStatus.BAD_REQUEST, "Something came before the request was answered.\n")
        elif request.path.partition("?")[0] != "/":
            response = protocol.reject(HTTPStatus.NOT_FOUND, "Not found.\n")
        else:
            response = protocol.accept(request)
        if isinstance(protocol.handshake_exc, InvalidHeader) and protocol.handshake_exc.name == VERSION_HEADER:
            response = protocol.reject(HTTPStatus.UPGRADE_REQUIRED, f"WebSocket version {VERSION} is spoken here.\n")
            response.headers["Upgrade"] = "websocket"
            response.headers[VERSION_HEADER] = VERSION
        if response.status_code != HTTPStatus.SWITCHING_PROTOCOLS:
            self._refuse(response)
            return
        protocol.send_response(response)
        self._let_go()
        self._lower.write(b"".join(protocol.data_to_send()))
        self._acceptor.upgraded(self._lower, protocol)

    def _refuse(self, response: Response) -> None:
        """Answer, and wait until the other side has ended: see `DISCARDED`."""
        self._refused = True
        self._acceptor.refused(self._lower, response)
        self._lower.write(response.serialize())
        self._lower.write_eof()

    def _let_go(self) -> None:
        self._timer.cancel()
        self._acceptor.over(self)

    # As the receiver of the link below.

    def data_received(self, data: memoryview) -> None:
        if not self._refused:
            self._feed(bytes(data))
            return
        self._discarded += len(data)
        if self._discarded > DISCARDED:
            self._lower.abort()

    def eof_received(self) -> None:
        if not self._refused:
            self._lower.abort()

    def connection_lost(self, _: Exception | None) -> None:
        self._let_go()

    def pause_writing(self) -> None:
        """The answer is short."""

    def resume_writing(self) -> None:
        """The answer is short."""


def _select_subprotocol(_: ServerProtocol, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return HALF_CLOSE if HALF_CLOSE in offered else None
