"""A user on the way to a target: whatever comes first, its bytes get there once and in order, or it is let go."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodepass.protocol.launch import CONFIRMED, REFUSED, REPEATED
from nodepass.protocol.sniff import Sniffer, Verdict
from nodepass.relay.joining import KEPT, Joining
from nodepass.relay.meter import Meter
from tests.unit.relay.fakes import FakeLink

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class Scene:
    """One user, and all that is told of it."""

    rate: int = 0
    sniffer: Sniffer | None = None
    near: FakeLink = field(default_factory=FakeLink)
    told: list[object] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.meter = Meter(0, self.rate, 0)
        self.joining = Joining(self.near, self.sniffer, self.meter, self.lost, self.refused)

    def lost(self, error: Exception | None) -> None:
        self.told.append(("lost", error))

    def refused(self, verdict: Verdict) -> None:
        self.told.append(verdict)

    def go(self, launch: bytes = b"") -> FakeLink:
        """Try a way."""
        far = FakeLink()
        self.joining.go(
            far,
            launch,
            confirmed=lambda early, full: self.told.append(("confirmed", early, *(["full"] if full else []))),
            failed=lambda word: self.told.append({REFUSED: "refused", REPEATED: "repeated"}.get(word, "broken")),
        )
        return far


def socks_http_tls() -> Sniffer:
    return Sniffer(socks=True, http=True, tls=True)


@pytest.fixture
async def scene() -> Scene:
    return Scene()


async def test_what_the_user_says_goes_on_at_once(scene: Scene) -> None:
    far = scene.go()
    scene.near.hears(b"GET ")
    assert far.sent == b"GET "
    scene.near.hears(b"/")
    assert far.sent == b"GET /"
    assert scene.meter.tcp_rx.total == 5
    assert scene.told == []


async def test_a_confirmation_hands_over_with_what_stands_behind_it(scene: Scene) -> None:
    far = scene.go()
    far.hears(CONFIRMED + b"220 hello")
    assert scene.told == [("confirmed", b"220 hello")]
    assert not far.lost
    assert not scene.near.lost
    # What happens to the way from now on is someone else's.
    far.breaks()
    assert scene.told == [("confirmed", b"220 hello")]


@pytest.mark.parametrize("end", [b"", REFUSED, REPEATED, b"\x03", b"HTTP/1.1 200 OK"])
async def test_a_way_that_does_not_confirm_has_failed(scene: Scene, end: bytes) -> None:
    far = scene.go()
    if end:
        far.hears(end)
    else:
        far.hears_end()
    assert scene.told == [{REFUSED: "refused", REPEATED: "repeated"}.get(end, "broken")]
    assert far.end == "abort"
    assert not scene.near.lost


async def test_a_way_that_breaks_has_failed_once(scene: Scene) -> None:
    far = scene.go()
    far.breaks()
    assert scene.told == ["broken"]


async def test_what_carries_the_way_may_die(scene: Scene) -> None:
    scene.joining.abort()
    far = scene.go()
    scene.joining.abort()
    assert far.end == "abort"
    assert scene.told == ["broken"]
    scene.joining.abort()
    assert scene.told == ["broken"]


async def test_the_same_bytes_go_another_way_and_count_once(scene: Scene) -> None:
    one = scene.go()
    scene.near.hears(b"first ")
    one.breaks()
    scene.near.hears(b"between ")
    two = scene.go()
    assert two.sent == b"first between "
    two.hears(REFUSED)
    three = scene.go()
    scene.near.hears(b"last")
    scene.near.hears_end()
    three.hears(CONFIRMED)
    assert three.sent == b"first between last"
    assert three.ended
    assert scene.meter.tcp_rx.total == len(b"first between last")
    assert scene.told == ["broken", "refused", ("confirmed", b"")]


ORDERS = [
    order
    for order in itertools.permutations(["say", "end", "fail", "retry"])
    if order.index("say") < order.index("end") and order.index("fail") < order.index("retry")
]


@pytest.mark.parametrize("order", ORDERS)
async def test_in_any_order_the_second_way_gets_all_there_is(scene: Scene, order: tuple[str, ...]) -> None:
    """The user speaks and ends, the first way fails, a second is tried: in each order that can be."""
    ways = [scene.go()]
    for step in order:
        if step == "say":
            scene.near.hears(b"all there is")
        elif step == "end":
            scene.near.hears_end()
        elif step == "fail":
            ways[0].breaks()
        else:
            ways.append(scene.go())
    assert ways[1].sent == b"all there is"
    assert ways[1].ended
    ways[1].hears(CONFIRMED)
    assert scene.told == ["broken", ("confirmed", b"")]


class Story:
    """A user and its ways, step by step, beside what must have come of it."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.said = b""
        self.ended = False
        self.over = False
        self.way: FakeLink | None = None
        self.expected: list[object] = []

    def say(self) -> None:
        if not self.ended:
            self.scene.near.hears(b"one more word, ")
            self.said += b"one more word, "

    def end(self) -> None:
        if not self.ended:
            self.scene.near.hears_end()
            self.ended = True

    def go(self) -> None:
        if self.way is None:
            self.way = self.scene.go()

    def way_breaks(self) -> None:
        if self.way is not None:
            self.way.breaks()
            self._failed("broken")

    def way_ends(self) -> None:
        if self.way is not None:
            self.way.hears_end()
            self._failed("broken")

    def way_refuses(self) -> None:
        if self.way is not None:
            self.way.hears(REFUSED)
            self._failed("refused")

    def way_confirms(self) -> None:
        if self.way is not None:
            self.way.hears(CONFIRMED + b"early")
            self.expected.append(("confirmed", b"early"))
            self.over = True

    def user_goes(self) -> None:
        self._lose(None)

    def user_breaks(self) -> None:
        self._lose(ConnectionResetError("broken"))

    def check(self) -> None:
        if self.way is not None and not self.way.lost:
            assert (self.way.sent, self.way.ended) == (self.said, self.ended)
        assert self.scene.told == self.expected
        assert self.scene.meter.tcp_rx.total == len(self.said)

    def _failed(self, how: str) -> None:
        assert self.way is not None
        assert self.way.lost
        assert self.scene.joining._far is None
        self.way = None
        self.expected.append(how)

    def _lose(self, error: Exception | None) -> None:
        self.scene.near.is_lost(error)
        assert self.way is None or self.way.lost
        self.expected.append(("lost", error))
        self.over = True


