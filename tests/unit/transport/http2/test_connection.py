"""Windows and turns: what streams of one connection may do to each other, and to this end's memory."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    RequestReceived,
    ResponseReceived,
    SettingsAcknowledged,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.settings import SettingCodes
from hyperframe.frame import DataFrame

from nodepass.log import WARN, Log
from nodepass.policy.receive_window import LARGEST, SMALLEST
from nodepass.transport.base import HIGH_WATER
from nodepass.transport.http2 import Http2Dialer, connection, protocol
from nodepass.transport.http2.frames import FRAME_SIZE
from nodepass.transport.http2.link import Http2Link
from tests.unit.transport.http2.ends import OPENING, Accepted, Bare, bare_client, bare_server, encrypted, joined
from tests.unit.transport.links import READ_SIZE, Notes, Ready, attached, opened
from tests.unit.transport.test_link_conformance import turns

if TYPE_CHECKING:
    from nodepass.transport.base import Link
    from tests.unit.transport.test_link_conformance import Run

BULK = os.urandom(3_000_000)
SLOW = 8
FRAME_SIZES = (1, 2, 500, 1472, 16_384, 40_000, 65_507)


class Busy(Notes):
    """Writes on and on, as much as its link takes, until it is stopped."""

    def __init__(self, link: Link) -> None:
        super().__init__(link)
        self.stopped = False

    def start(self) -> None:
        self.link.attach(self)
        self.resume_writing()

    def resume_writing(self) -> None:
        super().resume_writing()
        while not self.stopped:
            self.link.write(BULK[:READ_SIZE])
            if self.link.unsent > HIGH_WATER:
                break


async def asking(settings: dict[SettingCodes, int], count: int = 1) -> tuple[list[Link], Bare]:
    """So many streams from this project's client to a bare server that has answered them; they count from 1 by twos."""
    server, near = await bare_server(settings)
    dialer = Http2Dialer(Ready(near), "none", Log(WARN))
    links = [await opened(dialer) for _ in range(count)]
    numbers = range(1, 2 * count, 2)
    await server.until(lambda: all(server.data(number) == OPENING for number in numbers))
    for number in numbers:
        server.h2.send_headers(number, [(":status", "200")])
    server.flush()
    return links, server


def test_streams_that_nobody_reads_hold_a_window_each_and_no_other_stream(run: Run) -> None:
    async def main() -> None:
        near, far = await joined(SLOW + 1)
        slow = [Notes(link) for link in far[1:]]
        for notes in slow:
            notes.pause_after = 1
            notes.link.attach(notes)
        writers = [Busy(link) for link in near[1:]]
        for writer in writers:
            writer.start()
        await turns()
        near_notes, far_notes = attached(near[0]), attached(far[0])
        near[0].write(BULK)
        far[0].write(BULK)
        await far_notes.until(lambda: len(far_notes.data) == len(BULK))
        await near_notes.until(lambda: len(near_notes.data) == len(BULK))
        for writer, notes in zip(writers, slow, strict=True):
            assert writer.events[-1] == "pause"
            assert writer.link.unsent <= HIGH_WATER + READ_SIZE
            # The first chunk was read, and a reader that keeps up gets twice the window.
            assert isinstance(notes.link, Http2Link)
            assert SMALLEST // 2 < notes.link._stashed <= 2 * SMALLEST
            writer.stopped = True
            notes.pause_after = None
            notes.link.resume_reading()
            await writer.until(lambda heard=writer.events: heard[-1] == "resume")  # type: ignore[misc]

    run(main())


def test_a_busy_stream_does_not_keep_others_waiting(run: Run) -> None:
    async def main() -> None:
        near, far = await joined(4)
        busy = [Busy(link) for link in near[:2]]
        heard = [attached(link) for link in far]
        for writer in busy:
            writer.start()
        for number in range(20):
            for link in near[2:]:
                link.write(b"%2d" % number)
            for notes in heard[2:]:
                await notes.until(lambda notes=notes, size=2 * number + 2: len(notes.data) == size)  # type: ignore[misc]
        sent = [len(notes.data) for notes in heard[:2]]
        assert min(sent) * 2 > max(sent)
        for writer in busy:
            writer.stopped = True

    run(main())


