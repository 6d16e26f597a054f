"""Someone who knows where a tunnel's port is and not its key, and opens pool connections as a client would."""

from __future__ import annotations

import asyncio
import os
import threading
from functools import partial
from typing import TYPE_CHECKING, Final, Self

from nodepass.config import ClientConfig, PoolTransport, Tunables, parse_url
from nodepass.log import NONE, Log
from nodepass.net.address import Address
from nodepass.protocol.agreement import Agreement, Flow
from nodepass.tunnel.resources import make_resources
from nodepass.tunnel.transports import make_dialer

if TYPE_CHECKING:
    from types import TracebackType

    from nodepass.config import TlsMode
    from nodepass.transport.base import Dialer, Link

AT_ONCE: Final = 50
PATIENCE: Final = 3.0
"""Seconds for a batch of connections to come up: a server need not take them."""


def forged(session: bytes = b"") -> bytes:
    """What is as long as a proof and looks like one, of a session of this name."""
    return (session or b"\xff" + os.urandom(7)) + os.urandom(24)


WORDS: Final = (b"", bytes(4), os.urandom(3), b"\xff" * 16, b"GET / HTTP/1.1\r\n\r\n", bytes(200), b"\x80" * 5000)
"""What it says on connections on which it says no forged proof: nothing, among others."""


class Strangers:
    """Opens connections one batch after another, and keeps them as long as the server lets it.

    Args:
        port: of the tunnel.
        transport: by which.
        tls: whether encrypted.
        total: how many.
    """

    def __init__(self, port: int, transport: PoolTransport, tls: TlsMode, total: int) -> None:
        self._address = Address("127.0.0.1", port)
        self._agreement = Agreement(Flow.REVERSE, 1024, tls, transport)
        self._total = total
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._leave = threading.Event()
        self.done = threading.Event()
        """All have been tried."""
        self.opened = 0
        """How many came up, before they said anything."""
        self.heard = bytearray()
        """What the server said on any of them."""
        self._links: list[Link] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave.set()
        self._thread.join()

    async def _run(self) -> None:
        config = parse_url(f"client://guess@{self._address}/127.0.0.1:9?mode=2")
        assert isinstance(config, ClientConfig)
        resources = make_resources(config, Tunables(), Log(NONE))
        try:
            dialers = []
            for number in range(0, self._total, AT_ONCE):
                # Another for each batch: one that carries several streams would be let go of as a whole.
                dialer = make_dialer(self._agreement, config, self._address, resources)
                dialers.append(dialer)
                await self._open(dialer, number)
            self.done.set()
            await asyncio.to_thread(self._leave.wait)
            for link in self._links:
                link.abort()
            for dialer in dialers:
                dialer.abort()
        finally:
            self.done.set()
            resources.close()
            await resources.tasks.cancelled()

    async def _open(self, dialer: Dialer, first: int) -> None:
        waiting = AT_ONCE
        over = asyncio.Event()

        def count() -> None:
            nonlocal waiting
            waiting -= 1
            if not waiting:
                over.set()

        def failed(_: Exception) -> None:
            count()

        def opened(number: int, link: Link) -> None:
            self.opened += 1
            self._links.append(link)
            link.attach(_Ear(self.heard))
            link.write(forged() if number % 2 else WORDS[number // 2 % len(WORDS)])
            count()

        for number in range(first, first + AT_ONCE):
            dialer.open(partial(opened, number), failed)
        try:
            async with asyncio.timeout(PATIENCE):
                await over.wait()
        except TimeoutError:
            return


class _Ear:
    """The receiver of such a connection."""

    def __init__(self, heard: bytearray) -> None:
        self._heard = heard

    def data_received(self, data: memoryview) -> None:
        self._heard += data

    def eof_received(self) -> None:
        pass

    def connection_lost(self, _: Exception | None) -> None:
        pass

    def pause_writing(self) -> None:
        pass

    def resume_writing(self) -> None:
        pass
