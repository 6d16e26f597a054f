"""Someone without the key, at the client's own address, opens pool connections all day. None is ever given to a user.

A v1 server takes every connection from that address into its pool, and hands users over on it.
"""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import pytest

from nodepass.config import PoolTransport, TlsMode
from nodepass.protocol.session_keys import POOL_PROOF_SIZE, SESSION_SIZE
from tests.harness import Echo, Load, Recording, connect
from tests.harness.stranger import WORDS, Strangers, forged

if TYPE_CHECKING:
    from tests.harness import Runner, Tunnel

THOUSANDS = 3000
HUNDREDS = 400
MOST_DESCRIPTORS = 1024 + 200
"""Strangers that a server keeps for a while, its own connections, and those of the load."""

MOST_IDLE = 32
FILLED = r"POOL=([4-9]|[1-3]\d)\|"
"""Between `min` and what a pool may have."""


def busy(np: Runner, tls: int = 0, via: int = 0) -> Tunnel:
    """A tunnel whose pool would soon be full of strangers."""
    return np.tunnel(server=f"tls={tls}&max={MOST_IDLE}", via=via, wait=not via)


def said_to(stranger: socket.socket) -> bytes:
    """What a server has said on a connection, without waiting for more."""
    try:
        return stranger.recv(1 << 16, socket.MSG_DONTWAIT)
    except OSError:
        return b""


@pytest.mark.usefixtures("many_files")
def test_thousands_of_plain_connections_get_nothing_and_take_nothing(np: Runner) -> None:
    """Silent ones, ones that talk nonsense, and ones that know which session there is, which anyone on the way can see."""
    with Recording() as wire, ExitStack() as stack:
        tunnel = busy(np, via=wire.port)
        wire.to = tunnel.port
        tunnel.client.ready()
        # Ready is who has a control channel; the pool comes after.
        tunnel.server.checkpoint(having=FILLED)
        said = [bytes(each) for each in wire.requests if len(each) >= POOL_PROOF_SIZE]
        proofs = [each[:POOL_PROOF_SIZE] for each in said if not each.startswith(b"GET")]
        session = proofs[0][:SESSION_SIZE]
        words = (*WORDS, forged(session), proofs[0][:-1] + b"\0", proofs[0][:-16] + bytes(16))
        stack.enter_context(Echo(tunnel.target, greeting=b"A"))
        load = stack.enter_context(Load(tunnel.users))
        load.wait_for(10)
        strangers, most = [], 0
        for number in range(THOUSANDS):
            sock = stack.enter_context(connect(tunnel.port))
            with suppress(OSError):
                sock.sendall(words[number % len(words)])
            strangers.append(sock)
            if not number % 100:
                most = max(most, tunnel.server.descriptors())
        load.wait_for(20)
        tunnel.server.checkpoint(having=FILLED)
        assert max(most, tunnel.server.descriptors()) < MOST_DESCRIPTORS
        # What begins as nothing of a pool does is answered as HTTP. Nobody is given an ID.
        assert all(each == b"" or each.startswith(b"HTTP/1.1 4") for each in map(said_to, strangers))
        # A client that comes now is taken, and so is one that comes back.
        since = len(tunnel.server.lines)
        np.run(tunnel.client.argv[-1]).ready()
        tunnel.server.ready(since=since)
        load.wait_for(20)
        assert load.broken == []
        assert not tunnel.server.matches("session with .* ended|opened over")


@pytest.mark.every_transport
def test_strangers_of_each_transport_get_nothing_and_take_nothing(np: Runner) -> None:
    tls = TlsMode.SELF_SIGNED if np.transport in (PoolTransport.TCP, PoolTransport.WEBSOCKET) else TlsMode.NONE
    tunnel = busy(np, tls)
    with Echo(tunnel.target, greeting=b"A"), Load(tunnel.users) as load:
        load.wait_for(10)
        with Strangers(tunnel.port, np.transport, tls, HUNDREDS) as strangers:
            most, end = 0, time.monotonic() + 60
            while not strangers.done.wait(0.1) and time.monotonic() < end:
                most = max(most, tunnel.server.descriptors())
            assert strangers.done.is_set()
            load.wait_for(20)
            tunnel.server.checkpoint(having=FILLED)
            assert most < MOST_DESCRIPTORS
            assert strangers.opened > 0
            assert bytes(strangers.heard) == b""
        assert load.broken == []
        assert not tunnel.server.matches("session with .* ended|opened over")
