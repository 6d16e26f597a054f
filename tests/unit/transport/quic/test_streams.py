"""Streams that share a connection: none holds up another, none holds much memory, limits are kept."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import pytest

from nodepass.config import Tunables
from nodepass.policy.receive_window import SMALLEST
from nodepass.transport.quic import settings, stall, streams
from nodepass.transport.quic.credit import Credit
from nodepass.transport.quic.sending import SEND_BUFFER
from nodepass.transport.quic.streams import BROKEN, CLIENT_CREDIT
from tests.unit.transport.quic.ends import connection_of, ends

if TYPE_CHECKING:
    from nodepass.transport.quic.link import QuicLink
    from tests.unit.transport.links import Notes

BULK = os.urandom(3_000_000)
CHUNK = 256 * 1024
MANY = 200


def link_of(notes: Notes) -> QuicLink:
    link: QuicLink = notes.link  # type: ignore[assignment] # what a dialer of QUIC opens is one
    return link


@pytest.fixture
def no_credit(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the peer were v1."""
    monkeypatch.setattr(streams, "ALPN_CREDIT", "none")


without_credit = pytest.mark.usefixtures("no_credit")


async def test_many_streams_carry_at_once() -> None:
    async with ends(most=MANY) as made:
        dialer = made.dialer()
        pairs = [await made.pair(dialer) for _ in range(MANY)]
        for number, (near, far) in enumerate(pairs):
            near.link.write(BULK[number * 1000 : number * 1000 + 20_000])
            far.link.write(BULK[number * 2000 : number * 2000 + 20_000])
        for number, (near, far) in enumerate(pairs):
            await far.until(lambda far=far: len(far.data) == 20_000)  # type: ignore[misc]
            await near.until(lambda near=near: len(near.data) == 20_000)  # type: ignore[misc]
            assert far.data == BULK[number * 1000 : number * 1000 + 20_000]
            assert near.data == BULK[number * 2000 : number * 2000 + 20_000]
        assert len(made.connections) == 1


async def test_many_streams_that_begin_at_once_do_not_hold_up_acknowledgements() -> None:
    """Where they did, at both ends, nothing went on but by timers: six or seven times before these bytes had arrived."""
    async with ends(most=MANY) as made:
        dialer = made.dialer()
        pairs = [await made.pair(dialer) for _ in range(MANY)]
        for near, far in pairs:
            near.link.write(BULK[:2000])
            far.link.write(BULK[:2000])
        for near, far in pairs:
            await far.until(lambda far=far: len(far.data) == 2000)  # type: ignore[misc]
            await near.until(lambda near=near: len(near.data) == 2000)  # type: ignore[misc]
        timed = [connection.engine.core.pto_total for connection in (connection_of(dialer), made.connections[0])]
        assert min(timed) < 3


async def write_until_stuck(near: Notes) -> int:
    """Write whenever the link lets its feeder go on, until it has not done so for a while; how much that was."""
    written, idle = 0, 0
    while idle < 100:
        if near.events.count("pause") > near.events.count("resume"):
            idle += 1
        else:
            idle = 0
            near.link.write(bytes(CHUNK))
            written += CHUNK
        await asyncio.sleep(0.001)
    return written


async def test_a_reader_that_sleeps_holds_one_window_and_nobody_up() -> None:
    async with ends() as made:
        dialer = made.dialer()
        near, far = await made.pair(dialer)
        other_near, other_far = await made.pair(dialer)
        far.link.pause_reading()
        await write_until_stuck(near)
        assert link_of(far).waiting <= SMALLEST
        assert near.link.unsent <= CHUNK
        # What the engine holds of it is what may be sent and is not acknowledged yet.
        assert connection_of(dialer).engine.core.get_send_buffer_size(link_of(near).id) <= SEND_BUFFER
        other_near.link.write(BULK)
        await other_far.until(lambda: len(other_far.data) == len(BULK))
        assert other_far.data == BULK
        assert not made.lines.warnings


async def test_a_window_grows_for_a_reader_that_keeps_up() -> None:
    async with ends() as made:
        near, far = await made.pair()
        near.link.write(bytes(20_000_000))
        await far.until(lambda: len(far.data) == 20_000_000)
        assert link_of(far).window.limit - link_of(far).came > SMALLEST


async def test_a_peer_that_sends_more_than_it_was_granted_loses_its_connection() -> None:
    async with ends() as made:
        near, far = await made.pair()
        bystander = await made.pair(made.dialer())
        far.link.pause_reading()
        link_of(near).granted = 1 << 40
        near.link.write(bytes(SMALLEST + CHUNK))
        await near.until(lambda: "lost" in near.events)
        assert near.error is not None
        assert any("more on a stream than it was allowed" in line for line in made.lines.warnings)
        bystander[0].link.write(b"still here")
        await bystander[1].until(lambda: bystander[1].data == b"still here")


