"""What a service manager hears, over a real datagram socket."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

import pytest

from nodepass.notify import Notifier

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """The address as NOTIFY_SOCKET has it, and the socket."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@nodepass-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(address.replace("@", "\0", 1))
        sock.setblocking(False)
        yield address, sock


async def next_words(sock: socket.socket) -> list[str]:
    async with asyncio.timeout(10):
        return (await asyncio.get_running_loop().sock_recv(sock, 4096)).decode().split("\n")


async def test_the_life_of_a_service(manager: tuple[str, socket.socket]) -> None:
    address, sock = manager
    environ = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": str(os.getpid()), "OTHER": "x"}
    notifier = Notifier(environ)
    assert environ == {"OTHER": "x"}
    status = "one"
    notifier.ready(lambda: status)
    assert await next_words(sock) == ["READY=1", "STATUS=one"]
    assert await next_words(sock) == ["WATCHDOG=1"]
    assert await next_words(sock) == ["WATCHDOG=1"]
    status = "two"
    while (words := await next_words(sock)) == ["WATCHDOG=1"]:
        pass
    assert words == ["WATCHDOG=1", "STATUS=two"]
    notifier.reloading()
    while (words := await next_words(sock)) == ["WATCHDOG=1"]:
        pass
    name, _, value = words[1].partition("=")
    assert (words[0], name) == ("RELOADING=1", "MONOTONIC_USEC")
    assert int(value) > 0
    notifier.reloaded("three")
    while (words := await next_words(sock)) == ["WATCHDOG=1"]:
        pass
    assert words == ["READY=1", "STATUS=three"]
    notifier.stopping()
    while (words := await next_words(sock))[0].startswith(("WATCHDOG", "STATUS")):
        pass
    assert words == ["STOPPING=1", "STATUS=ending"]
    notifier.close()
    notifier.stopping()


@pytest.mark.parametrize("watchdog", [{}, {"WATCHDOG_USEC": "1000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "soon"}])
async def test_no_watchdog_where_none_is_meant(manager: tuple[str, socket.socket], watchdog: dict[str, str]) -> None:
    address, sock = manager
    notifier = Notifier({"NOTIFY_SOCKET": address, **watchdog})
    notifier.ready(lambda: "up")
    assert await next_words(sock) == ["READY=1", "STATUS=up"]
    notifier.stopping()
    # The next word is this one: no watchdog's came before.
    assert await next_words(sock) == ["STOPPING=1", "STATUS=ending"]
    notifier.close()


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/at/all", "/" + "x" * 200, "vsock:2:1"])
async def test_a_manager_that_is_not_there_costs_nothing(address: str) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.ready(lambda: "up")
    notifier.stopping()
    notifier.close()