def test_a_reader_that_keeps_up_gets_a_larger_window(run: Run) -> None:
    async def main() -> None:
        accepted = Accepted()
        client = await bare_client(accepted)
        stream_id = client.request()
        client.flush()
        (link,) = await accepted.until(1)
        notes = attached(link)
        sent = 0
        while sent < 10 * LARGEST and client.h2.local_flow_control_window(stream_id) < LARGEST // 2:
            size = min(client.h2.local_flow_control_window(stream_id), client.h2.max_outbound_frame_size)
            client.h2.send_data(stream_id, bytes(size))
            client.flush()
            sent += size
            await notes.until(lambda sent=sent: len(notes.data) == sent)  # type: ignore[misc]
            await client.until(lambda: client.h2.local_flow_control_window(stream_id) >= SMALLEST // 2)
        assert client.h2.local_flow_control_window(stream_id) >= LARGEST // 2
        # Of the connection's own window nothing is to be seen.
        assert all(event.stream_id for event in client.of(WindowUpdated)[1:] if isinstance(event, WindowUpdated))

    run(main())


def test_the_stream_window_and_the_frame_size_of_the_peer_are_kept(run: Run) -> None:
    async def main() -> None:
        window = 40_000
        (link,), server = await asking({SettingCodes.INITIAL_WINDOW_SIZE: window, SettingCodes.MAX_FRAME_SIZE: 16_384})
        notes = attached(link)
        link.write(BULK[:200_000])
        assert notes.events == ["pause"]
        await server.until(lambda: len(server.data(1)) == window)
        await turns()
        assert len(server.data(1)) == window
        server.h2.increment_flow_control_window(1, 1)
        server.flush()
        await server.until(lambda: len(server.data(1)) == window + 1)
        server.h2.increment_flow_control_window(200_000, None)
        server.h2.increment_flow_control_window(200_000, 1)
        server.flush()
        await server.until(lambda: len(server.data(1)) == 200_001)
        assert server.data(1) == OPENING + BULK[:200_000]
        await notes.until(lambda: notes.events == ["pause", "resume"])
        assert max(len(frame.data) for frame in server.frames if isinstance(frame, DataFrame)) == 16_384

    run(main())


def test_streams_share_the_peers_connection_window(run: Run) -> None:
    async def main() -> None:
        links, server = await asking({SettingCodes.INITIAL_WINDOW_SIZE: 1_000_000}, 2)
        total = 2 * 200_000 + 2 * len(OPENING)
        for link in links:
            link.write(BULK[:200_000])
        await server.until(lambda: len(server.data(1) + server.data(3)) == 65_535)
        while len(server.data(1) + server.data(3)) < total:
            wanted = min(len(server.data(1) + server.data(3)) + 50_000, total)
            server.h2.increment_flow_control_window(50_000)
            server.flush()
            await server.until(lambda wanted=wanted: len(server.data(1) + server.data(3)) == wanted)  # type: ignore[misc]
            # In turns, a frame's worth each.
            assert abs(len(server.data(1)) - len(server.data(3))) <= 2 * FRAME_SIZE
        assert server.data(1) == server.data(3) == OPENING + BULK[:200_000]

    run(main())


def test_a_change_of_the_peers_settings_opens_windows(run: Run) -> None:
    async def main() -> None:
        (link,), server = await asking({SettingCodes.INITIAL_WINDOW_SIZE: 1000})
        link.write(BULK[:3000])
        await server.until(lambda: len(server.data(1)) == 1000)
        server.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 5000})
        server.flush()
        await server.until(lambda: len(server.data(1)) == 3001)

    run(main())


def test_a_window_of_nothing_is_waited_for(run: Run) -> None:
    async def main() -> None:
        server, near = await bare_server()
        dialer = Http2Dialer(Ready(near), "none", Log(WARN))
        first = await opened(dialer)
        server.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
        server.flush()
        await server.until(lambda: len(server.of(SettingsAcknowledged)) == 2)
        # Not even the opening byte can be sent.
        second = await opened(dialer)
        second.write(b"more")
        await server.until(lambda: len(server.of(RequestReceived)) == 2)
        await turns()
        assert not server.data(3)
        server.h2.increment_flow_control_window(100, 3)
        server.flush()
        await server.until(lambda: server.data(3) == OPENING + b"more")
        assert not first.gone

    run(main())


def test_padding_takes_and_gives_back_window(run: Run) -> None:
    async def main() -> None:
        accepted = Accepted()
        client = await bare_client(accepted)
        stream_id = client.request()
        client.flush()
        (link,) = await accepted.until(1)
        notes = attached(link)
        for number in range(2000):
            await client.until(lambda: client.h2.local_flow_control_window(stream_id) > 300)
            client.h2.send_data(stream_id, b"x", pad_length=255)
            client.flush()
            if number % 50 == 0:
                await turns(1)
        await notes.until(lambda: len(notes.data) == 2000)

    run(main())


def test_the_connection_window_is_opened_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "LARGEST_WINDOW", 200_000)
    monkeypatch.setattr(protocol, "LARGEST_WINDOW", 200_000)

    async def main() -> None:
        near, far = await joined(2)
        notes = [attached(link) for link in far]
        for link in near:
            link.write(BULK)
        for heard in notes:
            await heard.until(lambda heard=heard: len(heard.data) == len(BULK))  # type: ignore[misc]
            assert heard.data == BULK

    run(main())


@pytest.mark.parametrize("paused", [False, True])
def test_a_datagram_is_a_frame(run: Run, *, paused: bool) -> None:
    async def main() -> None:
        (near,), (far,) = await joined(1)
        near.coalesce = far.coalesce = False
        notes = Notes(far)
        sizes = FRAME_SIZES * 10
        if paused:
            notes.pause_after = 1
        far.attach(notes)
        attached(near)
        for size in sizes:
            near.write(BULK[:size])
        if paused:
            await notes.until(lambda: bool(notes.data))
            await turns()
            assert len(notes.chunks) == 1
            notes.pause_after = None
            far.resume_reading()
        await notes.until(lambda: len(notes.data) == sum(sizes))
        assert tuple(notes.chunks) == sizes

    run(main())


