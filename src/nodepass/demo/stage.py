"""The four parts of the demo: opening them, naming their addresses, closing them."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from nodepass import Client, Server, Tunables
from nodepass.demo.ports import LOOPBACK, bind_both, bind_tcp, port_of
from nodepass.demo.targets import UdpEcho, WebPage
from nodepass.log import EVENT, NONE, WARN

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from nodepass.demo.screen import Screen

TUNABLES = Tunables(report_interval=1.0, udp_read_timeout=1.0, shutdown_timeout=2.0)
"""Quicker than the defaults: the ping figure is to be alive, and Ctrl-C is not to wait half a minute for a UDP session."""

START_PATIENCE = 10.0
"""Seconds in which the tunnel must be up."""


class DemoError(Exception):
    """The demo cannot go on; its text says why."""


class Trouble(logging.Handler):
    """Shows what the two instances complain about.

    Args:
        screen: where.
    """

    def __init__(self, screen: Screen) -> None:
        super().__init__(WARN)
        self._screen = screen
        self.first: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """The first complaint."""

    def emit(self, record: logging.LogRecord) -> None:
        """Show one complaint; the CHECK_POINT lines are none, high as their level is."""
        if record.levelno == EVENT:
            return
        text = record.getMessage()
        if not self.first.done():
            self.first.set_result(text)
        self._screen.line(f"  {record.levelname.lower()}: {text}")


class Stage:
    """The four parts of the demo: the target, a client, a server; the user is whoever reads this, and the checks.

    Args:
        screen: where complaints are shown.
    """

    def __init__(self, screen: Screen) -> None:
        self._trouble = Trouble(screen)
        logger = logging.Logger("nodepass demo")  # noqa: LOG001 - of this stage alone, not of the process
        logger.addHandler(self._trouble)
        self._exits = AsyncExitStack()
        self._target_tcp, self._target_udp = bind_both()
        users_tcp, users_udp = bind_both()
        tunnel = bind_tcp()
        self.target, self.users, self.tunnel = (f"{LOOPBACK}:{port_of(s)}" for s in (self._target_tcp, users_tcp, tunnel))
        self.user_address = (LOOPBACK, port_of(users_tcp))
        # All three were held until each was found, so that they differ; the server binds these two itself.
        for sock in (users_tcp, users_udp, tunnel):
            sock.close()
        key = secrets.token_urlsafe(24)
        self.web = WebPage()
        self.server = Server(self.server_url(key), tunables=TUNABLES, logger=logger)
        self.client = Client(self.client_url(key), tunables=TUNABLES, logger=logger)

    def server_url(self, key: str) -> str:
        """The server's URL."""
        return f"server://{key}@{self.tunnel}/{self.users}?tls=1&mode=1"

    def client_url(self, key: str) -> str:
        """The client's URL."""
        return f"client://{key}@{self.tunnel}/{self.target}?mode=2"

    async def open(self) -> float:
        """Start everything.

        Returns:
            The seconds from the client's start until the tunnel was up.

        Raises:
            DemoError: it does not come up.
            OSError: the target cannot listen.
        """
        loop = asyncio.get_running_loop()
        await self.web.start(self._target_tcp)
        self._exits.push_async_callback(self.web.close)
        echo, _ = await loop.create_datagram_endpoint(UdpEcho, sock=self._target_udp)
        self._exits.callback(echo.close)
        await self.server.start()
        await self._until(self.server.ready(), "the server does not listen")
        begun = time.perf_counter()
        await self.client.start()
        for instance in (self.client, self.server):
            await self._until(instance.connected(), "the two ends of the tunnel do not meet")
        return time.perf_counter() - begun

    async def close(self) -> None:
        """End everything: the target first, so that no user's connection has anything left to wait for."""
        # What the two ends say of each other's going is no trouble.
        self._trouble.setLevel(NONE)
        await self._exits.aclose()
        await asyncio.gather(self.client.stop(), self.server.stop())

    async def _until(self, event: Coroutine[Any, Any, None], failure: str) -> None:
        """Wait for a step of the start, or for the first complaint."""
        step = asyncio.ensure_future(event)
        await asyncio.wait((step, self._trouble.first), timeout=START_PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        if not step.done():
            step.cancel()
            reason = self._trouble.first.result() if self._trouble.first.done() else f"not within {START_PATIENCE:g} s"
            raise DemoError(f"{failure}: {reason}")
