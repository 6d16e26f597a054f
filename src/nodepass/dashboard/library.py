"""NiceGUI in this process: everything that is about the library as a whole.

It keeps one application, one event loop and its pages in module variables: so there is one `Library` in a process, which
masters enter and leave; it starts with the first and stops with the last. Which master a page belongs to is in its request.

Its page needs scripts that stand in it. They get a nonce, so that no others run; what users have written is in there as
JSON without angle brackets. Vue makes functions of templates, which a browser calls `eval`.
"""

from __future__ import annotations

import logging
import secrets
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from fastapi import FastAPI
from nicegui import app as nicegui_app
from nicegui import ui
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request  # noqa: TC002 - FastAPI looks at the types of what it calls

from nodepass.dashboard.headers import NO_FRAMES, send_with
from nodepass.dashboard.page import draw_page
from nodepass.log import ERROR
from nodepass.master.api.edge import where

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from nodepass.log import Log
    from nodepass.master.front import Backend

BACKEND: Final = "nodepass.backend"
"""Where the scope of a request has the master's backend."""

_POLICY: Final = (
    "default-src 'none'; script-src 'nonce-{nonce}' 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self'; connect-src 'self'; " + NO_FRAMES
)

_LOGGERS: Final = ("nicegui", "socketio.server", "engineio.server")
"""Of the library, and of what it stands on."""

_DROPPED: Final = {b"accept-encoding", b"x-forwarded-prefix"}
"""Headers of a request for the page that the library must not see: the answer is read here, and its paths are ours."""


class Library:
    """The one in this process; see `library`."""

    def __init__(self) -> None:
        self._logs: list[Log] = []
        self._life: AbstractAsyncContextManager[Any] | None = None
        self._app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
        for name in _LOGGERS:
            logger = logging.getLogger(name)
            logger.handlers = [_LogHandler(self._logs)]
            logger.propagate = False
        ui.page("/", title="nodepass", dark=None)(_root)
        ui.run_with(
            self._app,
            title="nodepass",
            dark=None,
            tailwind=False,
            binding_refresh_interval=None,
            show_welcome_message=False,
            reconnect_timeout=6.0,
        )

    async def enter(self, log: Log) -> None:
        """Be used by one master more, with this log."""
        self._logs.append(log)
        if self._life is None:
            self._life = self._app.router.lifespan_context(self._app)
            await self._life.__aenter__()

    async def leave(self, log: Log) -> None:
        """Be used by one less."""
        self._logs.remove(log)
        if not self._logs and self._life is not None:
            life, self._life = self._life, None
            await life.__aexit__(None, None, None)

    def app_for(self, backend: Backend) -> ASGIApp:
        """The application, for requests about one master."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            scope[BACKEND] = backend
            if scope["type"] == "http" and scope["path"] == "/":
                scope["headers"] = [(name, value) for name, value in scope["headers"] if name not in _DROPPED]
                await self._app(scope, receive, _PageSender(send))
            elif scope["type"] == "http":
                await self._app(scope, receive, send_with(send, "default-src 'none'; frame-ancestors 'none'"))
            else:
                await self._app(scope, receive, send)

        return answer


@cache
def library() -> Library:
    """The one in this process."""
    nicegui_app.config.quasar_config["loadingBar"] = {"skipHijack": True}
    return Library()


class _LogHandler(logging.Handler):
    """Passes on what the library says, without what an error quotes: that may be a URL with its key."""

    def __init__(self, logs: list[Log]) -> None:
        super().__init__(logging.ERROR)
        self._logs = logs

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one line on."""
        error = record.exc_info[1] if record.exc_info else record.msg
        text = where(error) if isinstance(error, Exception) else f"{record.module}: an error without a name"
        for log in self._logs:
            log.seldom("dashboard", ERROR, "Dashboard: %s", text)


def _root(request: Request) -> None:
    draw_page(request.scope[BACKEND], request.cookies)


class _PageSender:
    """Sends the page on, its scripts with a nonce."""

    def __init__(self, send: Send) -> None:
        self._nonce = secrets.token_urlsafe(16)
        self._send = send_with(send, _POLICY.format(nonce=self._nonce))
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body", False) or self._start is None:
            return
        if Headers(raw=self._start["headers"]).get("content-type", "").startswith("text/html"):
            self._body = self._body.replace(b"<script", b'<script nonce="%b"' % self._nonce.encode())
        MutableHeaders(raw=self._start["headers"])["content-length"] = str(len(self._body))
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": self._body})
