"""The API over HTTP, with what the standard library has: a request at a time, and the event stream."""

from __future__ import annotations

import http.client
import json
import ssl
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from nodepass.ctl.address import Trust
from nodepass.errors import NodePassError
from nodepass.protocol.signals import fingerprint

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nodepass.ctl.address import ApiAddress

TIMEOUT: Final = 30.0
"""Seconds: an instance that is stopped may need some of them to end."""

SILENCE: Final = 60.0
"""Seconds that the event stream may be silent: the master writes a comment every 15."""

LONGEST_ANSWER: Final = 64 << 20
LONGEST_LINE: Final = 4 << 20


class ApiError(NodePassError):
    """The master cannot be reached, or refused."""


class Api:
    """A master.

    Args:
        address: how to reach it.
    """

    def __init__(self, address: ApiAddress) -> None:
        self._address = address

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Send a request; gives the JSON of the answer, None where there is none.

        Raises:
            ApiError: it failed.
        """
        with closing(self._connect(TIMEOUT)) as connection:
            try:
                answer = self._request(connection, method, path, body)
                text = answer.read(LONGEST_ANSWER)
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from None
        return _json(text) if text else None

    def events(self) -> Iterator[dict[str, Any]]:
        """The data of each event, until the master ends the stream.

        Raises:
            ApiError: it cannot be read, or no longer.
        """
        with closing(self._connect(SILENCE)) as connection:
            try:
                answer = self._request(connection, "GET", "/events")
                while line := answer.readline(LONGEST_LINE):
                    if line.startswith(b"data:"):
                        yield _json(line.removeprefix(b"data:"))
            except (OSError, http.client.HTTPException) as error:
                raise self._unreachable(error) from None

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        address = self._address
        if not address.is_tls:
            return http.client.HTTPConnection(address.host, address.port, timeout=timeout)
        return _TlsConnection(address, timeout)

    def _request(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: object = None
    ) -> http.client.HTTPResponse:
        """Send a request, and read the head of its answer.

        Raises:
            ApiError: the master refuses.
        """
        headers = {"X-API-Key": self._address.key.reveal(), "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        connection.request(method, self._address.base + path, content, headers)
        answer = connection.getresponse()
        if answer.status >= http.client.BAD_REQUEST:
            raise ApiError(_reason(answer))
        return answer

    def _unreachable(self, error: Exception) -> ApiError:
        """Say what is wrong in words for a person; a verification that failed is told with what helps."""
        where = f"{self._address.host}:{self._address.port}"
        if isinstance(error, ssl.SSLCertVerificationError):
            return ApiError(
                f"the certificate of {where} is not trusted: {error.verify_message}; for one that is self-signed, "
                "pass --fingerprint or --insecure"
            )
        if isinstance(error, ssl.SSLError):
            return ApiError(f"no HTTPS with {where}: {error.reason or 'TLS failed'}")
        if isinstance(error, TimeoutError):
            return ApiError(f"no answer from {where} in time")
        if isinstance(error, http.client.HTTPException):
            return ApiError(f"what {where} answers is not HTTP; is it http:// or https://?")
        return ApiError(f"cannot reach {where}: {getattr(error, 'strerror', None) or type(error).__name__}")


class _TlsConnection(http.client.HTTPSConnection):
    """HTTPS that looks at the certificate before it sends the key."""

    def __init__(self, address: ApiAddress, timeout: float) -> None:
        context = ssl.create_default_context()
        if address.trust is not Trust.SYSTEM:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        super().__init__(address.host, address.port, timeout=timeout, context=context)
        self._address = address

    def connect(self) -> None:
        """Connect.

        Raises:
            ApiError: it is not the certificate that was asked for.
        """
        super().connect()
        if self._address.trust is Trust.PINNED:
            found = fingerprint(self.sock.getpeercert(binary_form=True) or b"")
            if found != self._address.fingerprint:
                self.close()
                raise ApiError(f"the certificate of the master is another one: {found}")


def _json(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise ApiError("the answer is not JSON: is this a master's API?") from None


def _reason(answer: http.client.HTTPResponse) -> str:
    """Why a request failed, in the master's words where it has any."""
    try:
        body = json.loads(answer.read(LONGEST_LINE))
        return f"{body['error']}"
    except (ValueError, KeyError, TypeError):
        return f"the answer was {answer.status} {answer.reason}: is this a master's API?"
