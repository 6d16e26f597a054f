"""A QUIC listener and dialers in one event loop, with what they tell."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from nodepass.config import Tunables
from nodepass.log import DEBUG, Log
from nodepass.net.address import Address
from nodepass.net.certificates import CertificateSource, ClientTls, client_context, self_signed
from nodepass.transport.quic import QuicDialer, QuicListener
from nodepass.transport.tickets import Tickets
from tests.unit.transport.links import Notes, attached, opened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from nodepass.net.certificates import ServerCertificate
    from nodepass.transport.base import Link
    from nodepass.transport.quic.connection import Connection

LOCALHOST = "127.0.0.1"
CERTIFICATE = self_signed()
ID = b"\x01\x02\x03\x04"
"""What the server's end writes on each stream."""

PATIENCE = 10.0


class Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.warnings: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())
        if record.levelno >= logging.WARNING:
            self.warnings.append(record.getMessage())


class Ends:
    """A listener, and as many dialers as a test wants.

    Args:
        most: streams besides the control channel.
        certificate: of the server.
        tunables: of both ends.
    """

    def __init__(
        self, most: int = 100, certificate: ServerCertificate = CERTIFICATE, tunables: Tunables | None = None
    ) -> None:
        self.lines = Lines()
        logger = logging.Logger("quic test")  # noqa: LOG001 - one per test, held by nobody
        logger.addHandler(self.lines)
        self.log = Log(DEBUG, logger)
        self.tunables = tunables or Tunables()
        self.tickets = Tickets()
        self.source = CertificateSource(certificate)
        self.known = {LOCALHOST}
        self.accepted: asyncio.Queue[Notes] = asyncio.Queue()
        """The server's end of each stream that has come, with a receiver."""
        self.vouches = True
        """Whether it says of each stream that its client is no stranger."""
        self.dialers: list[QuicDialer] = []
        self.port = 0
        self._most = most
        self.listen()

    def listen(self) -> None:
        """Begin to listen, at the same port if there was a listener before."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((LOCALHOST, self.port))
        sock.setblocking(False)
        self.port = sock.getsockname()[1]
        self.listener = QuicListener(
            [sock], self.source, self._most, self.known.__contains__, self._accept, self.tunables, self.log
        )

    def dialer(self, tls: ClientTls | None = None, port: int = 0) -> QuicDialer:
        """One more dialer, to the listener or another port."""
        tls = tls or ClientTls(client_context(verify=False), None)
        self.dialers.append(QuicDialer(Address(LOCALHOST, port or self.port), tls, self.tunables, self.tickets, self.log))
        return self.dialers[-1]

    async def pair(self, dialer: QuicDialer | None = None) -> tuple[Notes, Notes]:
        """Both ends of one more stream, the client's first, which has read the ID."""
        near = attached(await opened(dialer or self.dialer()))
        await near.until(lambda: len(near.data) >= len(ID))
        assert near.data == ID
        near.data.clear()
        return near, await self.next()

    async def next(self) -> Notes:
        """The server's end of the next stream that comes."""
        async with asyncio.timeout(PATIENCE):
            return await self.accepted.get()

    @property
    def connections(self) -> list[Connection]:
        """Those that the server has."""
        return list(self.listener._taken)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is so that nobody tells of."""
        async with asyncio.timeout(PATIENCE):
            while not condition():  # noqa: ASYNC110 - there is nobody to set an event
                await asyncio.sleep(0.002)

    def _accept(self, link: Link) -> None:
        if self.vouches:
            link.vouch()
        link.write(ID)
        self.accepted.put_nowait(attached(link))


def connection_of(dialer: QuicDialer) -> Connection:
    """The connection that a dialer has made."""
    assert dialer._dialled is not None
    return dialer._dialled.connection


@asynccontextmanager
async def ends(
    most: int = 100, certificate: ServerCertificate = CERTIFICATE, tunables: Tunables | None = None
) -> AsyncIterator[Ends]:
    """Ends that are gone afterwards; nothing may have failed in the event loop."""
    failures: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, failure: failures.append(failure))
    made = Ends(most, certificate, tunables)
    try:
        yield made
    finally:
        for dialer in made.dialers:
            dialer.abort()
        made.listener.abort()
    assert not failures
