"""A user's place: what it holds is given back once."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from nodepass.config import ServerConfig, Tunables, parse_url
from nodepass.errors import TunnelError
from nodepass.log import ERROR, Log
from nodepass.net.listen import bind
from nodepass.net.pair import tcp_pair
from nodepass.net.tcp_options import reset_on_close
from nodepass.transport.tcp_link import TcpLink
from nodepass.tunnel.ingress import TcpIngress
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
        self.asked: asyncio.Queue[tuple[Callable[[Way], None], Callable[[Exception], None]]] = asyncio.Queue()

    def open_tcp(
        self,
        remote: Address,
        opened: Callable[[Way], None],
        failed: Callable[[Exception], None],
        avoid: Mapping[object, Failure] = NOTHING_FAILED,
    ) -> None:
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
