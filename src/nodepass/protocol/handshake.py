r"""The handshake: one HTTP/1.1 request and its answer (wire.md, "Handshake"). The server's side, and what both need.

The client proves that it has the tunnel key, with a bearer token as v1 does or with the first message of the extension; the
server answers with what both will do, the `Agreement`, and with the extension's second message if it got the first.
h11 parses what the other end sends; what we send is written here, so that it is the same to the byte as a v1 peer's.

Server: feed bytes to `ServerHandshake.receive` until it gives a `Verdict`, write `accept()` or `refuse()`, close.
The client's side is `client_handshake`.

What always holds:

* at most `REQUEST_LIMIT` bytes are looked at or kept, and at most `RESPONSE_LIMIT` by a client;
* how the bytes were cut into pieces makes no difference to the outcome: h11's own limit does not promise that, since it
  lets an event through that is over the limit but comes in one piece, so both ends count what they hand to it;
* the server has a verdict as soon as the head of the request is whole: a body could not change it.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import h11

from nodepass.protocol.extension import HEADER, VERSION
from nodepass.protocol.tunnel_key import key_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nodepass.protocol.agreement import Agreement

REQUEST_LIMIT: Final = 16 * 1024
"""Most bytes a request's head may have."""

_REASON_LIMIT: Final = 200

_EXTENSION_HEADER: Final = HEADER.lower().encode()
_EXTENSION_PREFIX: Final = f"{VERSION} ".encode()


def bearer_token(key: str) -> str:
    """Give what a client shows to prove it has the tunnel key.

    Returns:
        HMAC-SHA256 of the empty message under ``key``, as lower-case hex.
    """
    return hmac.new(key_bytes(key), b"", hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the server makes of a request.

    Args:
        status: 200 when the request may be accepted, 101 when it asks for a WebSocket, else the status to refuse it with.
        text: the short text of a refusal; empty with 200.
        extension: the value of the extension's header, if it came: then 200 means no more than that it is to be judged.
    """

    status: HTTPStatus
    text: str = ""
    extension: str = ""

    @property
    def accepted(self) -> bool:
        """Whether the request may be accepted."""
        return self.status is HTTPStatus.OK


_ACCEPTED: Final = Verdict(HTTPStatus.OK)
_UPGRADE: Final = Verdict(HTTPStatus.SWITCHING_PROTOCOLS)
_NOT_HTTP: Final = Verdict(HTTPStatus.BAD_REQUEST, "not an HTTP/1.1 request")
UNAUTHORIZED: Final = Verdict(HTTPStatus.UNAUTHORIZED, "wrong token")
"""What a client hears that does not prove the key, in whatever way it does not."""

_NOT_FOUND: Final = Verdict(HTTPStatus.NOT_FOUND, "not found")
_NOT_GET: Final = Verdict(HTTPStatus.METHOD_NOT_ALLOWED, "method not allowed")
_TOO_LARGE: Final = Verdict(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "request too large")

# Headers that RFC 9110 (sections 11.6.1 and 15.5.6) makes part of a refusal.
_REFUSAL_HEADERS: Final = {
    HTTPStatus.UNAUTHORIZED: "WWW-Authenticate: Bearer\r\n",
    HTTPStatus.METHOD_NOT_ALLOWED: "Allow: GET\r\n",
}


class ServerHandshake:
    """The server's side of one connection that may bring a handshake.

    Args:
        key: the tunnel key.
        strict: whether a token does not suffice, so that only the extension opens a session.
        upgrades: whether a request for a WebSocket is one for a pool connection.
    """

    def __init__(self, key: str, *, strict: bool = False, upgrades: bool = False) -> None:
        self._token = bearer_token(key).encode()
        self._strict = strict
        self._upgrades = upgrades
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=REQUEST_LIMIT)
        self._received = 0
        self._verdict: Verdict | None = None

    def receive(self, data: bytes) -> Verdict | None:
        """Take the next bytes from the client.

        Returns:
            None while the request is not whole, then the verdict: 200; 101 for a WebSocket, with `upgrades`; 400 for
            bytes that are not HTTP, 431 for a request over `REQUEST_LIMIT`, 405 if the method is not GET, 404 if the
            path is not ``/``, 401 if the token is missing or wrong and the extension's header is not there. Bytes after
            the request change nothing.
        """
        # No bytes are not fed, because h11 takes them for the end of the stream.
        if self._verdict is None and data:
            self._verdict = self._feed(data[: REQUEST_LIMIT - self._received])
        return self._verdict

    def _feed(self, data: bytes) -> Verdict | None:
        self._received += len(data)
        try:
            self._connection.receive_data(data)
            event = self._connection.next_event()
        except h11.RemoteProtocolError:
            return _NOT_HTTP
        if isinstance(event, h11.Request):
            return self._judge(event)
        return _TOO_LARGE if self._received == REQUEST_LIMIT else None

    def _judge(self, request: h11.Request) -> Verdict:
        if self._upgrades and any(name == b"upgrade" for name, _ in request.headers):
            return _UPGRADE
        if request.method != b"GET":
            return _NOT_GET
        if request.target.partition(b"?")[0] != b"/":
            return _NOT_FOUND
        extension = header(request.headers, _EXTENSION_HEADER)
        if extension.startswith(_EXTENSION_PREFIX):
            return Verdict(HTTPStatus.OK, extension=extension.decode("ascii", "replace"))
        scheme, _, token = header(request.headers, b"authorization").partition(b" ")
        if self._strict or scheme.lower() != b"bearer" or not hmac.compare_digest(token.strip(), self._token):
            return UNAUTHORIZED
        return _ACCEPTED

    @staticmethod
    def accept(agreement: Agreement, date: str, extension: str = "") -> bytes:
        """Write the whole answer to a request that is accepted.

        Args:
            agreement: what the client is told.
            date: the time as ``email.utils.formatdate(usegmt=True)`` gives it.
            extension: the second message of the extension, for a client that sent the first.
        """
        return _response(HTTPStatus.OK, "Content-Type: application/json\r\n", date, agreement.encode(extension))

    @staticmethod
    def refuse(status: int, text: str, date: str) -> bytes:
        """Write the whole answer to a request that is refused.

        Args:
            status: an HTTP status: the verdict's, or another, such as 409 when a client is connected already.
            text: why, in one line.
            date: the time as ``email.utils.formatdate(usegmt=True)`` gives it.
        """
        status = HTTPStatus(status)
        headers = _REFUSAL_HEADERS.get(status, "") + "Content-Type: text/plain; charset=utf-8\r\n"
        return _response(status, headers, date, f"{text}\n".encode())


def header(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> bytes:
    """Give the value of the first header of this name, which is in lower case; empty where there is none."""
    return next((value for name, value in headers if name == wanted), b"")


def _response(status: HTTPStatus, headers: str, date: str, body: bytes) -> bytes:
    # By hand, since h11 moves and re-cases Connection; nothing in here comes from the other end.
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\n{headers}"
        f"Date: {date}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body


def one_line(raw: bytes) -> str:
    """Make text from the other end fit for a log: one line, printable, short."""
    text = " ".join(raw.decode("utf-8", "replace").split())
    return "".join(character if character.isprintable() else "?" for character in text[:_REASON_LIMIT])