GOES_ON = (Story.say, Story.end, Story.go, Story.way_breaks, Story.way_ends, Story.way_refuses)
ENDS = (Story.way_confirms, Story.user_goes, Story.user_breaks)


@given(st.lists(st.sampled_from(GOES_ON), max_size=20), st.sampled_from(ENDS))
def test_whatever_happens_each_way_gets_all_and_one_word_is_told_of_it(
    steps: list[Callable[[Story], None]], last: Callable[[Story], None]
) -> None:
    async def main() -> None:
        story = Story()
        for step in (*steps, Story.go, last):
            step(story)
            story.check()
        assert story.over

    asyncio.run(main())


@pytest.mark.parametrize(("error", "end"), [(None, "abort"), (ConnectionResetError("gone"), "break")])
async def test_a_user_that_goes_takes_its_way_along(scene: Scene, error: Exception | None, end: str) -> None:
    far = scene.go()
    scene.near.hears(b"said")
    if error is None:
        scene.near.abort()
    else:
        scene.near.breaks(error)
    assert far.end == end
    # No word of a way that has failed: there is nobody to be sent another.
    assert scene.told == [("lost", error)]


async def test_a_user_that_goes_between_two_ways_is_told_of(scene: Scene) -> None:
    scene.go().breaks()
    scene.near.breaks()
    assert scene.told[0] == "broken"
    assert len(scene.told) == 2


async def test_the_launch_goes_in_one_piece_with_what_the_user_has_said(scene: Scene) -> None:
    scene.near.hears(b"said")
    far = scene.go(b"launch ")
    assert far.writes == [b"launch said"]


