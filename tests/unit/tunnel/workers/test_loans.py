"""Connections that one process of a server lends another."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, cast

from nodepass.net.pair import tcp_pair
from nodepass.protocol.signals import Action
from nodepass.tunnel.workers.cells import Cells, Figure
from nodepass.tunnel.workers.company_messages import Borrow, Lent
from nodepass.tunnel.workers.loans import INSIDE, Lender, Loans
from tests.unit.relay.fakes import Lines
from tests.unit.tunnel.peers import CODEC, resources

if TYPE_CHECKING:
    from nodepass.tunnel.switchboard import Switchboard
    from nodepass.tunnel.workers.channel import Channel
    from nodepass.tunnel.workers.packets import Message


class FakeChannel:
    """What has been said to a lender."""

    def __init__(self) -> None:
        self.said: list[Message] = []

    def send(self, message: Message, _: object = ()) -> None:
        self.said.append(message)


class FakeSwitchboard:
    """Users who wait, and what they are given."""

    def __init__(self, lenders: list[Lender]) -> None:
        self.users = 0
        self.served = 0
        self._lenders = lenders

    def waiting(self, action: Action) -> int:
        return self.users if action is Action.TCP else 0

    def serve_waiting(self) -> None:
        for lender in self._lenders:
            while self.users and (launched := lender.launch(Action.TCP, INSIDE, "")) is not None:
                self.users -= 1
                self.served += 1
                launched[0].link.abort()


class Scene:
    """Two lenders, with so many connections each."""

    def __init__(self, *pools: int) -> None:
        self.cells = Cells.make(3)
        self.resources = resources(Lines().log)
        self.loans = Loans(self.resources)
        self.channels = [FakeChannel() for _ in pools]
        for index, (channel, pool) in enumerate(zip(self.channels, pools, strict=True)):
            self.cells.set(Figure.POOL, index, pool)
            self.loans.lenders[index] = Lender(index, cast("Channel", channel), self.cells, CODEC, self.resources)
        self.users = FakeSwitchboard(list(self.loans.lenders.values()))
        self.board = cast("Switchboard", self.users)

    def wait(self, users: int) -> None:
        self.users.users += users
        self.loans.wanted(self.board)

    def asked(self) -> list[int]:
        """How much each has been asked for."""
        return [len(channel.said) for channel in self.channels]

    def number(self, index: int) -> int:
        """That of the last question to one of them."""
        message = self.channels[index].said[-1]
        assert isinstance(message, Borrow)
        return message.number


async def test_no_more_is_asked_for_than_users_wait_or_is_there() -> None:
    scene = Scene(2, 1)
    scene.wait(1)
    scene.loans.wanted(scene.board)
    assert sum(scene.asked()) == 1
    scene.wait(10)
    assert scene.asked() == [2, 1]


async def test_one_that_refuses_is_not_asked_again_until_time_has_passed() -> None:
    scene = Scene(3, 1)
    scene.wait(1)
    assert scene.asked() == [1, 0]
    scene.loans.answered(Lent(scene.number(0)), [], scene.board)
    assert scene.asked() == [1, 1]
    scene.loans.answered(Lent(scene.number(1)), [], scene.board)
    assert scene.asked() == [1, 1]
    scene.loans.try_again(scene.board)
    assert scene.asked() == [2, 1]


async def test_what_is_lent_goes_to_who_waits_and_back_where_nobody_does() -> None:
    scene = Scene(2)
    scene.wait(2)
    near, far = zip(*(tcp_pair() for _ in range(2)), strict=True)
    numbers = [message.number for message in scene.channels[0].said if isinstance(message, Borrow)]
    scene.loans.answered(Lent(numbers[0]), [far[0].detach()], scene.board)
    assert scene.users.served == 1
    scene.users.users = 0
    scene.loans.answered(Lent(numbers[1]), [far[1].detach()], scene.board)
    assert scene.users.served == 1
    for sock in near:
        assert _is_cut(sock)


async def test_what_is_broken_when_it_comes_serves_nobody() -> None:
    scene = Scene(1)
    scene.wait(1)
    near, far = tcp_pair()
    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    near.close()
    scene.loans.answered(Lent(scene.number(0)), [far.detach()], scene.board)
    assert scene.users.served == 0
    assert scene.users.users == 1


def _is_cut(sock: socket.socket) -> bool:
    sock.settimeout(10)
    with sock:
        try:
            return sock.recv(1) == b""
        except ConnectionResetError:
            return True
