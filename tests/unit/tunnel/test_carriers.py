"""The connections that users of one session share: who gets which, who is launched, how they end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from nodepass.config import Tunables
from nodepass.protocol.conn_id import CONTROL, from_bytes
from nodepass.protocol.launch import encode_launch
from nodepass.protocol.signals import Action, Signal
from nodepass.protocol.yamux import ACK, DATA, FIN, GO_AWAY, RST, SYN, GoAway, go_away, window_update
from nodepass.tunnel.carriers import MOST_IN_VAIN, Carriers
from tests.unit.protocol.chunks import every_byte
from tests.unit.relay.fakes import Lines
from tests.unit.transport.mux.ends import Frame, Lower, data, reset_of, turn
from tests.unit.tunnel.peers import resources

if TYPE_CHECKING:
    from nodepass.protocol.conn_id import ConnectionId
    from nodepass.tunnel.pooled import PooledLink

LAUNCH = encode_launch(Action.TCP, "192.0.2.7:40000")
SIGNAL = Signal(Action.TCP, remote="192.0.2.7:40000")


def number(value: int) -> ConnectionId:
    return from_bytes(value.to_bytes(4, "big"))


class Stage:
    """The carriers of one session, and what its other parts heard.

    Args:
        takes: whether targets are dialled at this end, so that the peer announces users.
        patience: seconds in which a user must be announced on its stream.
    """

    def __init__(self, *, takes: bool = False, patience: float = 60.0) -> None:
        self.lines = Lines()
        self.added = self.taken = 0
        self.launched: list[tuple[PooledLink, Signal]] = []
        self.carriers = Carriers(
            self._add,
            self._take,
            (lambda pooled, signal: self.launched.append((pooled, signal))) if takes else None,
            dialled=not takes,
            resources=resources(self.lines.log, Tunables(pool_get_timeout=patience, report_interval=3600.0)),
        )

    def _add(self) -> None:
        self.added += 1

    def _take(self) -> None:
        self.taken += 1

    def carrier(self, value: int, early: bytes = b"") -> Lower:
        """One more connection, of this ID."""
        lower = Lower()
        self.carriers.add(number(value), lower, early)
        return lower

    def user(self) -> PooledLink:
        """A way for one more user."""
        pooled = self.carriers.incoming_get()
        assert pooled is not None
        return pooled


# Users that this end sends.


async def test_a_user_goes_to_the_connection_with_the_fewest_streams() -> None:
    stage = Stage()
    lowers = [stage.carrier(value) for value in range(3)]
    users = [stage.user() for _ in range(9)]
    for user in users:
        user.link.write(b"x")
    await turn()
    assert [len(lower.frames()) for lower in lowers] == [3, 3, 3]
    # Those of the second connection leave: the next ones go there.
    for user in users[1::3]:
        user.link.abort()
    await turn()
    assert lowers[1].frames() == [reset_of(1), reset_of(3), reset_of(5)]
    for _ in range(3):
        stage.user().link.write(b"y")
    await turn()
    assert [len(lower.frames()) for lower in lowers] == [0, 3, 0]
    assert all(user.id == CONTROL for user in users)
    stage.carriers.abort()


async def test_there_is_no_way_without_a_connection_and_nobody_can_wait_for_one() -> None:
    stage = Stage()
    assert stage.carriers.incoming_get() is None
    heard: list[PooledLink | None] = []
    stage.carriers.outgoing_get(number(5), 10.0, heard.append)
    assert heard == [None]
    assert stage.carriers.waiting == 0


async def test_a_connection_that_is_to_end_takes_no_more_users() -> None:
    stage = Stage()
    leaving, staying = stage.carrier(1), stage.carrier(2)
    first = stage.user()
    first.link.write(b"x")
    leaving.deliver(go_away(GoAway.NORMAL))
    for _ in range(3):
        stage.user().link.write(b"y")
    await turn()
    assert len(leaving.frames()) == 1
    assert len(staying.frames()) == 3
    assert stage.taken == 0
    first.link.abort()
    assert stage.taken == 1
    assert stage.carriers.active == 1
    stage.carriers.abort()


async def test_a_connection_that_breaks_is_replaced_and_takes_only_its_users_along() -> None:
    stage = Stage()
    breaking, staying = stage.carrier(1), stage.carrier(2)
    one, two = stage.user(), stage.user()
    lost = []
    one.lost, two.lost = lambda: lost.append("one"), lambda: lost.append("two")
    for user in (one, two):
        user.link.attach(user)
        user.link.write(b"x")
    breaking.deliver_end()
    assert lost == ["one"]
    assert stage.taken == 1
    assert stage.carriers.active == 1
    assert number(1) not in stage.carriers
    stage.user().link.write(b"y")
    await turn()
    assert len(staying.frames()) == 2
    assert stage.added == 2
    stage.carrier(3)
    assert stage.carriers.active == 2
    stage.carriers.abort()


async def test_an_id_that_is_there_a_link_that_is_gone_and_what_comes_after_the_end_are_not_taken() -> None:
    stage = Stage()
    stage.carrier(1)
    assert stage.carrier(1).end == "aborted"
    gone = Lower()
    gone.abort()
    stage.carriers.add(number(2), gone)
    assert number(2) not in stage.carriers
    stage.carriers.close()
    assert stage.carrier(3).end == "aborted"
    assert stage.added == 1
    stage.carriers.abort()


async def test_a_flush_drops_what_carries_nobody() -> None:
    stage = Stage()
    busy, idle = stage.carrier(1), stage.carrier(2)
    stage.user().link.write(b"x")
    stage.carriers.add_error()
    stage.carriers.flush()
    assert stage.carriers.error_count == 0
    assert not busy.end
    assert idle.end == "aborted"
    assert stage.carriers.active == 1
    stage.carriers.abort()


# Users that the peer sends.


@pytest.mark.parametrize("cut", ["at once", "byte by byte"])
async def test_a_stream_carries_a_user_once_its_signal_has_been_read(cut: str) -> None:
    stage = Stage(takes=True)
    lower = stage.carrier(1)
    said = LAUNCH + b"hello"
    pieces = [said] if cut == "at once" else every_byte(said)
    for place, piece in enumerate(pieces):
        lower.deliver(data(1, piece, 0 if place else SYN))
        await turn()
    ((pooled, signal),) = stage.launched
    assert signal == SIGNAL
    # What stands behind the signal is kept, or waits unread: the egress reads on.
    assert b"hello".startswith(pooled.early)
    assert not pooled.ended
    assert not lower.end
    stage.carriers.abort()


async def test_the_first_frames_may_come_with_the_connection() -> None:
    stage = Stage(takes=True)
    stage.carrier(1, early=data(1, LAUNCH, SYN) + data(3, LAUNCH, SYN))
    assert [signal for _, signal in stage.launched] == [SIGNAL, SIGNAL]
    stage.carriers.abort()


async def test_an_end_right_behind_the_signal_is_known() -> None:
    stage = Stage(takes=True)
    stage.carrier(1).deliver(data(1, LAUNCH + b"all", SYN | FIN))
    ((pooled, _),) = stage.launched
    assert pooled.early == b"all"
    stage.carriers.abort()


@pytest.mark.parametrize("said", [b"\x00\x02{}", b"\xff\xff", b"\x00\x00", b"GET / HTTP/1.1\r\n"])
async def test_a_stream_that_is_announced_badly_is_dropped_alone(said: bytes) -> None:
    stage = Stage(takes=True)
    lower = stage.carrier(1)
    lower.deliver(data(1, LAUNCH, SYN) + data(3, said, SYN))
    await turn()
    assert len(stage.launched) == 1
    assert reset_of(3, ACK) in lower.frames()
    assert not lower.end
    assert "A user's stream from 127.0.0.1:1 is dropped" in "\n".join(stage.lines.lines)
    stage.carriers.abort()


async def test_a_stream_that_ends_before_its_signal_is_whole_is_dropped() -> None:
    stage = Stage(takes=True)
    lower = stage.carrier(1)
    lower.deliver(data(1, LAUNCH[:10], SYN | FIN))
    await turn()
    assert stage.launched == []
    assert reset_of(1, ACK) in lower.frames()
    assert not lower.end
    stage.carriers.abort()


async def test_a_stream_on_which_nobody_is_announced_in_time_is_dropped() -> None:
    stage = Stage(takes=True, patience=0.01)
    lower = stage.carrier(1)
    lower.deliver(data(1, LAUNCH, SYN) + data(3, LAUNCH[:5], SYN) + window_update(5, 0, SYN))
    frames: list[Frame] = []
    async with asyncio.timeout(10):
        while len([frame for frame in frames if frame.flags & RST]) < 2:
            await asyncio.sleep(0.001)
            frames += lower.frames()
    assert [frame.stream_id for frame in frames] == [3, 5]
    assert len(stage.launched) == 1
    # There is nobody left to look after, and the next one is looked after again.
    sweeping = [stage.carriers._sweeping]
    lower.deliver(window_update(7, 0, SYN))
    sweeping.append(stage.carriers._sweeping)
    assert sweeping[0] is None
    assert sweeping[1] is not None
    stage.carriers.abort()


async def test_where_users_come_in_the_peer_opens_no_streams() -> None:
    stage = Stage()
    lower = stage.carrier(1)
    lower.deliver(data(2, LAUNCH, SYN))
    assert lower.end == "closed"
    assert lower.frames()[-1] == Frame(GO_AWAY, 0, 0, GoAway.PROTOCOL_ERROR)
    assert stage.carriers.active == 0


# The end.


async def test_closing_lets_streams_go_on_and_all_is_gone_with_the_last_one() -> None:
    stage = Stage()
    busy, idle = stage.carrier(1), stage.carrier(2)
    user = stage.user()
    user.link.write(b"x")
    stage.carriers.close()
    assert stage.carriers.incoming_get() is None
    assert idle.ended
    departed = asyncio.ensure_future(stage.carriers.departed())
    idle.deliver_end()
    user.link.write(b"still here")
    await turn()
    assert not departed.done()
    assert [frame.payload for frame in busy.frames() if frame.kind == DATA] == [b"x", b"still here"]
    user.link.abort()
    assert busy.ended
    busy.deliver_end()
    async with asyncio.timeout(10):
        await departed


async def test_breaking_breaks_all_of_it_even_what_was_about_to_go() -> None:
    stage = Stage()
    busy, leaving = stage.carrier(1), stage.carrier(2)
    stage.user()
    stage.carriers.close()
    assert leaving.ended
    stage.carriers.abort()
    assert (busy.end, leaving.end) == ("aborted", "aborted")
    async with asyncio.timeout(10):
        await stage.carriers.departed()


@pytest.mark.parametrize("taken_back", [False, True])
async def test_a_connection_on_which_streams_are_opened_in_vain_is_not_dealt_with(taken_back: bool) -> None:
    stage = Stage(takes=True)
    flooded, other = stage.carrier(1), stage.carrier(2)
    other.deliver(data(1, LAUNCH, SYN))
    for stream_id in range(1, 2 * MOST_IN_VAIN, 2):
        flooded.deliver(window_update(stream_id, 0, SYN))
        if taken_back:
            flooded.deliver(window_update(stream_id, 0, RST))
    assert [flooded.end, other.end] == ["", ""]
    flooded.deliver(window_update(2 * MOST_IN_VAIN + 1, 0, SYN))
    await turn()
    assert [lower.gone for lower in (flooded, other)] == [True, False]
    assert len(stage.launched) == 1
    stage.carriers.abort()


async def test_streams_that_carry_somebody_do_not_count_as_in_vain() -> None:
    stage = Stage(takes=True)
    lower = stage.carrier(1)
    for stream_id in range(1, 2 * MOST_IN_VAIN + 10, 2):
        lower.deliver(data(stream_id, LAUNCH, SYN))
        lower.deliver(window_update(stream_id, 0, RST))
    assert not lower.gone
    assert len(stage.launched) > MOST_IN_VAIN
    stage.carriers.abort()
