"""The application that the web server calls where there is a dashboard: its few paths, and the API for all others.

The dashboard lies on a higher floor, and is named here as a text: it is imported when one of its paths is first asked for,
in a thread, so that a master that nobody looks at pays nothing for it, and one that is looked at goes on answering.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from importlib import import_module
from typing import TYPE_CHECKING, Final, Protocol

from starlette.responses import PlainTextResponse

from nodepass.log import ERROR
from nodepass.master.api.edge import shortened, where

if TYPE_CHECKING:
    from starlette.types import Message, Receive, Scope, Send

    from nodepass.config import MasterConfig
    from nodepass.master.api.app import Parts
    from nodepass.master.api.edge import Edge
    from nodepass.master.recent import Recent

DASHBOARD: Final = "nodepass.dashboard.door"
"""The module that has `open_dashboard`."""

PATHS: Final = frozenset({"/", "/sign-in", "/sign-out", "/favicon.ico"})
FOLDERS: Final = ("/_nodepass/", "/_nicegui/", "/_nicegui_ws/")


@dataclass(frozen=True, slots=True)
class Backend:
    """What a dashboard shows and acts on.

    Args:
        config: of the master.
        parts: what the API answers from, too: rules live there, once for both.
        recent: what instances have done lately.
    """

    config: MasterConfig
    parts: Parts
    recent: Recent


class Dashboard(Protocol):
    """The dashboard of one master."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one WebSocket."""

    async def close(self) -> None:
        """End everything that is open."""


class Front:
    """The dashboard or the API, by the path.

    Args:
        api: answers all other paths.
        backend: what the dashboard is made of.
    """

    def __init__(self, api: Edge, backend: Backend) -> None:
        self._api = api
        self._backend = backend
        self._prefix = backend.config.prefix
        self._log = backend.parts.log
        self._loading: asyncio.Task[Dashboard] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or serve one WebSocket."""
        if self._is_for_dashboard(scope["path"]):
            await self._show(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            await self._api(scope, receive, send)

    async def close(self) -> None:
        """End what is open of the dashboard."""
        if self._loading is not None:
            with suppress(Exception):
                await (await self._loading).close()

    def _is_for_dashboard(self, path: str) -> bool:
        if path == self._prefix or path.startswith(f"{self._prefix}/"):
            return False
        return path in PATHS or path.startswith(FOLDERS)

    async def _show(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_on(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            if self._loading is None:
                self._loading = asyncio.create_task(self._load(), name="dashboard")
            dashboard = await asyncio.shield(self._loading)
            await dashboard(scope, receive, send_on)
        except Exception as error:  # noqa: BLE001 - whatever it is, the API is served on
            self._log.seldom("dashboard", ERROR, "Dashboard failed: %s: %s", shortened(scope["path"]), where(error))
            if not started and scope["type"] == "http":
                answer = PlainTextResponse("Internal error; the master's log says more.", HTTPStatus.INTERNAL_SERVER_ERROR)
                await answer(scope, receive, send)

    async def _load(self) -> Dashboard:
        module = await asyncio.to_thread(import_module, DASHBOARD)
        dashboard: Dashboard = module.open_dashboard(self._backend)
        return dashboard
