"""What the demo checks by itself: it is a user of its own tunnel."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h11

from nodepass.units import size_text, time_text

if TYPE_CHECKING:
    from collections.abc import Coroutine

PATIENCE = 20.0
"""Seconds that one check may take."""

READ_SIZE = 256 * 1024

DATAGRAMS = 20
DATAGRAM_SIZE = 1200
"""Bytes; what fits through any network in one piece."""

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one check ended."""

    passed: bool
    name: str
    text: str


class _CheckError(Exception):
    """What came back is not what was expected."""


async def check_download(address: Address, digest: str) -> Verdict:
    """Download the target's file as a user does, and compare its hash with the one that the target told."""
    return await _judge("TCP", _download(address, digest))


async def check_datagrams(address: Address) -> Verdict:
    """Send random datagrams one by one, and expect each back unchanged."""
    return await _judge("UDP", _exchange_datagrams(address))


async def _judge(name: str, check: Coroutine[None, None, str]) -> Verdict:
    try:
        async with asyncio.timeout(PATIENCE):
            return Verdict(True, name, await check)
    except TimeoutError:
        return Verdict(False, name, f"nothing came back within {PATIENCE:g} s")
    except (OSError, h11.ProtocolError, _CheckError) as error:
        return Verdict(False, name, str(error) or type(error).__name__)


async def _download(address: Address, digest: str) -> str:
    begun = time.perf_counter()
    reader, writer = await asyncio.open_connection(*address)
    try:
        connection = h11.Connection(h11.CLIENT)
        host = f"{address[0]}:{address[1]}"
        request = h11.Request(method="GET", target="/download", headers=[("Host", host), ("Connection", "close")])
        for event in (request, h11.EndOfMessage()):
            writer.write(connection.send(event))
        found, size = await _receive_body(connection, reader)
    finally:
        writer.close()
    taken = time.perf_counter() - begun
    if found != digest:
        raise _CheckError(f"{size_text(size)} downloaded, but SHA-256 is {found}, not {digest}")
    return f"{size_text(size)} downloaded in {time_text(taken)}, SHA-256 as at the target: {digest[:10]}…"


async def _receive_body(connection: h11.Connection, reader: asyncio.StreamReader) -> tuple[str, int]:
    """Read the response to its end.

    Returns:
        The SHA-256 of its body, and its size.
    """
    found = hashlib.sha256()
    size = 0
    while not isinstance(event := connection.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(READ_SIZE))
        elif isinstance(event, h11.Response) and event.status_code != 200:
            raise _CheckError(f"the target answered with HTTP status {event.status_code}")
        elif isinstance(event, h11.Data):
            found.update(event.data)
            size += len(event.data)
        elif isinstance(event, h11.ConnectionClosed):
            raise _CheckError("the connection was closed without an answer")
    return found.hexdigest(), size


class _Answers(asyncio.DatagramProtocol):
    """Keeps the datagrams that come in."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, _: tuple[str, int]) -> None:
        self.queue.put_nowait(data)


async def _exchange_datagrams(address: Address) -> str:
    loop = asyncio.get_running_loop()
    transport, answers = await loop.create_datagram_endpoint(_Answers, remote_addr=address)
    try:
        times = []
        for _ in range(DATAGRAMS):
            sent = os.urandom(DATAGRAM_SIZE)
            begun = time.perf_counter()
            transport.sendto(sent)
            if await answers.queue.get() != sent:
                raise _CheckError("a datagram came back changed")
            times.append(time.perf_counter() - begun)
    finally:
        transport.close()
    median = time_text(sorted(times)[len(times) // 2])
    return f"{DATAGRAMS} datagrams of {DATAGRAM_SIZE} bytes came back unchanged, {median} each"
