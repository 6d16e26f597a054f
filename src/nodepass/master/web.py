"""The web server: uvicorn on sockets that are bound already, with our certificate, our log, and our end.

uvicorn's signal handlers are left out: the process has its own, and an application that embeds a master has others. A
certificate that has been renewed serves from the next handshake on.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import uvicorn

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Iterator

    from nodepass.log import Log
    from nodepass.master.api.edge import Edge
    from nodepass.net.certificates import CertificateSource

ALPN: Final = ("http/1.1",)

BACKLOG: Final = 1024

KEEP_ALIVE: Final = 30
"""Seconds that a connection without requests is kept."""

UVICORN_LOGGER: Final = "uvicorn.error"


class WebServer(uvicorn.Server):
    """One run of the web server.

    Args:
        app: what answers.
        certificate: with it, HTTPS is spoken; asked for each handshake.
        grace: seconds that requests in progress have at the end.
        log: of the master.
    """

    def __init__(self, app: Edge, certificate: CertificateSource | None, grace: float, log: Log) -> None:
        config = uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=max(round(grace), 1),
            ssl_context_factory=None if certificate is None else lambda *_: _renewable_context(certificate),
        )
        super().__init__(config)
        self.listening = asyncio.Event()
        self._log = log

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections."""
        await super().startup(sockets)
        self.listening.set()

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `stop`, then let requests in progress finish."""
        with _logged(self._log):
            await super().serve(sockets)

    def stop(self) -> None:
        """Take no more connections, and end `serve` once those in progress are answered."""
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


def _renewable_context(certificate: CertificateSource) -> ssl.SSLContext:
    """A context that hands each handshake on to the one with the current certificate."""
    context = certificate.current.context

    def choose(connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = certificate.current.context

    context.sni_callback = choose
    return context


class _LogHandler(logging.Handler):
    """Passes what uvicorn says on to the master's log.

    Strangers can cause most of it, as often as they like: one line a second is enough.
    """

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one line on; uvicorn's tracebacks are of errors that `Edge` has told already."""
        self._log.seldom("web server", record.levelno, "Web server: %s", record.getMessage().strip())


@contextmanager
def _logged(log: Log) -> Iterator[None]:
    """Send uvicorn's log lines to `log` meanwhile."""
    logger, handler = logging.getLogger(UVICORN_LOGGER), _LogHandler(log)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
