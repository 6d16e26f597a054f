"""The client's side of the handshake: the request is written, and the answer read. See `handshake`.

Write `ClientHandshake.request()`, feed bytes to `receive` until it gives an `Answer`, close.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import h11

from nodepass.errors import HandshakeError, HandshakeRefused
from nodepass.protocol.agreement import Agreement
from nodepass.protocol.extension import HEADER
from nodepass.protocol.handshake import header, one_line
from nodepass.protocol.json_object import parse_object

if TYPE_CHECKING:
    from collections.abc import Iterable

RESPONSE_LIMIT: Final = 64 * 1024
"""Most bytes a response may have, head and body."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the server answers to a request that it accepts.

    Args:
        agreement: what both will do.
        extension: the member of the extension, of whatever type; None where there is none.
    """

    agreement: Agreement
    extension: object = None


class ClientHandshake:
    """The client's side of a handshake. Of no more use once it has raised.

    Args:
        host: the server name for the ``Host`` header.
        token: `bearer_token` of the key; empty sends none.
        extension: the value of the extension's header; empty sends none.

    Raises:
        HandshakeError: ``host`` cannot stand in a header.
    """

    def __init__(self, host: str, token: str = "", extension: str = "") -> None:
        self._connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=RESPONSE_LIMIT)
        headers = [("Host", host)]
        if token:
            headers.append(("Authorization", f"Bearer {token}"))
        if extension:
            headers.append((HEADER, extension))
        try:
            request = h11.Request(method="GET", target="/", headers=headers)
        except (h11.LocalProtocolError, UnicodeEncodeError) as error:
            raise HandshakeError(f"server name {host!r} cannot stand in a Host header") from error
        head = self._connection.send(request) or b""
        self._request = head + (self._connection.send(h11.EndOfMessage()) or b"")
        self._received = 0
        self._response: h11.Response | None = None
        self._body = bytearray()
        self._answer: Answer | None = None

    def request(self) -> bytes:
        """Give the whole request."""
        return self._request

    def receive(self, data: bytes) -> Answer | None:
        """Take the next bytes from the server.

        Returns:
            What it holds once the answer is whole, else None. Bytes after the answer change nothing.

        Raises:
            HandshakeRefused: the server answered with a status other than 200.
            HandshakeError: the bytes are not an HTTP response, are over `RESPONSE_LIMIT`, or hold no agreement.
        """
        if self._answer is None and data:
            piece = data[: RESPONSE_LIMIT - self._received]
            self._received += len(piece)
            self._answer = self._feed(piece)
            if self._answer is None and self._received == RESPONSE_LIMIT:
                raise self._failure(f"the server's answer is over {RESPONSE_LIMIT} bytes")
        return self._answer

    def receive_eof(self) -> Answer:
        """Learn that the server has closed the connection, which ends an answer that does not tell its length.

        Raises:
            HandshakeRefused: as `receive`.
            HandshakeError: as `receive`, or the answer was not whole.
        """
        if not self._received:
            raise HandshakeError("the server closed the connection without an answer")
        if self._answer is None:
            self._answer = self._feed(b"")
        if self._answer is None:
            raise self._failure("the server closed the connection before its answer was whole")
        return self._answer

    def _feed(self, data: bytes) -> Answer | None:
        try:
            self._connection.receive_data(data)
            while True:
                event = self._connection.next_event()
                if isinstance(event, h11.Response):
                    self._response = event
                elif isinstance(event, h11.Data):
                    self._body += event.data
                elif isinstance(event, h11.EndOfMessage):
                    return self._conclude()
                elif not isinstance(event, h11.InformationalResponse):
                    return None
        except h11.RemoteProtocolError as error:
            # h11 quotes what it was sent, which may be long.
            raise self._failure(f"the server's answer is not HTTP: {one_line(str(error).encode())}") from error

    def _conclude(self) -> Answer:
        refusal = self._refusal()
        if refusal is not None:
            raise refusal
        try:
            members = parse_object(bytes(self._body))
        except ValueError as error:
            raise HandshakeError("the server's answer is not a JSON object") from error
        return Answer(Agreement.from_members(members), members.get("extension"))

    def _failure(self, text: str) -> HandshakeError:
        # A refusal whose text is broken is still a refusal, and says more than how it broke.
        return self._refusal() or HandshakeError(text)

    def _refusal(self) -> HandshakeRefused | None:
        if self._response is None or self._response.status_code == HTTPStatus.OK:
            return None
        reason = one_line(bytes(self._body)) or one_line(self._response.reason)
        return HandshakeRefused(self._response.status_code, reason, _date(self._response.headers))


def _date(headers: Iterable[tuple[bytes, bytes]]) -> float | None:
    try:
        return parsedate_to_datetime(header(headers, b"date").decode("ascii")).timestamp()
    except (ValueError, OverflowError):
        return None
