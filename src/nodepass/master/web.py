"""The web server: uvicorn on sockets that are bound already, with our certificate, our log, and our end.

uvicorn's signal handlers are left out: the process has its own, and an application that embeds a master has others. A
certificate that has been renewed serves from the next handshake on.

What a stranger can hold is bounded: the head of a request is only so long, and comes within a time; nobody keeps a
connection by saying nothing, or by not taking what is said; and of connections that have not shown the key there are only
so many, the most of which one source has to give way.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

import uvicorn

from nodepass.master.arrivals import Arrivals, make_crowd
from nodepass.master.http_connection import GuardedProtocol

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Iterator

    from starlette.types import ASGIApp

    from nodepass.log import Log
    from nodepass.net.certificates import CertificateSource

ALPN: Final = ("http/1.1",)

KEEP_ALIVE: Final = 30
"""Seconds that a connection without requests is kept."""

LONGEST_MESSAGE: Final = 1 << 20
"""Bytes of a message on a WebSocket."""

UVICORN_LOGGER: Final = "uvicorn.error"


class WebServer(uvicorn.Server):
    """One run of the web server.

    Args:
        app: what answers, as ASGI has it.
        certificate: with it, HTTPS is spoken; asked for each handshake.
        grace: seconds that requests in progress have at the end.
        log: of the master.
        websockets: whether the application takes WebSockets.
    """

    def __init__(
        self,
        app: ASGIApp,
        certificate: CertificateSource | None,
        grace: float,
        log: Log,
        *,
        websockets: bool = False,
    ) -> None:
        config = uvicorn.Config(
            app,
            http=GuardedProtocol,
            lifespan="off",
            ws=cast("type[asyncio.Protocol]", _websocket) if websockets else "none",
            ws_max_size=LONGEST_MESSAGE,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=max(round(grace), 1),
            ssl_context_factory=None if certificate is None else lambda *_: _renewable_context(certificate),
        )
        super().__init__(config)
        self.listening = asyncio.Event()
        self._log = log
        self._crowd = make_crowd(log)
        self._arrivals: Arrivals | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections: in uvicorn's place, which takes any number, and lets TLS take a minute."""
        self._arrivals = Arrivals(sockets or [], self.config.ssl, self._make_protocol, self._crowd, self._log)
        self.servers = []
        self.started = True
        self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, and let requests in progress finish."""
        if self._arrivals is not None:
            self._arrivals.close()
        await super().shutdown(sockets)

    def _make_protocol(self) -> GuardedProtocol:
        state: dict[str, Any] = {}
        return GuardedProtocol(self._crowd, config=self.config, server_state=self.server_state, app_state=state)

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


def _websocket(**given: Any) -> asyncio.Protocol:
    """What speaks on a connection that becomes a WebSocket; imported for the first, for most masters have none."""
    from nodepass.master.websocket import GuardedWebSocket  # noqa: PLC0415

    return GuardedWebSocket(**given)


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
