"""Users who are announced again: no target hears twice of one of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import pytest

from nodepass.protocol.launch import CONFIRMED, REFUSED, REPEATED
from nodepass.protocol.signals import Action, Signal
from nodepass.tunnel.egress import Egress
from nodepass.tunnel.pooled import PooledLink
from nodepass.tunnel.upstream import Way
from tests.unit.relay.fakes import FakeLink, Lines
from tests.unit.tunnel.peers import resources, server_config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from nodepass.net.address import Address

USER = Signal(Action.TCP, remote="192.0.2.1:40112", name="0123456789abcdef")
OTHER = Signal(Action.TCP, remote="192.0.2.1:40112", name="fedcba9876543210")
NAMELESS = Signal(Action.TCP, remote="192.0.2.1:40112")


@dataclass
class Search:
    """One for a target, which the test finds."""

    opened: Callable[[Way], None]
    failed: Callable[[Exception], None]
    cancelled: bool = False
    target: FakeLink = field(default_factory=FakeLink)

    def cancel(self) -> None:
        self.cancelled = True

    def reach(self) -> FakeLink:
        self.opened(Way(self.target, set()))
        return self.target


class Targets:
    """All searches, in order."""

    def __init__(self) -> None:
        self.searches: list[Search] = []

    def open_tcp(self, _: Address, opened: Callable[[Way], None], failed: Callable[[Exception], None]) -> Search:
        self.searches.append(Search(opened, failed))
        return self.searches[-1]


class Nobody:
    """The pool."""

    def link_lost(self, _: PooledLink) -> None:
        """It is in use."""

    def spoke_early(self, _: PooledLink) -> None:
        """It has spoken."""


@dataclass
class Speaks:
    """What a session speaks."""

    confirms: bool = True


@dataclass
class Session:
    """The other end's."""

    dialect: Speaks = field(default_factory=Speaks)
    relays: set[Any] = field(default_factory=set)


class Scene:
    """An egress."""

    def __init__(self) -> None:
        self.targets = Targets()
        self.resources = resources(Lines().log)

    def announce(self, signal: Signal, early: bytes = b"hello") -> FakeLink:
        """The other end announces a user, in a session that has just begun."""

        egress = Egress(server_config(), cast("Any", self.targets), self.resources)
        link = FakeLink()
        pooled = PooledLink(Nobody(), cast("Any", 1), link, early)
        link.attach(pooled)
        egress.serve_on(cast("Any", Session()), pooled, signal)
        return link


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    yield made
    made.resources.close()


async def test_a_user_for_whom_a_target_was_reached_is_not_sent_there_again(scene: Scene) -> None:
    first = scene.announce(USER)
    target = scene.targets.searches[0].reach()
    assert (first.sent, target.sent) == (CONFIRMED, b"hello")
    # That is lost on the way; whether this end has heard so makes no difference.
    again = scene.announce(USER)
    assert (again.sent, again.end) == (REPEATED, "break")
    first.breaks()
    assert target.end == "break"
    assert scene.announce(USER).sent == REPEATED
    assert len(scene.targets.searches) == 1
    assert scene.resources.meter.tcp_sessions == 0


@pytest.mark.parametrize("other", [OTHER, NAMELESS])
async def test_others_are_served(scene: Scene, other: Signal) -> None:
    for signal in (USER, other):
        link = scene.announce(signal)
        assert scene.targets.searches[-1].reach().sent == b"hello"
        assert link.sent == CONFIRMED
    if other is NAMELESS:
        assert scene.announce(other).sent == b""
        assert len(scene.targets.searches) == 3


async def test_one_for_whom_no_target_was_reached_is_searched_for_again(scene: Scene) -> None:
    link = scene.announce(USER)
    scene.targets.searches[0].failed(OSError("nobody there"))
    assert link.sent == REFUSED
    lost = scene.announce(USER)
    lost.breaks()
    assert scene.targets.searches[1].cancelled
    link = scene.announce(USER)
    assert scene.targets.searches[2].reach().sent == b"hello"
    assert link.sent == CONFIRMED


async def test_of_two_searches_for_one_user_the_later_goes_on(scene: Scene) -> None:
    """The way of the former is gone, whether that has been heard here or not."""
    former = scene.announce(USER)
    later = scene.announce(USER)
    assert scene.targets.searches[0].cancelled
    assert former.end == "abort"
    assert scene.targets.searches[1].reach().sent == b"hello"
    assert later.sent == CONFIRMED
    assert scene.announce(USER).sent == REPEATED
    assert scene.resources.meter.tcp_sessions == 1
