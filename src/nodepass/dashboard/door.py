"""What every request for the dashboard passes: who may come in, from where, and what the browser may do with the answer.

Strangers get the form that asks for the key, its style sheet and the icon. Signing in gives a cookie that scripts cannot
read and that other sites cannot make a browser send (SameSite=Strict); besides, whatever changes something or opens a
WebSocket must come from a page of ours. A session that ends cuts off what is open in its name: each message looks whether
it holds.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from http import HTTPStatus
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response

from nodepass.dashboard import plain_pages
from nodepass.dashboard.headers import send_with
from nodepass.dashboard.sessions import WHOLE_LIFE, Sessions
from nodepass.log import WARN
from nodepass.master.visitor import has_shown_the_key
from nodepass.policy.attempts import Attempts

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from nodepass.dashboard.library import Library
    from nodepass.dashboard.sessions import Session
    from nodepass.master.front import Backend

LIBRARY: Final = "nicegui"

LONGEST_FORM: Final = 4096
"""Bytes of the form that brings a key."""

FORM_TIMEOUT: Final = 10.0
"""Seconds that it may take to come."""


SESSION_PATH: Final = "/_nodepass/session"
"""Where a page asks whether its session holds."""


def open_dashboard(backend: Backend) -> Door:
    """Make the dashboard of one master."""
    return Door(backend, is_installed=find_spec(LIBRARY) is not None)


class Door:
    """The dashboard of one master, as ASGI has it.

    Args:
        backend: what it shows and acts on.
        is_installed: whether the library that draws it is there; else a page says how to install it.
    """

    def __init__(self, backend: Backend, *, is_installed: bool) -> None:
        self._backend = backend
        self._is_installed = is_installed
        self._master = backend.parts.core.master
        self._cookie = f"nodepass-{backend.config.address.port}"
        self._sessions = Sessions(self._master, time.monotonic)
        self._attempts = Attempts()
        self._library: Library | None = None
        self._lock = asyncio.Lock()

    async def close(self) -> None:
        """End every session, and so all pages; let go of the library."""
        self._sessions.end_all()
        if self._library is not None:
            await self._library.leave(self._backend.parts.log)
            self._library = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one WebSocket."""
        session = self._sessions.find(self._token(scope))
        if session is not None:
            has_shown_the_key(scope)
        if scope["type"] == "websocket":
            if session is None or not comes_from_here(scope):
                await send({"type": "websocket.close"})
            else:
                await self._draw(session, scope, receive, send)
            return
        answer = await self._own_answer(scope, receive, session)
        if answer is not None:
            await answer(scope, receive, send_with(send, plain_pages.CONTENT_POLICY))
        elif session is not None:
            await self._draw(session, scope, receive, send)

    # What is answered without the library.

    async def _own_answer(self, scope: Scope, receive: Receive, session: Session | None) -> Response | None:
        """The answer to a request; None where the library gives it."""
        path = scope["path"]
        if path == SESSION_PATH:
            return Response(status_code=HTTPStatus.UNAUTHORIZED if session is None else HTTPStatus.NO_CONTENT)
        if plain_pages.is_asset(path):
            return plain_pages.asset(path)
        if self._is_installed:
            return await self._answer(scope, receive, session)
        return HTMLResponse(plain_pages.not_installed()) if path == "/" else _refused(HTTPStatus.NOT_FOUND)

    async def _answer(self, scope: Scope, receive: Receive, session: Session | None) -> Response | None:
        path = scope["path"]
        if scope["method"] not in {"GET", "HEAD"} and not comes_from_here(scope):
            return _refused(HTTPStatus.FORBIDDEN)
        if path in {"/sign-in", "/sign-out"}:
            return await self._sign(scope, receive)
        if session is not None:
            return None
        return HTMLResponse(plain_pages.sign_in()) if path == "/" else _refused(HTTPStatus.UNAUTHORIZED)

    async def _sign(self, scope: Scope, receive: Receive) -> Response:
        if scope["method"] != "POST":
            return RedirectResponse("/", HTTPStatus.SEE_OTHER)
        return await self._sign_in(scope, receive) if scope["path"] == "/sign-in" else self._sign_out(scope)

    async def _sign_in(self, scope: Scope, receive: Receive) -> Response:
        # Without an address there is a socket of this machine, or a test.
        source, now = (scope.get("client") or ("127.0.0.1", 0))[0], time.monotonic()
        if wait := self._attempts.wait(source, now):
            page = plain_pages.sign_in("Too many wrong keys from your address. Wait a moment, then try again.")
            return HTMLResponse(page, HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": str(int(wait) + 1)})
        key = await _key_in_form(receive)
        if key is None or not self._master.accepts(key):
            self._attempts.failed(source, now)
            self._backend.parts.log.seldom("sign-in", WARN, "Dashboard: a wrong API key from %s", source)
            return HTMLResponse(plain_pages.sign_in("This is not the API key of this master."), HTTPStatus.FORBIDDEN)
        answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        answer.set_cookie(
            self._cookie,
            self._sessions.begin(),
            max_age=int(WHOLE_LIFE),
            secure=scope["scheme"] == "https",
            httponly=True,
            samesite="strict",
        )
        return answer

    def _sign_out(self, scope: Scope) -> Response:
        self._sessions.end(self._token(scope))
        answer = RedirectResponse("/", HTTPStatus.SEE_OTHER)
        answer.delete_cookie(self._cookie, httponly=True, samesite="strict")
        return answer

    def _token(self, scope: Scope) -> str:
        # Not by `http.cookies`: before Python 3.11.10, a stranger's cookie of quotes kept it busy for seconds.
        for cookie in Headers(scope=scope).get("cookie", "").split(";"):
            name, _, value = cookie.strip().partition("=")
            if name == self._cookie:
                return value
        return ""

    # What the library draws.

    async def _draw(self, session: Session, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._lock:
            if self._library is None:
                library = await asyncio.to_thread(_load_library)
                await library.enter(self._backend.parts.log)
                self._library = library
        app = self._library.app_for(self._backend)
        if scope["type"] == "websocket":
            await self._serve_socket(app, session, scope, receive, send)
        else:
            await app(scope, receive, send)

    async def _serve_socket(self, app: ASGIApp, session: Session, scope: Scope, receive: Receive, send: Send) -> None:
        ending = asyncio.ensure_future(session.ended.wait())

        async def receive_while_it_holds() -> Message:
            coming = asyncio.ensure_future(receive())
            try:
                await asyncio.wait((coming, ending), return_when=asyncio.FIRST_COMPLETED)
                if self._sessions.holds(session):
                    return await coming
            finally:
                coming.cancel()
            with suppress(Exception):
                await send({"type": "websocket.close", "code": 1008})
            return {"type": "websocket.disconnect", "code": 1008}

        async def send_while_it_holds(message: Message) -> None:
            # What comes after that is dropped; the next `receive` ends it.
            if self._sessions.holds(session):
                await send(message)

        try:
            await app(scope, receive_while_it_holds, send_while_it_holds)
        finally:
            ending.cancel()


def comes_from_here(scope: Scope) -> bool:
    """Whether a request was made by a page of this origin, as far as the browser tells; or by no browser.

    The scheme is not compared: a proxy in front may speak TLS.
    """
    headers = Headers(scope=scope)
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    with suppress(ValueError):
        return origin is None or urlsplit(origin).netloc == headers.get("host")
    return False


def _refused(status: HTTPStatus) -> Response:
    return PlainTextResponse(status.phrase, status)


def _load_library() -> Library:
    from nodepass.dashboard.library import library  # noqa: PLC0415 - imports what an extra brings

    return library()


async def _key_in_form(receive: Receive) -> str | None:
    """Read the form; None where it is none, or does not come."""
    body = b""
    with suppress(TimeoutError):
        async with asyncio.timeout(FORM_TIMEOUT):
            while True:
                message = await receive()
                body += message.get("body", b"")
                if message["type"] != "http.request" or len(body) > LONGEST_FORM:
                    return None
                if not message.get("more_body", False):
                    break
            with suppress(ValueError):
                form = parse_qs(body.decode("ascii"), strict_parsing=True, max_num_fields=3)
                return next(iter(form.get("key", ())), "").strip()
    return None
