"""The handshake over a socket: the bytes are `protocol.handshake`'s, the waiting is here.

The server answers each request in a connection of its own and goes on waiting, whatever came. The client asks once.
"""

from __future__ import annotations

import asyncio
import ssl
from email.utils import formatdate
from typing import TYPE_CHECKING

from nodepass.errors import DialError, HandshakeError
from nodepass.net.address import Address
from nodepass.protocol.handshake import ClientHandshake

if TYPE_CHECKING:
    from collections.abc import Callable
    from http import HTTPStatus

    from nodepass.config import ClientConfig
    from nodepass.protocol.agreement import Agreement
    from nodepass.protocol.handshake import ServerHandshake, Verdict
    from nodepass.transport.base import Link
    from nodepass.tunnel.resources import Resources

HTTPS_PORT = 443
"""A client that dials this port finds a reverse proxy in front of the server, and speaks https to it (spec: wire.md)."""

READ_SIZE = 16 * 1024


class HandshakeReceiver:
    """The receiver of a connection that may bring a handshake.

    Args:
        link: the connection.
        handshake: what judges the bytes that come.
        timeout: seconds until a connection that says nothing useful is closed.
        judged: called once with the verdict of a whole request; answer with `accept` or `refuse`.
        ended: called once when the connection is gone, answered or not.
    """

    def __init__(
        self,
        link: Link,
        handshake: ServerHandshake,
        timeout: float,
        judged: Callable[[HandshakeReceiver, Verdict], None],
        ended: Callable[[], None],
    ) -> None:
        self.link = link
        self._handshake = handshake
        self._received = b""
        self._judged: Callable[[HandshakeReceiver, Verdict], None] | None = judged
        self._ended = ended
        self.over = False
        """Whether the connection is gone."""
        self._timer = asyncio.get_running_loop().call_later(timeout, link.abort)
        link.attach(self)

    def accept(self, agreement: Agreement) -> None:
        """Answer 200 with what has been agreed on."""
        self._answer(self._handshake.accept(agreement, formatdate(usegmt=True)))

    def refuse(self, status: HTTPStatus, text: str) -> None:
        """Answer with an error."""
        self._answer(self._handshake.refuse(status, text, formatdate(usegmt=True)))

    def release(self) -> bytes:
        """Let go of the connection, which is another's from now on; what has been read from it."""
        self._timer.cancel()
        self.link.pause_reading()
        return self._received

    def _answer(self, response: bytes) -> None:
        self.link.write(response)
        self.link.close()

    # As the link's receiver.

    def data_received(self, data: memoryview) -> None:
        if self._judged is None:
            return
        received = bytes(data)
        self._received += received
        verdict = self._handshake.receive(received)
        if verdict is not None:
            judged, self._judged = self._judged, None
            judged(self, verdict)

    def eof_received(self) -> None:
        # A client that half-closes behind its request still wants the answer; one that asked nothing gets none.
        if self._judged is not None:
            self.link.abort()

    def connection_lost(self, _: Exception | None) -> None:
        self._timer.cancel()
        self._judged = None
        self.over = True
        self._ended()

    def pause_writing(self) -> None:
        """The answer is short."""

    def resume_writing(self) -> None:
        """The answer is short."""


async def shake_hands(config: ClientConfig, resources: Resources) -> tuple[Agreement, Address]:
    """Ask the server for a session: what it decides, and the address at which it was found.

    Pool connections must go to the same address: the server knows its client by where it comes from.

    Raises:
        DialError: the server cannot be reached or does not answer in time.
        HandshakeError: it answered something else than an agreement; `HandshakeRefused` if it refused.
    """
    host = config.tunnel.host or "localhost"
    timeout = resources.tunables.handshake_timeout
    failure = DialError(f"cannot resolve {host}")
    for ip in await resources.resolver.resolve(host):
        address = Address(ip, config.tunnel.port)
        try:
            async with asyncio.timeout(timeout):
                return await _ask(config, address, host), address
        except TimeoutError:
            failure = DialError(f"the server at {address} did not answer within {timeout:g} s")
        except ssl.SSLError as error:
            failure = DialError(f"TLS with the server at {address}: {error.reason or error}")
        except OSError as error:
            failure = DialError(f"cannot connect to the server at {address}: {error.strerror or error}")
    raise failure


async def _ask(config: ClientConfig, address: Address, host: str) -> Agreement:
    tls = ssl.create_default_context() if config.tunnel.port == HTTPS_PORT else None
    name = (config.sni or host) if tls is not None else None
    reader, writer = await asyncio.open_connection(address.ip, address.port, ssl=tls, server_hostname=name)
    try:
        handshake = ClientHandshake(config.server_name, config.secret.reveal())
        writer.write(handshake.request())
        while data := await reader.read(READ_SIZE):
            agreement = handshake.receive(data)
            if agreement is not None:
                return agreement
        return handshake.receive_eof()
    except ConnectionError as error:
        raise HandshakeError(f"the server broke the handshake off: {error.strerror or error}") from error
    finally:
        writer.close()