def test_a_datagram_larger_than_the_peers_frames_comes_in_pieces(run: Run) -> None:
    async def main() -> None:
        (link,), server = await asking({SettingCodes.INITIAL_WINDOW_SIZE: 30_000})
        link.coalesce = False
        link.write(BULK[:10_000])
        link.write(BULK[:10_000])
        # No more than half the window is waited for: there may never be more.
        link.write(BULK[:16_000])
        await server.until(lambda: len(server.data(1)) == 30_000)
        sizes = [len(event.data) for event in server.of(DataReceived) if isinstance(event, DataReceived)]
        assert sizes == [1, 10_000, 10_000, 9_999]

    run(main())


def test_what_comes_before_an_answer_is_not_lost(run: Run) -> None:
    async def main() -> None:
        near, far = await encrypted()
        accepted = Accepted()
        accepted.acceptor.accept(far, b"")
        client = Bare(near, client=True, settings={SettingCodes.ENABLE_PUSH: 0})
        # Request, opening byte, user's bytes and end, before the server's settings can have been seen.
        stream_id = client.request(body=OPENING + b"request", end=True)
        client.flush()
        (link,) = await accepted.until(1)
        notes = attached(link)
        await notes.until(lambda: "eof" in notes.events)
        assert notes.data == b"request"
        link.write(b"answer")
        link.write_eof()
        await client.until(lambda: client.ended(stream_id))
        assert client.data(stream_id) == b"answer"
        assert client.of(ResponseReceived, stream_id)
        assert notes.events == ["eof", "lost"]
        assert notes.error is None

    run(main())


@pytest.mark.parametrize("code", [ErrorCodes.CANCEL, ErrorCodes.NO_ERROR])
def test_a_stream_that_the_peer_closed_has_ended_in_order(run: Run, code: ErrorCodes) -> None:
    async def main() -> None:
        accepted = Accepted()
        client = await bare_client(accepted)
        for paused in (False, True):
            stream_id = client.request(body=OPENING + b"all there is")
            client.flush()
            link = (await accepted.until(len(accepted.links) + 1))[-1]
            client.h2.reset_stream(stream_id, code)
            client.flush()
            await turns(2 if paused else 0)
            notes = attached(link)
            await notes.until(lambda notes=notes: "eof" in notes.events)  # type: ignore[misc]
            assert notes.data == b"all there is"
            assert notes.events == ["eof"]
            if paused:
                link.write_eof()
                assert notes.events == ["eof", "lost"]
                assert notes.error is None
            else:
                # It takes no more.
                link.write(b"more")
                link.write(b"and more")
                assert notes.events == ["eof"]
                await notes.until(lambda notes=notes: "lost" in notes.events)  # type: ignore[misc]
                assert isinstance(notes.error, ConnectionResetError)

    run(main())


def test_a_stream_that_the_peer_closed_with_bytes_waiting_for_it_is_broken(run: Run) -> None:
    async def main() -> None:
        (link,), server = await asking({SettingCodes.INITIAL_WINDOW_SIZE: 1000})
        notes = attached(link)
        link.write(bytes(5000))
        await server.until(lambda: len(server.data(1)) == 1000)
        server.h2.reset_stream(1, ErrorCodes.CANCEL)
        server.flush()
        await notes.until(lambda: "lost" in notes.events)
        assert isinstance(notes.error, ConnectionResetError)

    run(main())


@pytest.mark.parametrize("how", ["abort", "break_off"])
def test_a_stream_that_is_broken_here_is_broken_there(run: Run, how: str) -> None:
    async def main() -> None:
        (link,), server = await asking({})
        attached(link)
        link.write(b"last words")
        getattr(link, how)()
        await server.until(lambda: server.of(StreamReset, 1))
        assert server.data(1) == OPENING + b"last words"
        (reset,) = server.of(StreamReset, 1)
        assert isinstance(reset, StreamReset)
        assert reset.error_code is ErrorCodes.CONNECT_ERROR

    run(main())


def test_what_a_peer_sends_on_a_closed_link_is_refused_behind_what_was_left(run: Run) -> None:
    async def main() -> None:
        (link,), server = await asking({SettingCodes.INITIAL_WINDOW_SIZE: 1000})
        notes = attached(link)
        link.write(bytes(2000))
        link.close()
        await server.until(lambda: len(server.data(1)) == 1000)
        server.h2.send_data(1, b"is anybody there?")
        server.flush()
        await turns()
        assert not server.of(StreamReset, 1)
        server.h2.increment_flow_control_window(2000, 1)
        server.flush()
        await server.until(lambda: server.of(StreamReset, 1))
        assert len(server.data(1)) == 2001
        assert server.of(StreamEnded, 1)
        assert notes.events == ["lost"]
        assert notes.error is None
        assert not notes.data

    run(main())
