"""What every request passes before any route sees it: the key, and what browsers ask for; and what no error passes.

The key is checked here and not route by route, so that nothing is open by oversight and no body is read for a stranger.
"""

from __future__ import annotations

import traceback
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

from nodepass.log import ERROR
from nodepass.master.api.answers import refusal
from nodepass.master.visitor import has_shown_the_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from nodepass.log import Log
    from nodepass.master.api.core import Identity

LONGEST_PATH: Final = 100
"""Characters of a path that the log shows: whoever asks for it chooses it."""

CORS: Final = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-allow-methods", b"GET, PATCH, POST, PUT, DELETE, OPTIONS"),
    (b"access-control-allow-headers", b"Content-Type, Authorization, X-API-Key, Cache-Control"),
    (b"access-control-max-age", b"600"),
]


class KeyCheck:
    """Who may come in.

    Args:
        master: whose key is asked for.
        is_open: tells whether a path needs no key.
        takes_bearer: whether a path takes the key as a bearer token as well.
    """

    def __init__(self, master: Identity, is_open: Callable[[str], bool], takes_bearer: Callable[[str], bool]) -> None:
        self._master = master
        self.is_open = is_open
        self._takes_bearer = takes_bearer

    def finds_key(self, path: str, headers: list[tuple[bytes, bytes]]) -> bool:
        """Whether a request for this path, with these headers, brings the key."""
        return any(self._master.accepts(key) for key in self._given(path, headers))

    def _given(self, path: str, headers: list[tuple[bytes, bytes]]) -> Iterator[str]:
        """The keys that a request brings."""
        for name, value in headers:
            if name == b"x-api-key":
                yield value.decode("latin-1")
            elif name == b"authorization" and self._takes_bearer(path):
                scheme, _, token = value.partition(b" ")
                if scheme.lower() == b"bearer":
                    yield token.decode("latin-1").strip()


class Edge:
    """The application that the web server calls.

    Args:
        app: the routes.
        keys: who may come in.
        log: where errors that nobody foresaw are told.
    """

    def __init__(self, app: ASGIApp, keys: KeyCheck, log: Log) -> None:
        self._app = app
        self._keys = keys
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        started = False

        async def send_on(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), *CORS]
            await send(message)

        try:
            await self._choose(scope)(scope, receive, send_on)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are served on
            path = shortened(scope["path"])
            self._log.seldom("request", ERROR, "Request failed: %s %s: %s", scope["method"], path, where(error))
            # An answer that has begun is broken off: the web server sees that it is not whole, and closes the connection.
            if not started:
                answer = refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error; the master's log says more")
                await answer(scope, receive, send_on)

    def _choose(self, scope: Scope) -> ASGIApp:
        if scope["method"] == "OPTIONS":
            return Response(status_code=HTTPStatus.NO_CONTENT)
        if self._keys.finds_key(scope["path"], scope["headers"]):
            has_shown_the_key(scope)
        elif not self._keys.is_open(scope["path"]):
            return refusal(HTTPStatus.UNAUTHORIZED, "the API key is missing or wrong: it goes into the header X-API-Key")
        return self._app


def where(error: Exception) -> str:
    """What kind of error, and where it was raised; not its text, which may quote a URL with its key."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {place.name} ({place.filename}:{place.lineno})"


def shortened(path: str) -> str:
    """A path as the log shows it."""
    return path if len(path) <= LONGEST_PATH else f"{path[:LONGEST_PATH]}…"
