"""A client whose address changes, and clients that share one. Two loopback addresses stand for two networks.

A v1 server knows clients by their address: one that moves is refused for a while, or loses what it had, and two behind one
address are in each other's way.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from nodepass.config import PoolTransport
from nodepass.protocol.extension import HEADER
from tests.harness import Echo, UdpWay, Wiretap, connect, echoed, exchange

if TYPE_CHECKING:
    from tests.harness import Runner

HERE, THERE, ELSEWHERE = "127.0.0.2", "127.0.0.3", "127.0.0.4"
RESET = struct.pack("ii", 1, 0)
MEGABYTES = 3_000_000
READY = "Session with the server at .* is ready"


class Network(Wiretap):
    """Passes TCP on, and is to the server at an address that changes.

    Args:
        address: where connections come from.
    """

    def __init__(self, address: str = HERE) -> None:
        super().__init__()
        self.address = address
        """Where connections come from."""
        self.for_pool = ""
        """Where all but handshakes come from, if that is elsewhere."""
        self._socks: set[socket.socket] = set()

    def serve(self, sock: socket.socket) -> None:
        handshake = HEADER.encode() in sock.recv(4096, socket.MSG_PEEK)
        source = self.address if handshake or not self.for_pool else self.for_pool
        with socket.create_connection((self.host, self.to), source_address=(source, 0)) as far:
            self._socks |= {sock, far}
            back = threading.Thread(target=self._pass, args=(far, sock), daemon=True)
            back.start()
            self._pass(sock, far)
            back.join()
            self._socks -= {sock, far}

    def move(self, address: str) -> None:
        """Be somewhere else from now on; what there was is reset."""
        self.address = address
        for sock in tuple(self._socks):
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                sock.shutdown(socket.SHUT_RDWR)


def test_a_client_that_moves_keeps_its_session_over_quic(np: Runner) -> None:
    with Wiretap() as tcp, UdpWay(port=tcp.port, source=HERE) as way:
        tunnel = np.tunnel(server="type=1", via=tcp.port, wait=False)
        tcp.to = way.to = tunnel.port
        tunnel.client.ready()
        tunnel.server.ready()
        with Echo(tunnel.target), connect(tunnel.users) as user:
            for address in (THERE, HERE, ELSEWHERE):
                moved = threading.Timer(0, way.move, (address,))
                data = os.urandom(MEGABYTES)
                assert exchange(user, data[:1000]) == data[:1000]
                moved.start()
                assert exchange(user, data) == data
                moved.join()
                assert echoed(tunnel.users)
        assert len(tunnel.client.matches(READY)) == 1
        assert len(tunnel.server.matches("Handshake with")) == 1
        assert not tunnel.server.matches("ERROR")


@pytest.mark.parametrize("transport", [each for each in PoolTransport if each is not PoolTransport.QUIC], ids=str)
def test_a_client_that_moves_has_a_new_session_at_once(np: Runner, transport: PoolTransport) -> None:
    """The address that it leaves is another's then, who is met as if there had been nobody."""
    with Network() as network:
        tunnel = np.tunnel(server=f"type={transport}", via=network.port, wait=False)
        network.to = tunnel.port
        tunnel.client.ready()
        with Echo(tunnel.target):
            for address in (THERE, HERE, ELSEWHERE):
                assert echoed(tunnel.users)
                since = len(tunnel.client.lines), len(tunnel.server.lines)
                network.move(address)
                tunnel.client.ready(since=since[0])
                tunnel.server.wait_for(f"Session with {address}:.* is ready", since=since[1])
                assert echoed(tunnel.users)
        assert not tunnel.client.matches("refused")
        assert len(tunnel.server.matches("Handshake with")) == 4


@pytest.mark.parametrize("transport", [each for each in PoolTransport if each is not PoolTransport.QUIC], ids=str)
def test_pool_connections_come_from_another_address_than_the_handshake(np: Runner, transport: PoolTransport) -> None:
    """As behind a NAT with several addresses; a v1 server drops them."""
    with Network() as network:
        network.for_pool = THERE
        tunnel = np.tunnel(server=f"type={transport}", via=network.port, wait=False)
        network.to = tunnel.port
        tunnel.client.ready()
        with Echo(tunnel.target):
            assert all(echoed(tunnel.users) for _ in range(20))
        tunnel.server.checkpoint(having=r"POOL=([4-9]|1\d)\|")
        assert tunnel.server.matches(f"Handshake with {HERE}:")
        assert not tunnel.server.matches("Refused|ERROR")


@pytest.mark.every_transport
def test_clients_behind_one_address_both_serve(np: Runner) -> None:
    tunnel = np.tunnel()
    with Echo(tunnel.target, greeting=b"A"), Echo(greeting=b"B") as another:
        since = len(tunnel.server.lines)
        np.run(tunnel.client.argv[-1].replace(f":{tunnel.target}?", f":{another.port}?")).ready()
        tunnel.server.ready(since=since)
        tunnel.server.checkpoint(having=r"POOL=([89]|1\d)\|")
        with connect(tunnel.users) as one, connect(tunnel.users) as two:
            assert {one.recv(1), two.recv(1)} == {b"A", b"B"}
            data = os.urandom(MEGABYTES)
            assert exchange(one, data) == data
            assert exchange(two, data) == data
    assert not tunnel.server.matches("session with .* ended")