async def test_a_way_that_is_full_when_it_is_confirmed_stays_so(scene: Scene) -> None:
    far = scene.go()
    far.receiver.pause_writing()
    far.hears(CONFIRMED)
    assert scene.told == [("confirmed", b"", "full")]


class Spoken(FakeLink):
    """The link of a user that has spoken before anybody listened."""

    __slots__ = ()

    def read_now(self) -> None:
        self.hears(b"GET / HTTP/1.1")


async def test_a_user_that_has_spoken_is_heard_at_once() -> None:
    scene = Scene(near=Spoken())
    assert scene.go(b"launch ").writes == [b"launch GET / HTTP/1.1"]
    assert scene.meter.tcp_rx.total == len(b"GET / HTTP/1.1")


async def test_a_user_that_has_spoken_a_refused_protocol_is_gone_at_once() -> None:
    scene = Scene(near=Spoken(), sniffer=socks_http_tls())
    assert scene.told == [Verdict.HTTP, ("lost", None)]
    assert scene.near.gone


async def test_with_a_rate_a_user_that_has_spoken_is_not_heard() -> None:
    scene = Scene(near=Spoken(), rate=1000)
    assert scene.go(b"launch ").writes == [b"launch "]


async def test_a_user_may_go_before_any_way(scene: Scene) -> None:
    scene.near.hears(b"said")
    scene.near.abort()
    assert scene.told == [("lost", None)]


async def test_what_is_kept_is_bounded(scene: Scene) -> None:
    far = scene.go()
    scene.near.hears(bytes(KEPT - 1))
    assert not scene.near.is_paused()
    scene.near.hears(b"x")
    assert scene.near.is_paused()
    assert len(scene.joining._kept) == KEPT
    far.breaks()
    assert scene.near.is_paused()
    assert scene.go().sent == bytes(KEPT - 1) + b"x"
    assert scene.near.is_paused()


async def test_with_a_rate_nothing_is_read_before_a_target_is_reached() -> None:
    scene = Scene(rate=1000)
    assert scene.near.is_paused()
    scene.go()
    assert scene.near.is_paused()


@pytest.mark.parametrize(
    ("said", "verdict"),
    [(b"\x05\x01\x00", Verdict.SOCKS5), (b"GET / HTTP/1.1", Verdict.HTTP), (b"\x16\x03\x01", Verdict.TLS)],
)
@pytest.mark.parametrize("there_is_a_way", [True, False])
async def test_a_refused_protocol_ends_the_user(said: bytes, verdict: Verdict, there_is_a_way: bool) -> None:
    scene = Scene(sniffer=socks_http_tls())
    far = scene.go() if there_is_a_way else None
    scene.near.hears(said)
    assert scene.told == [verdict, ("lost", None)]
    assert scene.near.end == "abort"
    if far is not None:
        assert far.sent == b""
        assert far.end == "abort"
    assert scene.joining._kept == b""


async def test_a_sniffer_that_is_undecided_holds_nothing_back_and_goes_on_later() -> None:
    scene = Scene(sniffer=socks_http_tls())
    far = scene.go()
    scene.near.hears(b"GE")
    assert far.sent == b"GE"
    far.hears(CONFIRMED)
    # Whoever relays the user from now on lets the same sniffer see the rest.
    sniffer = scene.joining.sniffer
    assert sniffer is not None
    assert sniffer.feed(b"T / ") is Verdict.HTTP


async def test_a_refused_protocol_in_pieces_ends_the_user() -> None:
    scene = Scene(sniffer=socks_http_tls())
    far = scene.go()
    for piece in (b"G", b"ET", b" /"):
        scene.near.hears(piece)
    assert scene.told == [Verdict.HTTP, ("lost", None)]
    assert far.sent == b"GET"


async def test_a_sniffer_that_has_decided_for_the_user_is_gone() -> None:
    scene = Scene(sniffer=socks_http_tls())
    scene.go()
    scene.near.hears(b"SSH-2.0-")
    assert scene.joining.sniffer is None
    scene.near.hears(b"GET / ")
    assert scene.told == []
