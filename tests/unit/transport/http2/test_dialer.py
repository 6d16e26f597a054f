"""The client's side: how streams spread over connections, and what becomes of them when a server takes no more."""

from __future__ import annotations

import asyncio
import random
import ssl
import struct
from typing import TYPE_CHECKING

import pytest
from h2.errors import ErrorCodes
from h2.events import RequestReceived, StreamReset
from h2.settings import SettingCodes
from hpack import Encoder
from hyperframe.frame import (
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from nodepass.errors import DialError
from nodepass.log import WARN, Log
from nodepass.transport.base import Dialer
from nodepass.transport.http2 import Http2Dialer, dialer
from tests.unit.transport.http2.ends import OPENING, REQUEST, Accepted, Bare, bare_server, encrypted
from tests.unit.transport.links import Ready, attached, opened
from tests.unit.transport.test_link_conformance import turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hyperframe.frame import Frame

    from nodepass.transport.base import Link
    from nodepass.transport.tls_link import TlsLink
    from tests.unit.transport.test_link_conformance import Run


def made(*links: TlsLink) -> tuple[Http2Dialer, Ready]:
    """A dialer for these connections, and what counts how many it has dialled."""
    below = Ready(*links)
    return Http2Dialer(below, "none", Log(WARN)), below


class Refusing(Dialer):
    """A dialer that fails, each time with the same error, when it is told to."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self._failed: list[Callable[[Exception], None]] = []
        self.cancelled = 0

    def open(self, _: Callable[[Link], None], failed: Callable[[Exception], None]) -> Callable[[], None]:
        self._failed.append(failed)
        return self._cancel

    def close(self) -> None:
        pass

    def fail(self) -> None:
        while self._failed:
            self._failed.pop()(self._error)

    def _cancel(self) -> None:
        self.cancelled += 1


def test_a_request_names_the_server(run: Run) -> None:
    async def main() -> None:
        server, near = await bare_server()
        dialer = Http2Dialer(Ready(near), "tunnel.example", Log(WARN))
        await opened(dialer)
        await server.until(lambda: server.data(1) == OPENING)
        (request,) = server.of(RequestReceived)
        assert isinstance(request, RequestReceived)
        wanted = {**dict(REQUEST), ":authority": "tunnel.example"}
        assert {name.decode(): value.decode() for name, value in request.headers} == wanted

    run(main())


def test_openings_wait_for_one_connection(run: Run) -> None:
    async def main() -> None:
        near, far = await encrypted()
        accepted = Accepted()
        accepted.acceptor.accept(far, b"")
        dialer, below = made(near)
        links = await asyncio.gather(*(opened(dialer) for _ in range(20)))
        await accepted.until(20)
        assert len(set(links)) == 20
        assert below.dialled == 1

    run(main())


def test_another_connection_when_the_server_allows_no_more_streams(run: Run) -> None:
    async def main() -> None:
        limits = {SettingCodes.MAX_CONCURRENT_STREAMS: 2}
        (first, one), (second, two) = await bare_server(limits), await bare_server(limits)
        dialer, below = made(one, two)
        links = [await opened(dialer)]
        await first.until(lambda: first.data(1))
        await turns()
        links += [await opened(dialer) for _ in range(3)]
        await first.until(lambda: first.data(3))
        await second.until(lambda: second.data(3))
        assert below.dialled == 2
        with pytest.raises(DialError):
            await opened(dialer)
        # One that is over makes room for another.
        links[0].abort()
        await opened(dialer)
        await first.until(lambda: first.data(5))
        assert below.dialled == 3

    run(main())


def test_streams_spread_over_a_few_connections(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialer, "SPREAD", 3)
    monkeypatch.setattr(dialer, "FEW", 2)

    async def main() -> None:
        (first, one), (second, two) = await bare_server(), await bare_server()
        dialer, below = made(one, two)
        for _ in range(10):
            await opened(dialer)
        await first.until(lambda: len(first.of(RequestReceived)) == 5)
        await second.until(lambda: len(second.of(RequestReceived)) == 5)
        assert below.dialled == 2

    run(main())


def test_the_number_of_connections_is_bounded(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialer, "MOST_CONNECTIONS", 1)

    async def main() -> None:
        server, near = await bare_server({SettingCodes.MAX_CONCURRENT_STREAMS: 1})
        dialer, below = made(near)
        await opened(dialer)
        await server.until(lambda: server.data(1))
        await turns()
        with pytest.raises(DialError, match="no more"):
            await opened(dialer)
        assert below.dialled == 1

    run(main())


def test_an_error_below_is_told_to_each_that_waits(run: Run) -> None:
    async def main() -> None:
        error = ssl.SSLCertVerificationError("not trusted")
        below = Refusing(error)
        dialer = Http2Dialer(below, "none", Log(WARN))
        told: list[Exception] = []
        for _ in range(3):
            dialer.open(lambda _: pytest.fail("it opened"), told.append)
        below.fail()
        assert told == [error, error, error]

    run(main())


def test_a_server_without_http2_is_told(run: Run) -> None:
    async def main() -> None:
        near, _ = await encrypted(alpn=())
        dialer, _ = made(near)
        with pytest.raises(DialError, match="HTTP/2"):
            await opened(dialer)
        assert near.gone

    run(main())


def test_an_opening_can_be_cancelled_at_every_stage(run: Run) -> None:
    async def main() -> None:
        below = Refusing(DialError("down"))
        waiting = Http2Dialer(below, "none", Log(WARN))
        called: list[object] = []
        cancel = waiting.open(called.append, called.append)
        cancel()
        cancel()
        below.fail()
        server, near = await bare_server()
        dialer, _ = made(near)
        dialer.open(called.append, called.append)()
        assert not (await opened(dialer)).gone
        # On a connection that is up, the stream is there, and not yet told of.
        dialer.open(called.append, called.append)()
        await server.until(lambda: server.of(StreamReset, 3))
        told: asyncio.Future[Link] = asyncio.get_running_loop().create_future()
        cancel = dialer.open(told.set_result, called.append)
        link = await told
        cancel()
        assert link.gone
        await server.until(lambda: server.of(StreamReset, 5))
        dialer.close()
        dialer.open(called.append, called.append)()
        await turns()
        assert not called

    run(main())


def test_streams_that_the_server_has_taken_go_on_when_it_takes_no_more(run: Run) -> None:
    async def main() -> None:
        (first, one), (second, two) = await bare_server(), await bare_server()
        dialer, _ = made(one, two)
        taken, refused = await opened(dialer), await opened(dialer)
        taken_notes, refused_notes = attached(taken), attached(refused)
        await first.until(lambda: first.data(3))
        first.h2.send_headers(1, [(":status", "200")])
        first.flush()
        first.send(GoAwayFrame(0, last_stream_id=1))
        await refused_notes.until(lambda: "lost" in refused_notes.events)
        assert isinstance(refused_notes.error, DialError)
        await opened(dialer)
        await second.until(lambda: second.data(1))
        first.h2.send_data(1, b"answer")
        first.flush()
        await taken_notes.until(lambda: taken_notes.data == b"answer")
        taken.write(b"more")
        await first.until(lambda: first.data(1) == OPENING + b"more")
        assert not one.gone
        first.h2.end_stream(1)
        first.flush()
        taken.write_eof()
        await taken_notes.until(lambda: "lost" in taken_notes.events)
        assert taken_notes.error is None
        # It was the last: the connection goes.
        await first.until(lambda: first.lost)
        assert first.farewells == [ErrorCodes.NO_ERROR]
        assert not two.gone

    run(main())


def test_a_stream_that_is_not_answered_200_is_lost(run: Run) -> None:
    async def main() -> None:
        server, near = await bare_server()
        dialer, _ = made(near)
        notes = attached(await opened(dialer))
        await server.until(lambda: server.data(1))
        server.h2.send_headers(1, [(":status", "404")])
        server.h2.send_data(1, b"not found")
        server.flush()
        await notes.until(lambda: "lost" in notes.events)
        assert isinstance(notes.error, DialError)
        assert "404" in str(notes.error)
        assert not notes.data
        await server.until(lambda: server.of(StreamReset, 1))

    run(main())


def test_a_server_that_breaks_the_connection_loses_its_streams_and_is_dialled_again(run: Run) -> None:
    async def main() -> None:
        (first, one), (_, two) = await bare_server(), await bare_server()
        dialer, below = made(one, two)
        notes = [attached(await opened(dialer)) for _ in range(3)]
        first.lower.abort()
        for heard in notes:
            await heard.until(lambda heard=heard: "lost" in heard.events)  # type: ignore[misc]
            assert heard.error is not None
        await opened(dialer)
        assert below.dialled == 2

    run(main())


def test_what_came_before_the_connection_broke_is_read(run: Run) -> None:
    async def main() -> None:
        server, near = await bare_server()
        dialer, _ = made(near)
        link = await opened(dialer)
        await server.until(lambda: server.data(1))
        server.h2.send_headers(1, [(":status", "200")])
        server.h2.send_data(1, b"the last words")
        server.flush()
        await turns()
        server.lower.abort()
        await turns()
        notes = attached(link)
        await notes.until(lambda: "lost" in notes.events)
        assert notes.data == b"the last words"
        assert notes.error is not None

    run(main())


def push_promise(server: Bare) -> list[Frame]:
    frame = PushPromiseFrame(1, 2, server.h2.encoder.encode(REQUEST))
    frame.flags.add("END_HEADERS")
    return [frame]


def answer_to_nothing(server: Bare) -> list[Frame]:
    frame = HeadersFrame(99, server.h2.encoder.encode([(":status", "200")]))
    frame.flags.add("END_HEADERS")
    return [frame]


HOSTILE: dict[str, Callable[[Bare], list[Frame]]] = {
    "push": push_promise,
    "answer to nothing": answer_to_nothing,
    "data before the answer": lambda _: [DataFrame(1, b"x")],
    "ping": lambda _: [PingFrame(0, b"12345678") for _ in range(5000)],
}


@pytest.mark.parametrize("frames", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_server_loses_its_connection(
    run: Run, frames: Callable[[Bare], list[Frame]], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        server, near = await bare_server()
        dialer, _ = made(near)
        notes = attached(await opened(dialer))
        await server.until(lambda: server.data(1))
        server.reads = False
        server.send(*frames(server))
        await notes.until(lambda: "lost" in notes.events)
        assert notes.error is not None

    run(main())
    assert len(caplog.records) == 1


def test_a_dialer_that_closes_lets_its_connections_go_with_their_last_stream(run: Run) -> None:
    async def main() -> None:
        server, near = await bare_server()
        dialer, below = made(near)
        link = await opened(dialer)
        notes = attached(link)
        await server.until(lambda: server.data(1))
        dialer.close()
        with pytest.raises(DialError):
            await opened(dialer)
        server.h2.send_headers(1, [(":status", "200")])
        server.h2.send_data(1, b"to the end", end_stream=True)
        server.flush()
        await notes.until(lambda: "eof" in notes.events)
        assert notes.data == b"to the end"
        assert not server.lost
        link.write_eof()
        await server.until(lambda: server.lost)
        assert below.dialled == 1

    run(main())


def test_a_dialer_that_closes_while_it_dials_gives_up(run: Run) -> None:
    async def main() -> None:
        below = Refusing(DialError("down"))
        dialer = Http2Dialer(below, "none", Log(WARN))
        dialer.open(lambda _: None, lambda _: None)()
        dialer.close()
        assert below.cancelled == 1

    run(main())


def test_a_connection_without_streams_is_let_go(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialer, "IDLE", 0.01)

    async def main() -> None:
        (first, one), (_, two) = await bare_server(), await bare_server()
        dialer, below = made(one, two)
        (await opened(dialer)).abort()
        await first.until(lambda: first.lost)
        await opened(dialer)
        assert below.dialled == 2

    run(main())


def bytes_at_random(chance: random.Random) -> Iterator[bytes]:
    """What a server may send in any order, and at last, perhaps, what none may."""
    encoder = Encoder()
    yield SettingsFrame(0, {SettingCodes.MAX_CONCURRENT_STREAMS: chance.choice((0, 3, 100))}).serialize()
    for _ in range(chance.randrange(1, 30)):
        stream_id = 2 * chance.randrange(8) + 1
        kind = chance.randrange(8)
        if kind < 2:
            status = chance.choice(("200", "200", "100", "404", "teapot"))
            yield HeadersFrame(stream_id, encoder.encode([(":status", status)]), flags=["END_HEADERS"]).serialize()
        elif kind == 2:
            yield DataFrame(stream_id, chance.randbytes(chance.randrange(100))).serialize()
        elif kind == 3:
            yield DataFrame(stream_id, b"", flags=["END_STREAM"]).serialize()
        elif kind == 4:
            yield RstStreamFrame(stream_id, chance.randrange(15)).serialize()
        elif kind == 5:
            yield WindowUpdateFrame(chance.choice((0, stream_id)), chance.choice((1, 100_000))).serialize()
        elif kind == 6:
            yield SettingsFrame(0, {SettingCodes.INITIAL_WINDOW_SIZE: chance.choice((0, 10, 2**20))}).serialize()
        elif chance.random() < 0.3:
            yield GoAwayFrame(0, chance.choice((0, 3, 2**31 - 1)), chance.randrange(3)).serialize()
    payload = chance.randbytes(chance.choice((0, 4, 5, 6, 8, chance.randrange(200))))
    header = bytes((chance.randrange(12), chance.choice((0, 1, 4, 8, 255)))) + struct.pack(">I", chance.choice((0, 1, 2)))
    yield struct.pack(">I", len(payload))[1:] + header + payload


@pytest.mark.parametrize("seed", range(8))
def test_frames_at_random_end_at_worst_the_connection(run: Run, seed: int) -> None:
    async def main() -> None:
        for number in range(25):
            chance = random.Random(f"{seed} {number}")
            near, far = await encrypted()
            dialer, _ = made(near)
            links = [await opened(dialer) for _ in range(8)]
            heard = [attached(link) for link in links if chance.random() < 0.7]
            attached(far)
            for data in bytes_at_random(chance):
                far.write(data)
                if chance.random() < 0.3:
                    await turns(1)
                link = chance.choice(links)
                link.write(chance.randbytes(chance.choice((1, 100, 100_000))))
                if chance.random() < 0.3:
                    getattr(link, chance.choice(("write_eof", "close", "abort", "break_off", "pause_reading")))()
            far.abort()
            for notes in heard:
                notes.link.resume_reading()
                # Some have ended in order; all others break.
                if "eof" not in notes.events:
                    await notes.until(lambda notes=notes: "eof" in notes.events or "lost" in notes.events)  # type: ignore[misc]
            await turns()
            with pytest.raises(DialError):
                await opened(dialer)

    run(main())
