"""A man in the middle of `tls=1`: he has a certificate on each side, and the ends find out before they say anything.

A v1 client accepts any certificate: he gets the pool connections.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from nodepass.config import PoolTransport
from tests.harness import Authority, Echo, Interceptor, Runner, UdpWay, Wiretap, connect, ended

if TYPE_CHECKING:
    from pathlib import Path

    from tests.harness import Tunnel

PATIENCE = {"NP_POOL_GET_TIMEOUT": "1s", "NP_HANDSHAKE_TIMEOUT": "1s"}
WHY = r"Client error: the server's certificate is not trusted: .* someone may stand between the two ends"
USERS_WORDS = b"for the target's eyes only"

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME_HEAD = 9
DATA_FRAME = 0
OPENING = b"\x00"
"""What a stream of HTTP/2 begins with, before anything of the pool's."""

each_flow = pytest.mark.parametrize("flow", ["reverse", "forward"])


def refuses(tunnel: Tunnel) -> None:
    """The session is refused, and a user who comes gets nowhere."""
    with Echo(tunnel.target) as target:
        tunnel.ingress.wait_for("Bound .*: users come in here")
        with connect(tunnel.users) as user:
            user.sendall(USERS_WORDS)
            tunnel.client.wait_for(WHY)
            assert ended(user)
        assert target.count == 0
    # Not even a control channel came up.
    for end in (tunnel.server, tunnel.client):
        assert not end.matches("Session with .* is ready")
    assert not tunnel.server.matches("its proof is")


@pytest.mark.parametrize("transport", [PoolTransport.TCP, PoolTransport.WEBSOCKET, PoolTransport.HTTP2], ids=str)
@each_flow
def test_a_man_in_the_middle_gets_nothing(np: Runner, tmp_path: Path, flow: str, transport: PoolTransport) -> None:
    with Interceptor(*Authority(tmp_path).issue("middle", "127.0.0.1")) as middle:
        tunnel = np.tunnel(flow, server=f"tls=1&type={transport}", via=middle.port, wait=False, env=PATIENCE)
        middle.to = tunnel.port
        refuses(tunnel)
        assert middle.said != []
        heard = [bytes(said) for said in middle.said]
        assert b"".join(pool_bytes(transport, said) for said in heard) == b"", [said.hex() for said in heard]
        assert USERS_WORDS not in middle.heard


def pool_bytes(transport: PoolTransport, said: bytes) -> bytes:
    """What was said in a pool connection, of what was said in TLS: a proof would be the first of it."""
    if transport is PoolTransport.WEBSOCKET:
        request, _, rest = said.partition(b"\r\n\r\n")
        assert request.startswith(b"GET ") or not request
        return rest
    if transport is PoolTransport.HTTP2:
        return b"".join(data_frames(said.removeprefix(PREFACE)))
    return said


def data_frames(frames: bytes) -> list[bytes]:
    """What is in DATA frames (RFC 9113, 4.1), behind the first byte of each stream."""
    found = []
    while len(frames) >= FRAME_HEAD:
        end = FRAME_HEAD + int.from_bytes(frames[:3], "big")
        if frames[3] == DATA_FRAME and frames[FRAME_HEAD:end] != OPENING:
            found.append(frames[FRAME_HEAD:end])
        frames = frames[end:]
    return found


@each_flow
def test_another_server_gets_nothing_over_quic(np: Runner, flow: str) -> None:
    """The handshake is passed on, and the datagrams go to a server of his own, which takes QUIC from anyone."""
    his = np.tunnel(server="type=1")
    with Wiretap() as middle, ExitStack() as stack:
        tunnel = np.tunnel(flow, server="type=1", via=middle.port, wait=False, env=PATIENCE)
        middle.to = tunnel.port
        stack.enter_context(UdpWay(his.port, middle.port))
        refuses(tunnel)
    assert not his.server.matches("Refused a connection|its proof is")
    assert not his.server.matches("session with .* ended")
