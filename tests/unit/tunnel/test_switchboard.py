"""Those who wait for a way: what goes wrong with one of them is no other's trouble."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from nodepass.net.address import Address
from nodepass.tunnel.switchboard import Switchboard
from nodepass.tunnel.upstream import NOTHING_FAILED, Failure
from tests.unit.relay.fakes import FakeLink, Lines
from tests.unit.tunnel.peers import resources

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from nodepass.errors import SessionError
    from nodepass.tunnel.upstream import Way

USER = Address("192.0.2.1", 40112)


class _BadError(Exception):
    """What a callback of the tests raises."""


@dataclass
class Speaks:
    """What a session speaks."""

    refuses: frozenset[Any] = frozenset()
    confirms: bool = True


@dataclass
class Pooled:
    """A connection of it."""

    link: FakeLink = field(default_factory=FakeLink)
    fell_silent: bool = False


@dataclass(eq=False)
class Session:
    """A session that has so many connections."""

    connections: int = 0
    ready: bool = True
    lent: bool = False
    has_control: bool = True
    fell_silent: bool = False
    dialect: Speaks = field(default_factory=Speaks)
    relays: set[Any] = field(default_factory=set)
    ended: asyncio.Future[SessionError] = field(default_factory=asyncio.Future)

    def launch(self, *_: object) -> tuple[Pooled, bytes] | None:
        if not self.connections:
            return None
        self.connections -= 1
        return Pooled(), b"launch"


class Users:
    """Those who ask, by number: what became of each."""

    def __init__(self, switchboard: Switchboard, bad: int) -> None:
        self._switchboard = switchboard
        self._bad = bad
        self.opened: list[int] = []
        self.failed: list[int] = []

    def ask(self, count: int, avoid: Mapping[object, Failure] = NOTHING_FAILED) -> None:
        for number in range(count):
            self._switchboard.open_tcp(USER, self._notes(self.opened, number), self._notes(self.failed, number), avoid)

    def _notes(self, told: list[int], number: int) -> Callable[[object], None]:
        def note(_: Way | Exception) -> None:
            told.append(number)
            if number == self._bad:
                raise _BadError

        return cast("Callable[[object], None]", note)


@pytest.fixture
async def raised() -> list[BaseException]:
    """What the loop has been left with."""
    errors: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context["exception"]))
    return errors


@pytest.fixture
async def board() -> AsyncIterator[Switchboard]:
    lines = resources(Lines().log)
    yield Switchboard(lines)
    lines.close()


async def turn() -> None:
    """Let the loop do what it has been asked to."""
    done = asyncio.Event()
    asyncio.get_running_loop().call_soon(done.set)
    await done.wait()


@pytest.mark.parametrize("avoid", [NOTHING_FAILED, {"another": Failure.BROKEN}])
async def test_all_are_turned_away_whatever_one_of_them_does(
    board: Switchboard, raised: list[BaseException], avoid: Mapping[object, Failure]
) -> None:
    users = Users(board, bad=1)
    users.ask(4, avoid)
    board.close()
    await turn()
    assert users.failed == [0, 1, 2, 3]
    assert [type(error) for error in raised] == [_BadError]


@pytest.mark.parametrize("avoid", [NOTHING_FAILED, {"another": Failure.BROKEN}])
async def test_one_whose_way_goes_wrong_is_not_given_another_and_the_others_are_served(
    board: Switchboard, avoid: Mapping[object, Failure]
) -> None:
    session = Session()
    board.add(cast("Any", session))
    users = Users(board, bad=1)
    users.ask(4, avoid)
    session.connections = 10
    with pytest.raises(_BadError):
        board.serve_waiting()
    board.serve_waiting()
    assert sorted(users.opened) == [0, 1, 2, 3]
    assert session.connections == 6
    assert users.failed == []


async def test_a_session_that_ends_turns_away_those_who_hoped_for_it_alone(
    board: Switchboard, raised: list[BaseException]
) -> None:
    refuses, other = Session(), Session()
    for session in (refuses, other):
        board.add(cast("Any", session))
    users = Users(board, bad=0)
    users.ask(3, {refuses: Failure.REFUSED})
    board.remove(cast("Any", other))
    await turn()
    assert users.failed == [0, 1, 2]
    assert len(raised) == 1
