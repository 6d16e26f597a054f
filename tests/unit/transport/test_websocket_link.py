"""What only WebSocket links have: messages, Close, pings; and how they take a peer that is not one of ours."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, ClassVar

import pytest
from websockets.frames import Close, CloseCode, Opcode

from nodepass.transport.base import HIGH_WATER
from nodepass.transport.websocket import codec, link, message_link
from nodepass.transport.websocket.codec import JOINED
from nodepass.transport.websocket.framing import LARGE_MESSAGE, MESSAGE_SIZE
from nodepass.transport.websocket.link import WebSocketLink
from tests.unit.transport.links import Notes, attached, ws_pair, wss_pair
from tests.unit.transport.test_link_conformance import turns
from tests.unit.transport.websocket_peer import frame, joined

if TYPE_CHECKING:
    from tests.unit.transport.links import Pair
    from tests.unit.transport.test_link_conformance import Run

BULK = os.urandom(2_000_000)
NORMAL = Close(CloseCode.NORMAL_CLOSURE, "").serialize()

over_both = pytest.mark.parametrize("pair", [ws_pair, wss_pair], ids=["ws", "wss"])


# Messages.


@over_both
def test_each_write_arrives_by_itself_where_that_matters(run: Run, pair: Pair) -> None:
    async def main() -> None:
        near, far = await pair()
        far.coalesce = False
        sizes = [*range(1, 50), 65507, MESSAGE_SIZE]
        for size in sizes:
            near.write(bytes(size))
        notes = attached(far)
        await notes.until(lambda: len(notes.chunks) == len(sizes))
        assert notes.chunks == sizes
        near.abort()
        far.abort()

    run(main())


@pytest.mark.parametrize(("half_closes", "largest"), [(True, LARGE_MESSAGE), (False, MESSAGE_SIZE)])
@pytest.mark.parametrize("head", [b"", b"a head"])
def test_a_long_write_goes_in_several_messages(run: Run, half_closes: bool, largest: int, head: bytes) -> None:
    """To a v1 peer in shorter ones."""

    async def main() -> None:
        peer, far = await joined(half_closes=half_closes)
        attached(far)
        sizes = [largest, largest, 1]
        body = BULK[: sum(sizes) - len(head)]
        far.write_both(head, memoryview(body))
        await peer.until(lambda: len(peer.frames) == len(sizes))
        messages = peer.heard(Opcode.BINARY)
        assert [len(message) for message in messages] == sizes
        assert b"".join(messages) == head + body
        assert far.record_size == MESSAGE_SIZE
        peer.lower.abort()
        far.abort()

    run(main())


@over_both
@pytest.mark.parametrize("size", [0, 1, JOINED - 12, JOINED - 11, 65535 - 12, 65536 - 12, 300_001])
def test_two_pieces_are_one_message(run: Run, pair: Pair, size: int) -> None:
    async def main() -> None:
        ends = await pair()
        for near, far in (ends, ends[::-1]):
            far.coalesce = False
            notes = attached(far)
            memory = bytearray(BULK[:size])
            near.write_both(b"twelve bytes", memoryview(memory))
            memory[:] = bytes(size)
            near.write(b"!")
            await notes.until(lambda notes=notes: len(notes.data) == 12 + size + 1)  # type: ignore[misc]
            assert notes.data == b"twelve bytes" + BULK[:size] + b"!"
            assert notes.chunks == [12 + size, 1]
        for end in ends:
            end.abort()

    run(main())


def test_a_payload_is_delivered_before_its_message_is_whole(run: Run) -> None:
    async def main() -> None:
        peer, far = await joined()
        notes = attached(far)
        wire = frame(Opcode.BINARY, BULK[:50_000])
        peer.lower.write(wire[:20_001])
        await notes.until(lambda: len(notes.data) == 20_001 - 8)
        # From now on, what has not been delivered comes out whole.
        far.coalesce = False
        known = len(notes.chunks)
        peer.lower.write(wire[20_001:40_000])
        await turns()
        peer.lower.write(wire[40_000:])
        await notes.until(lambda: len(notes.data) == 50_000)
        assert notes.data == BULK[:50_000]
        assert notes.chunks[known:] == [50_000 - (20_001 - 8)]
        peer.lower.abort()
        far.abort()

    run(main())


@over_both
def test_a_client_gets_payloads_in_the_memory_they_came_in(run: Run, pair: Pair) -> None:
    class Objects(Notes):
        kinds: ClassVar[set[type]] = set()

        def data_received(self, data: memoryview) -> None:
            self.kinds.add(type(data.obj))
            super().data_received(data)

    async def main() -> None:
        near, far = await pair()
        notes = Objects(near)
        near.attach(notes)
        far.write(BULK)
        await notes.until(lambda: notes.data == BULK)
        # That all links of an instance read into; a copy would be bytes.
        assert notes.kinds == {bytearray}
        near.abort()
        far.abort()

    run(main())


@over_both
def test_a_reader_that_pauses_after_each_message_gets_them_all_and_the_end(run: Run, pair: Pair) -> None:
    async def main() -> None:
        near, far = await pair()
        far.coalesce = False
        notes = Notes(far)
        notes.pause_after = 1
        far.attach(notes)
        for number in range(300):
            near.write(bytes([number % 251]) * (number * 10 + 1))
        near.close()
        while "eof" not in notes.events:
            far.resume_reading()
            await asyncio.sleep(0)
        assert notes.chunks == [number * 10 + 1 for number in range(300)]
        far.write_eof()
        await notes.until(lambda: "lost" in notes.events)
        assert notes.error is None

    run(main())


def test_crumbs_let_the_loop_turn(run: Run) -> None:
    async def main() -> None:
        peer, far = await joined()
        loop = asyncio.get_running_loop()
        notes = attached(far)
        delivered = most = 0

        def look() -> None:
            nonlocal delivered, most
            most = max(most, len(notes.data) - delivered)
            delivered = len(notes.data)
            loop.call_soon(look)

        look()
        crumb = frame(Opcode.BINARY, b"x")
        peer.lower.write(crumb * 100_000)
        await notes.until(lambda: len(notes.data) == 100_000)
        # In one turn, some of what had been read before, and some of what was read in it.
        assert most <= 2 * message_link.CRUMBS
        assert far.quiet
        peer.lower.abort()
        far.abort()

    run(main())


# A peer that knows of no half-close.


def test_without_half_close_the_end_of_writing_is_close_and_reading_goes_on(run: Run) -> None:
    async def main() -> None:
        peer, far = await joined(half_closes=False)
        notes = attached(far)
        far.write(b"request")
        far.write_eof()
        far.write(b"ignored")
        await peer.until(lambda: bool(peer.heard(Opcode.CLOSE)))
        assert peer.frames == [(Opcode.BINARY, b"request"), (Opcode.CLOSE, NORMAL)]
        peer.send(Opcode.BINARY, b"answer")
        peer.send(Opcode.CLOSE, NORMAL)
        await peer.until(lambda: peer.ended)
        peer.lower.write_eof()
        await notes.until(lambda: "lost" in notes.events)
        assert notes.data == b"answer"
        assert notes.events == ["eof", "lost"]
        assert notes.error is None

    run(main())


@pytest.mark.parametrize("half_closes", [True, False])
def test_a_close_that_comes_is_the_end_of_what_is_read(run: Run, half_closes: bool) -> None:
    async def main() -> None:
        peer, far = await joined(half_closes=half_closes)
        notes = attached(far)
        peer.send(Opcode.BINARY, b"all there is")
        peer.send(Opcode.CLOSE, NORMAL)
        await notes.until(lambda: "eof" in notes.events)
        await peer.until(lambda: peer.ended)
        assert peer.heard(Opcode.CLOSE) == [NORMAL]
        peer.lower.write_eof()
        await turns()
        assert notes.events == ["eof"]
        far.write_eof()
        await notes.until(lambda: "lost" in notes.events)
        assert (bytes(notes.data), notes.error) == (b"all there is", None)
        assert far.gone

    run(main())


@pytest.mark.parametrize("gone", [True, False])
def test_what_is_written_after_the_peer_closed_is_known_to_be_lost(run: Run, gone: bool) -> None:
    async def main() -> None:
        peer, far = await joined()
        notes = attached(far)
        peer.send(Opcode.CLOSE, NORMAL)
        await notes.until(lambda: "eof" in notes.events)
        if gone:
            peer.lower.write_eof()
            await turns()
        far.write(b"too late")
        await notes.until(lambda: "lost" in notes.events)
        assert isinstance(notes.error, ConnectionResetError)
        peer.lower.abort()
        far.abort()

    run(main())


def test_a_slow_reader_gets_all_that_a_peer_sent_before_it_closed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "LINGER", 0.01)

    async def main() -> None:
        near, far = await ws_pair()
        notes = Notes(far)
        notes.pause_after = 1
        far.attach(notes)
        near_notes = attached(near)
        near.write(BULK[:MESSAGE_SIZE])
        near.write(BULK[MESSAGE_SIZE : 2 * MESSAGE_SIZE])
        near.close()
        await near_notes.until(lambda: "lost" in near_notes.events)
        await asyncio.sleep(0.05)
        assert notes.events == []
        notes.pause_after = None
        far.resume_reading()
        await notes.until(lambda: "eof" in notes.events)
        assert notes.data == BULK[: 2 * MESSAGE_SIZE]
        far.abort()

    run(main())


# Broken streams.


@over_both
def test_a_connection_that_ends_without_close_was_cut_off(run: Run, pair: Pair) -> None:
    async def main() -> None:
        near, far = await pair()
        notes = attached(far)
        near.write(b"the first half")
        # Ends what lies below, as a proxy does when the other side is gone.
        assert isinstance(near, WebSocketLink)
        near._lower.close()
        await notes.until(lambda: "lost" in notes.events)
        assert notes.data == b"the first half"
        assert notes.events == ["lost"]
        assert str(notes.error) == link.CUT_OFF
        near.abort()

    run(main())


def test_a_connection_that_is_cut_off_behind_the_end_of_one_direction(run: Run) -> None:
    async def main() -> None:
        peer, far = await joined()
        notes = attached(far)
        peer.send(Opcode.BINARY)
        await notes.until(lambda: "eof" in notes.events)
        peer.lower.close()
        await notes.until(lambda: "lost" in notes.events)
        assert str(notes.error) == link.CUT_OFF

    run(main())


def test_both_directions_ended_is_an_end_even_without_close(run: Run) -> None:
    """A proxy may drop the connection before the last Close has passed."""

    async def main() -> None:
        peer, far = await joined()
        notes = attached(far)
        peer.send(Opcode.BINARY)
        far.write_eof()
        await peer.until(lambda: bool(peer.heard(Opcode.CLOSE)))
        peer.lower.close()
        await notes.until(lambda: "lost" in notes.events)
        assert (notes.events, notes.error) == (["eof", "lost"], None)

    run(main())


def test_a_peer_that_never_ends_the_connection_is_left(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "LINGER", 0.01)

    async def main() -> None:
        peer, far = await joined()
        notes = attached(far)
        peer.send(Opcode.BINARY)
        far.write_eof()
        await notes.until(lambda: "lost" in notes.events)
        assert notes.error is None
        await peer.until(lambda: peer.ended)
        assert peer.heard(Opcode.CLOSE) == [NORMAL]
        peer.lower.abort()

    run(main())


def test_a_peer_that_breaks_the_rules_is_told_why_and_broken_off(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        peer, far = await joined()
        notes = attached(far)
        peer.send(Opcode.BINARY, b"good")
        peer.send(Opcode.TEXT, b"bad")
        peer.send(Opcode.BINARY, b"ugly")
        await notes.until(lambda: "lost" in notes.events)
        assert notes.data == b"good"
        assert notes.events == ["lost"]
        assert notes.error is not None
        await peer.until(lambda: peer.lost)
        assert Close.parse(peer.heard(Opcode.CLOSE)[0]).code == CloseCode.UNSUPPORTED_DATA
        assert not peer.ended
        assert far.gone

    run(main())
    assert len(caplog.messages) == 1
    assert "broken off: a text message" in caplog.messages[0]


def test_a_close_that_tells_of_an_error_is_no_end(run: Run) -> None:
    """Whoever is told of an end first passes it on as one, and what is cut short looks whole."""

    async def main() -> None:
        peer, far = await joined()
        notes = attached(far)
        peer.send(Opcode.BINARY, b"a part")
        peer.send(Opcode.CLOSE, Close(CloseCode.PROTOCOL_ERROR, "invalid opcode").serialize())
        await notes.until(lambda: "lost" in notes.events)
        assert notes.data == b"a part"
        assert notes.events == ["lost"]
        assert notes.error is not None
        peer.lower.abort()
        far.abort()

    run(main())


def test_what_came_before_a_broken_rule_can_be_read_for_a_while(run: Run) -> None:
    async def main() -> None:
        peer, far = await joined()
        notes = Notes(far)
        notes.pause_after = 1
        far.attach(notes)
        peer.lower.write(frame(Opcode.BINARY, b"1") + frame(Opcode.BINARY, b"2") + frame(Opcode.TEXT, b"3"))
        await notes.until(lambda: bool(notes.data))
        await turns()
        assert (bytes(notes.data), notes.events) == (b"1", [])
        notes.pause_after = None
        far.resume_reading()
        await notes.until(lambda: "lost" in notes.events)
        assert notes.data == b"12"
        await peer.until(lambda: peer.lost)

    run(main())


def test_a_message_over_the_limit_is_refused_before_it_has_come(run: Run) -> None:
    async def main() -> None:
        peer, far = await joined()
        notes = attached(far)
        peer.lower.write(frame(Opcode.BINARY, bytes(1 << 21))[:20])
        await notes.until(lambda: "lost" in notes.events)
        await peer.until(lambda: peer.lost)
        assert Close.parse(peer.heard(Opcode.CLOSE)[0]).code == CloseCode.MESSAGE_TOO_BIG

    run(main())


# Pings.


def test_a_peer_that_pings_and_does_not_read_takes_no_memory(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "CONTROL_LIMIT", 1 << 30)

    async def main() -> None:
        peer, far = await joined()
        notes = attached(far)
        peer.lower.pause_reading()
        pings = frame(Opcode.PING, bytes(125)) * 1000
        while far.unsent <= HIGH_WATER:
            peer.lower.write(pings)
            await asyncio.sleep(0)
        most = far.unsent
        for _ in range(50):
            peer.lower.write(pings)
        peer.send(Opcode.BINARY, b"done")
        await notes.until(lambda: notes.data == b"done")
        assert far.unsent == most
        peer.lower.abort()
        far.abort()

    run(main())


@over_both
def test_a_ping_that_waits_does_not_make_an_idle_link_unquiet(run: Run, pair: Pair) -> None:
    async def main() -> None:
        near, far = await pair()
        attached(near)
        far_notes = attached(far)
        await turns()
        assert isinstance(far, WebSocketLink)
        far._heard = False
        far.beat()
        assert [near.quiet, near.quiet] == [True, True]
        near.write(b"x")
        await far_notes.until(lambda: bool(far_notes.data))
        near.abort()
        far.abort()

    run(main())


@over_both
@pytest.mark.parametrize("how", ["bytes", "end", "reset"])
def test_what_is_found_by_asking_whether_a_link_is_quiet_is_told_from_the_loop(run: Run, pair: Pair, how: str) -> None:
    async def main() -> None:
        near, far = await pair()
        notes = attached(near)
        attached(far)
        await turns()
        before = near.quiet
        if how == "bytes":
            far.write(b"x")
        elif how == "end":
            far.write_eof()
        else:
            far.abort()
        assert [before, near.quiet, near.quiet] == [True, False, False]
        assert (bytes(notes.data), notes.events) == (b"", [])
        await notes.until(lambda: bool(notes.data or notes.events))
        expected = {"bytes": (b"x", []), "end": (b"", ["eof"]), "reset": (b"", ["lost"])}[how]
        assert (bytes(notes.data), notes.events) == expected
        near.abort()
        far.abort()

    run(main())


def test_a_silent_connection_is_pinged_and_a_busy_one_is_not(run: Run) -> None:
    async def main() -> None:
        silent, far = await joined(interval=0.02)
        attached(far)
        busy, other = await joined(interval=0.02)
        attached(other)

        async def talk() -> None:
            while True:
                busy.send(Opcode.BINARY, b"x")
                await asyncio.sleep(0.001)

        talking = asyncio.create_task(talk())
        await silent.until(lambda: len(silent.heard(Opcode.PING)) >= 3)
        talking.cancel()
        assert not busy.heard(Opcode.PING)
        for one in (silent, busy):
            one.lower.abort()

    run(main())


def test_a_link_that_has_ended_is_kept_alive_no_more(run: Run) -> None:
    async def main() -> None:
        near, far = await ws_pair()
        notes = attached(near), attached(far)
        near.write_eof()
        far.write_eof()
        for one in notes:
            await one.until(lambda one=one: "lost" in one.events)  # type: ignore[misc]
        for end in (near, far):
            assert isinstance(end, WebSocketLink)
            assert not end._keep_alive._links

    run(main())
