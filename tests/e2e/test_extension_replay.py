"""What somebody has recorded on the way is worth nothing: neither the handshake, nor what opened connections.

v1 takes the token of its handshakes for ever, from anyone.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from nodepass.config import PoolTransport
from nodepass.protocol.extension import HEADER
from nodepass.protocol.session_keys import POOL_PROOF_SIZE
from tests.harness import KEY, Echo, Recording, UdpWay, connect, exchange, read_all
from tests.harness.raw import bearer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness import Runner, Tunnel

REPLAYS = 5
FILLED = r"POOL=[4-6]\|"
"""Between `min` and what a refill may open more while users come."""
AFTER = rf"TCPRX={len(b'beforeafter')}\|"


@pytest.fixture
def recorded(np: Runner) -> Iterator[tuple[Tunnel, Recording]]:
    """A tunnel with someone on the way who keeps what the client says."""
    with Recording() as wire, ExitStack() as stack:
        tunnel = np.tunnel(via=wire.port, wait=False)
        wire.to = tunnel.port
        if np.transport is PoolTransport.QUIC:
            stack.enter_context(UdpWay(to=tunnel.port, port=wire.port))
        tunnel.client.ready()
        tunnel.server.ready()
        yield tunnel, wire


def answer_to(port: int, said: bytes) -> bytes:
    """What the server says to that, until it ends the connection, however it does."""
    with connect(port) as sock:
        sock.sendall(said)
        try:
            return read_all(sock)
        except ConnectionResetError:
            return b""


@pytest.mark.every_transport
def test_a_recorded_handshake_begins_nothing(recorded: tuple[Tunnel, Recording]) -> None:
    tunnel, wire = recorded
    request = bytes(next(each for each in wire.requests if HEADER.encode() in each))
    assert b"uthorization" not in request
    assert bearer().encode() not in wire.heard + request
    assert KEY.encode() not in wire.heard + request
    stripped = b"\r\n".join(line for line in request.split(b"\r\n") if HEADER.encode() not in line)
    assert stripped != request
    with Echo(tunnel.target), connect(tunnel.users) as user:
        assert exchange(user, b"before") == b"before"
        idle = tunnel.server.checkpoint(having=FILLED)["POOL"]
        for _ in range(REPLAYS):
            for said in (request, stripped):
                assert answer_to(tunnel.port, said).startswith(b"HTTP/1.1 401 ")
        tunnel.server.wait_for("Handshake from .* refused: it has been used before")
        assert exchange(user, b"after") == b"after"
        # What the user said last is counted: this report is not of before the replays.
        assert tunnel.server.checkpoint(having=AFTER)["POOL"] == idle
    assert len(tunnel.server.matches("Handshake with .*, proves the key")) == 1
    assert not tunnel.server.matches("session with .* ended")
    assert not tunnel.client.matches("WARN|ERROR")


def test_recorded_proofs_open_nothing(recorded: tuple[Tunnel, Recording]) -> None:
    """That of the control channel is recorded with the sealed lines behind it, those of users with what these said."""
    tunnel, wire = recorded
    with Echo(tunnel.target), connect(tunnel.users) as user:
        assert exchange(user, b"before") == b"before"
        idle = tunnel.server.checkpoint(having=FILLED)["POOL"]
        said = [bytes(each) for each in wire.requests if HEADER.encode() not in each]
        assert sum(len(each) > POOL_PROOF_SIZE for each in said) >= 2
        for each in said:
            assert answer_to(tunnel.port, each) == b""
            assert answer_to(tunnel.port, each[:POOL_PROOF_SIZE]) == b""
        tunnel.server.wait_for("its proof is number .*, which is forged or was used")
        assert exchange(user, b"after") == b"after"
        # What the user said last is counted: this report is not of before the replays.
        assert tunnel.server.checkpoint(having=AFTER)["POOL"] == idle
    assert not tunnel.server.matches("session with .* ended|Control channel")
    assert not tunnel.client.matches("WARN|ERROR")
