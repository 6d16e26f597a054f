"""What a server makes of handshakes under the name of a client that has a session."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from time import time
from typing import TYPE_CHECKING

import nodepass
from nodepass.protocol.client_handshake import ClientHandshake
from nodepass.protocol.conn_id import CONTROL, from_bytes
from nodepass.protocol.extension import ClientExtension
from nodepass.protocol.tunnel_key import pre_shared_key
from tests.harness import free_port
from tests.unit.tunnel.peers import KEY

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nodepass.protocol.session_keys import SessionKeys
    from nodepass.tunnel.session import Session


@asynccontextmanager
async def tunnel() -> AsyncIterator[tuple[int, nodepass.Server, nodepass.Client]]:
    port, users = free_port(), free_port()
    server = nodepass.Server(f"server://{KEY}@127.0.0.1:{port}/127.0.0.1:{users}?mode=1&strict=1")
    client = nodepass.Client(f"client://{KEY}@127.0.0.1:{port}/127.0.0.1:9?mode=2&strict=1&min=1")
    async with asyncio.timeout(30), server, client:
        await asyncio.gather(server.connected(), client.connected())
        yield port, server, client


def session_of(client: nodepass.Client) -> Session:
    assert client._session is not None
    return client._session


async def shake_hands(port: int, name: str) -> SessionKeys:
    """Begin a session under this name."""
    extension = ClientExtension(pre_shared_key(KEY), name)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    handshake = ClientHandshake("none", extension=extension.header(time()))
    writer.write(handshake.request())
    answer = handshake.receive(await reader.read())
    writer.close()
    assert answer is not None
    _, keys = extension.conclude(answer.extension)
    return keys


async def test_a_handshake_alone_ends_nothing_and_a_connection_does() -> None:
    async with tunnel() as (port, server, client):
        running = session_of(client)
        keys = await shake_hands(port, client._introduction._name)
        assert len(list(server._sessions)) == 2
        assert server.stats.peers == 1
        assert not running.ended.done()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(keys.proof(1))
        assert from_bytes(await reader.readexactly(4)) == CONTROL
        await running.ended
        assert keys.session in {session.dialect.keys.session for session in server._sessions if session.dialect.keys}
        writer.close()


async def test_another_client_ends_nobody() -> None:
    async with tunnel() as (port, server, client):
        keys = await shake_hands(port, "f" * 16)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(keys.proof(1))
        assert from_bytes(await reader.readexactly(4)) == CONTROL
        assert server.stats.peers == 2
        assert not session_of(client).ended.done()
        writer.close()