@pytest.mark.parametrize(
    "records",
    [
        (7 << 2).to_bytes(8, "big") + (1 << 63).to_bytes(8, "big"),
        bytes(16),
        (0).to_bytes(8, "big") + (5).to_bytes(8, "big"),
        b"\xff" * 16,
        os.urandom(1600),
        b"odd",
    ],
    ids=["unknown stream", "zero", "shrinking", "all ones", "random", "cut off"],
)
async def test_bad_credit_records_mean_nothing(records: bytes) -> None:
    async with ends() as made:
        dialer = made.dialer()
        near, far = await made.pair(dialer)
        core = connection_of(dialer).engine.core
        stream_id = core.open_stream(unidirectional=True)
        assert stream_id == CLIENT_CREDIT
        core.send_stream(stream_id, records)
        before = link_of(far).granted
        near.link.write(b"go on")
        await far.until(lambda: far.data == b"go on")
        assert link_of(far).granted == before
        far.link.write(b"and back")
        await near.until(lambda: near.data == b"and back")


@pytest.mark.parametrize("how", ["end", "reset"])
async def test_a_credit_stream_that_ends_is_the_end_of_its_connection(how: str) -> None:
    async with ends() as made:
        dialer = made.dialer()
        near, _ = await made.pair(dialer)
        core = connection_of(dialer).engine.core
        stream_id = core.open_stream(unidirectional=True)
        core.send_stream(stream_id, b"x", how == "end")
        connection_of(dialer).transmit()
        if how == "reset":
            core.reset_stream(stream_id, BROKEN)
            connection_of(dialer).wake()
        await near.until(lambda: "lost" in near.events)
        assert near.error is not None
        assert len(made.lines.warnings) == 1


@without_credit
async def test_with_v1_a_reader_that_sleeps_is_broken_before_the_others_starve(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stall, "MOST_WAITING", 256 * 1024)
    async with ends(tunables=Tunables(report_interval=0.2)) as made:
        dialer = made.dialer()
        near, far = await made.pair(dialer)
        other_near, other_far = await made.pair(dialer)
        far.link.pause_reading()
        near.link.write(bytes(CHUNK))
        for _ in range(20):
            near.link.write(bytes(CHUNK))
        other_near.link.write(BULK)
        await far.until(lambda: "lost" in far.events)
        assert far.error is not None
        await near.until(lambda: "lost" in near.events)
        await other_far.until(lambda: len(other_far.data) == len(BULK))
        assert other_far.data == BULK
        assert [line for line in made.lines.warnings if "nobody read it" in line]


@without_credit
async def test_with_v1_a_slow_reader_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stall, "MOST_WAITING", 64 * 1024)
    async with ends(tunables=Tunables(report_interval=0.2)) as made:
        near, far = await made.pair()
        most = 0
        far.link.pause_reading()
        near.link.write(BULK)
        while len(far.data) < len(BULK):
            far.pause_after = len(far.data) + 1
            far.link.resume_reading()
            most = max(most, link_of(far).waiting)
            await asyncio.sleep(0.005)
        assert far.data == BULK
        assert "lost" not in far.events
        assert most < len(BULK)
        assert not made.lines.warnings


@without_credit
async def test_with_v1_streams_are_carried() -> None:
    async with ends() as made:
        near, far = await made.pair()
        near.link.write(BULK)
        far.link.write(BULK)
        await far.until(lambda: len(far.data) == len(BULK))
        await near.until(lambda: len(near.data) == len(BULK))
        assert far.data == near.data == BULK
        assert Credit(connection_of(made.dialers[0]).engine).given is False
        assert settings.ALPN_CREDIT in str(connection_of(made.dialers[0]).engine.alpn)


async def test_streams_beyond_the_limit_wait_for_others_to_end() -> None:
    async with ends(most=1) as made:
        dialer = made.dialer()
        first, second = await made.pair(dialer), await made.pair(dialer)
        waiting = asyncio.ensure_future(made.pair(dialer))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        first[0].link.abort()
        near, far = await waiting
        near.link.write(b"now")
        await far.until(lambda: far.data == b"now")
        assert not second[0].link.gone


async def test_a_stream_that_begins_otherwise_is_refused() -> None:
    async with ends() as made:
        dialer = made.dialer()
        near, far = await made.pair(dialer)
        core = connection_of(dialer).engine.core
        for opening in (b"\x01", b"GET / HTTP/1.1\r\n", b""):
            stream_id = core.open_stream(unidirectional=False)
            core.send_stream(stream_id, opening, True)
        near.link.write(b"go on")
        await far.until(lambda: far.data == b"go on")
        assert made.accepted.empty()
        assert len(made.connections[0].streams._links) == 1
        assert len(made.lines.warnings) == 1


async def test_many_small_pieces_are_kept_in_few() -> None:
    async with ends() as made:
        near, far = await made.pair()
        far.link.pause_reading()
        for _ in range(300):
            near.link.write(b"x")
            await asyncio.sleep(0)
        await made.until(lambda: link_of(far).waiting == 300)
        assert len(link_of(far)._stash) < 10
        far.link.resume_reading()
        await far.until(lambda: len(far.data) == 300)
