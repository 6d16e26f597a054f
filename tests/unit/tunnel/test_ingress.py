"""A user's place: what it holds is given back once."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Self

import pytest

from nodepass.config import ServerConfig, Tunables, parse_url
from nodepass.errors import TunnelError
from nodepass.log import ERROR, Log
from nodepass.net.listen import bind
from nodepass.net.pair import tcp_pair
from nodepass.net.tcp_options import reset_on_close
from nodepass.protocol.launch import REPEATED
from nodepass.transport.tcp_link import TcpLink
from nodepass.tunnel.ingress import ASKED_AGAIN, NAME_SIZE, TcpIngress
from nodepass.tunnel.resources import make_resources
from nodepass.tunnel.upstream import NOTHING_FAILED, Failure, Way

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nodepass.net.address import Address
    from nodepass.relay.datagram_ends import DatagramEnd
    from nodepass.tunnel.upstream import Relay


class Questions:
    """An upstream that leaves the answers to the test."""

    def __init__(self) -> None:
        self.avoided: list[frozenset[object]] = []
        self.names: set[str] = set()
        self.asked: asyncio.Queue[tuple[Callable[[Way], None], Callable[[Exception], None]]] = asyncio.Queue()

    def open_tcp(
        self,
        remote: Address,
        opened: Callable[[Way], None],
        failed: Callable[[Exception], None],
        avoid: Mapping[object, Failure] = NOTHING_FAILED,
        name: str = "",
    ) -> None:
        self.avoided.append(frozenset(avoid))
        self.names.add(name)
        self.asked.put_nowait((opened, failed))

    def open_udp(
        self, remote: Address, opened: Callable[[DatagramEnd, set[Relay]], None], failed: Callable[[Exception], None]
    ) -> None:
        raise NotImplementedError


async def test_a_user_that_left_while_it_waited_for_another_way_is_turned_away_without_harm() -> None:
    config = parse_url("server://key@127.0.0.1:1/127.0.0.1:2?mode=1")
    assert isinstance(config, ServerConfig)
    resources = make_resources(config, Tunables(), Log(ERROR))
    upstream = Questions()
    (listening,) = bind(["127.0.0.1"], 0, socket.SOCK_STREAM)
    address = listening.getsockname()
    ingress = TcpIngress([listening], upstream, config, resources)
    # Another user, of whom this one must not take the place.
    assert resources.meter.begin(udp=False)
    with socket.create_connection(address) as leaving:
        opened, _ = await upstream.asked.get()
        far, other_end = tcp_pair()
        opened(Way(TcpLink(far, resources.shared), set(), carrier="one", launch=b"launch"))
        reset_on_close(other_end)
        other_end.close()
        _, failed = await upstream.asked.get()
        reset_on_close(leaving)
        leaving.close()
        async with asyncio.timeout(5):
            while resources.meter.tcp_sessions == 2:
                turn = asyncio.Event()
                asyncio.get_running_loop().call_later(0.001, turn.set)
                await turn.wait()
        failed(TunnelError("it took too long"))
        assert resources.meter.tcp_sessions == 1
    ingress.close()
    resources.close()


@pytest.mark.parametrize("spoken", [False, True])
async def test_a_user_who_has_spoken_goes_back_to_where_its_way_broke(spoken: bool) -> None:
    """There it is known whether a target has heard of it; who has said nothing is rather sent elsewhere."""
    async with Ingress() as made:
        upstream = made.upstream
        with socket.create_connection(made.address) as user:
            if spoken:
                user.sendall(b"hello")
            for _ in range(ASKED_AGAIN + 1):
                opened, _ = await upstream.asked.get()
                far, other_end = tcp_pair()
                opened(Way(TcpLink(far, made.resources.shared), set(), carrier="one", launch=b"launch"))
                await receive(other_end, b"launchhello" if spoken else b"launch")
                reset_on_close(other_end)
                other_end.close()
            _, failed = await upstream.asked.get()
            failed(TunnelError("that was the last"))
            one = frozenset({"one"})
            assert upstream.avoided == [frozenset(), *([frozenset()] * ASKED_AGAIN if spoken else [one] * ASKED_AGAIN), one]
            # It is the same user each time, unless there is nothing that a target could hear twice.
            assert len(upstream.names) == (1 if spoken else 2 + ASKED_AGAIN)
            assert all(len(name) == 2 * NAME_SIZE for name in upstream.names)


async def test_a_user_of_whom_a_target_may_have_heard_is_sent_nowhere_else() -> None:
    async with Ingress() as made:
        with socket.create_connection(made.address) as user:
            user.sendall(b"hello")
            opened, _ = await made.upstream.asked.get()
            far, other_end = tcp_pair()
            opened(Way(TcpLink(far, made.resources.shared), set(), carrier="one", launch=b"launch"))
            await receive(other_end, b"launchhello")
            with other_end:
                other_end.sendall(REPEATED)
                user.setblocking(False)
                with pytest.raises(ConnectionResetError):
                    await asyncio.wait_for(asyncio.get_running_loop().sock_recv(user, 1), 10)
        assert made.upstream.asked.empty()
        assert made.resources.meter.tcp_sessions == 0


class Ingress:
    """One, whose ways the test gives."""

    def __init__(self) -> None:
        config = parse_url("server://key@127.0.0.1:1/127.0.0.1:2?mode=1")
        assert isinstance(config, ServerConfig)
        self.resources = make_resources(config, Tunables(), Log(ERROR))
        self.upstream = Questions()
        (listening,) = bind(["127.0.0.1"], 0, socket.SOCK_STREAM)
        self.address = listening.getsockname()
        self._ingress = TcpIngress([listening], self.upstream, config, self.resources)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._ingress.close()
        self.resources.close()


async def receive(sock: socket.socket, expected: bytes) -> None:
    """Read this and nothing else."""
    sock.setblocking(False)
    data = b""
    async with asyncio.timeout(10):
        while len(data) < len(expected):
            data += await asyncio.get_running_loop().sock_recv(sock, 100)
    assert data == expected
