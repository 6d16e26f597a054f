"""The server's side against clients that ask for something else, for too much, or for nothing."""

from __future__ import annotations

import asyncio
import random
import struct
from typing import TYPE_CHECKING

import pytest
from h2.errors import ErrorCodes
from h2.events import DataReceived, ResponseReceived, StreamReset
from h2.settings import SettingCodes
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from nodepass.transport.http2 import acceptor, sender
from nodepass.transport.tls_link import TlsLink
from tests.unit.transport.http2.ends import OPENING, PREAMBLE, REQUEST, Accepted, Bare, bare_client, encrypted
from tests.unit.transport.links import Notes, attached
from tests.unit.transport.test_link_conformance import turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.unit.transport.test_link_conformance import Run

FLOOD = 5000
STREAMS = 10_000


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged."""
    return [record.getMessage() for record in caplog.records]


async def assert_serves(accepted: Accepted, client: Bare) -> None:
    """A connection that has done no wrong goes on."""
    before = len(accepted.links)
    stream_id = client.request(body=OPENING + b"ping")
    client.flush()
    link = (await accepted.until(before + 1))[-1]
    notes = attached(link)
    await notes.until(lambda: notes.data == b"ping")
    link.write(b"pong")
    await client.until(lambda: client.data(stream_id) == b"pong")
    link.abort()


def test_a_stream_becomes_a_pool_connection_with_its_opening_byte(run: Run) -> None:
    async def main() -> None:
        accepted = Accepted()
        client = await bare_client(accepted)
        stream_id = client.request(body=b"")
        client.flush()
        # The answer comes at once, the pool connection with the byte.
        await client.until(lambda: client.of(ResponseReceived, stream_id))
        assert not accepted.links
        client.h2.send_data(stream_id, OPENING + b"early")
        client.flush()
        (link,) = await accepted.until(1)
        assert not link.gone
        notes = attached(link)
        await notes.until(lambda: notes.data == b"early")
        link.write(b"\x01\x02\x03\x04")
        await client.until(lambda: client.data(stream_id) == b"\x01\x02\x03\x04")

    run(main())


@pytest.mark.parametrize(
    ("replaced", "body", "status"),
    [
        ((":method", "GET"), b"", b"405"),
        ((":method", "PUT"), OPENING, b"405"),
        ((":path", "/"), OPENING, b"404"),
        ((":path", "/stream/"), OPENING, b"404"),
        ((":path", "/stream"), b"", b"400"),
    ],
)
def test_another_request_is_answered_and_no_more(
    run: Run, replaced: tuple[str, str], body: bytes, status: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        accepted = Accepted()
        client = await bare_client(accepted)
        headers = [replaced if name == replaced[0] else (name, value) for name, value in REQUEST]
        stream_id = client.request(headers=headers, body=body, end=not body)
        client.flush()
        await client.until(lambda: client.ended(stream_id))
        (answer,) = client.of(ResponseReceived, stream_id)
        assert isinstance(answer, ResponseReceived)
        assert dict(answer.headers)[b":status"] == status
        assert not accepted.links
        await assert_serves(accepted, client)

    run(main())
    assert len(lines(caplog)) == 1


def test_a_stream_that_opens_otherwise_is_reset(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        accepted = Accepted()
        client = await bare_client(accepted)
        for body in (b"\x01", b"GET / HTTP/1.1"):
            stream_id = client.request(body=body)
            client.flush()
            await client.until(lambda number=stream_id: client.of(StreamReset, number))  # type: ignore[misc]
        assert not accepted.links
        await assert_serves(accepted, client)

    run(main())
    assert len(lines(caplog)) == 1


def test_a_stream_that_ends_before_its_opening_byte_comes_to_nothing(run: Run) -> None:
    async def main() -> None:
        accepted = Accepted()
        client = await bare_client(accepted)
        stream_id = client.request(body=b"")
        client.h2.end_stream(stream_id)
        client.flush()
        await client.until(lambda: client.of(StreamReset, stream_id))
        await assert_serves(accepted, client)

    run(main())


@pytest.mark.parametrize("path", ["/stream", "/elsewhere"])
def test_requests_reset_in_the_same_breath_come_to_nothing(run: Run, path: str, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        accepted = Accepted()
        client = await bare_client(accepted)
        for body, end in ((b"", False), (OPENING, False), (OPENING, True), (OPENING + b"x", False)) * 20:
            stream_id = client.request(headers=[*REQUEST[:-1], (":path", path)], body=body, end=end)
            client.h2.reset_stream(stream_id, ErrorCodes.CANCEL)
        client.flush()
        await assert_serves(accepted, client)
        assert len(accepted.links) == 1

    run(main())
    assert not lines(caplog)


def test_a_stream_that_never_opens_is_reset_and_its_connection_let_go(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        accepted = Accepted(timeout=0.02)
        client = await bare_client(accepted)
        streams = [client.request(body=b"") for _ in range(acceptor.FEWEST_STREAMS)]
        client.flush()
        await client.until(lambda: all(client.of(StreamReset, stream_id) for stream_id in streams))
        await client.until(lambda: client.lost)
        assert client.farewells == [ErrorCodes.NO_ERROR]
        assert not accepted.links

    run(main())
    assert len(lines(caplog)) == 1


def test_a_connection_without_a_stream_is_let_go(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        accepted = Accepted(timeout=0.02)
        speaking, silent = await bare_client(accepted), await bare_client(accepted, begin=False)
        silent.reads = False
        await speaking.until(lambda: speaking.lost)
        await silent.until(lambda: silent.lost)
        assert speaking.farewells == silent.farewells == [ErrorCodes.NO_ERROR]

    run(main())
    assert not lines(caplog)


@pytest.mark.parametrize("run", [asyncio.SelectorEventLoop], indirect=True)
def test_ten_thousand_streams_one_after_the_other(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        accepted = Accepted()
        client = await bare_client(accepted)
        for _ in range(0, STREAMS, acceptor.FEWEST_STREAMS):
            before = len(accepted.links)
            streams = [client.request(body=OPENING + b"x") for _ in range(acceptor.FEWEST_STREAMS)]
            client.flush()
            for link in (await accepted.until(before + len(streams)))[before:]:
                attached(link)
                link.write(b"y")
                link.write_eof()
            await client.until(lambda numbers=streams: all(client.ended(number) for number in numbers))  # type: ignore[misc]
            for stream_id in streams:
                assert client.data(stream_id) == b"y"
                client.h2.end_stream(stream_id)
            client.events.clear()
            client.frames.clear()
        client.flush()
        assert len(accepted.links) == STREAMS
        await assert_serves(accepted, client)

    run(main())
    assert not lines(caplog)


def test_streams_beyond_the_settings_end_their_connection_only(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        accepted = Accepted()
        good, bad = await bare_client(accepted), await bare_client(accepted)
        allowed = bad.h2.remote_settings.max_concurrent_streams
        bad.h2.remote_settings.max_concurrent_streams = STREAMS
        bad.h2.remote_settings.acknowledge()
        for _ in range(allowed):
            bad.request()
        bad.flush()
        notes = [attached(link) for link in await accepted.until(allowed)]
        assert allowed == acceptor.MOST_STREAMS
        bad.request()
        bad.flush()
        await bad.until(lambda: bad.lost)
        assert bad.farewells == [ErrorCodes.PROTOCOL_ERROR]
        assert all(heard.error is not None for heard in notes)
        await assert_serves(accepted, good)

    run(main())
    assert len(lines(caplog)) == 1


def headers_frame(client: Bare, stream_id: int, *, whole: bool = True) -> HeadersFrame:
    """A request, made past h2's own count of streams."""
    frame = HeadersFrame(stream_id, client.h2.encoder.encode(REQUEST))
    if whole:
        frame.flags.add("END_HEADERS")
    return frame


def rapid_reset(client: Bare) -> list[Frame]:
    frames: list[Frame] = []
    for number in range(FLOOD):
        stream_id = 2 * number + 1
        frames += (headers_frame(client, stream_id), RstStreamFrame(stream_id, ErrorCodes.CANCEL))
    return frames


def continuations(client: Bare) -> list[Frame]:
    return [headers_frame(client, 1, whole=False), *(ContinuationFrame(1, b"\x00") for _ in range(FLOOD))]


def large_continuations(client: Bare) -> list[Frame]:
    return [headers_frame(client, 1, whole=False), *(ContinuationFrame(1, bytes(60_000)) for _ in range(20))]


def header_bomb(client: Bare) -> list[Frame]:
    # One long field put into the table, and then named again and again by one byte each.
    block = client.h2.encoder.encode([*REQUEST, ("bomb", "x" * 4000)])
    frame = HeadersFrame(1, block + b"\xbe" * 10_000)
    frame.flags.add("END_HEADERS")
    return [frame]


def empty_data(client: Bare) -> list[Frame]:
    return [headers_frame(client, 1), DataFrame(1, OPENING), *(DataFrame(1, b"") for _ in range(FLOOD))]


FLOODS: dict[str, Callable[[Bare], list[Frame]]] = {
    "rapid reset": rapid_reset,
    "ping": lambda _: [PingFrame(0, b"12345678") for _ in range(FLOOD)],
    "settings": lambda _: [SettingsFrame(0, {4: 65535 + number % 2}) for number in range(FLOOD)],
    "empty settings": lambda _: [SettingsFrame(0) for _ in range(FLOOD)],
    "priority": lambda _: [PriorityFrame(1) for _ in range(FLOOD)],
    "windows": lambda _: [WindowUpdateFrame(0, 1) for _ in range(FLOOD)],
    "continuation": continuations,
    "large continuation": large_continuations,
    "header bomb": header_bomb,
    "empty data": empty_data,
    "data before headers": lambda _: [DataFrame(1, b"x")],
    "even stream": lambda client: [headers_frame(client, 2)],
    "window too large": lambda _: [WindowUpdateFrame(0, 2**31 - 1)],
    "bad setting": lambda _: [SettingsFrame(0, {5: 1})],
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
def test_a_hostile_client_loses_its_connection_and_no_other(
    run: Run, flood: Callable[[Bare], list[Frame]], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        accepted = Accepted()
        good, bad = await bare_client(accepted), await bare_client(accepted)
        bad.reads = False
        bad.send(*flood(bad))
        await bad.until(lambda: bad.lost)
        assert bad.farewells[:1] not in ([], [ErrorCodes.NO_ERROR])
        await assert_serves(accepted, good)

    run(main())
    assert len(lines(caplog)) == 1


@pytest.mark.parametrize(
    "garbage",
    [b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 400_000],
    ids=["HTTP/1.1", "zeros", "large frame"],
)
def test_garbage_behind_tls_ends_its_connection_only(run: Run, garbage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        accepted = Accepted()
        good, bad = await bare_client(accepted), await bare_client(accepted, begin=False)
        bad.reads = False
        bad.lower.write(garbage)
        await bad.until(lambda: bad.lost)
        await assert_serves(accepted, good)

    run(main())
    assert len(lines(caplog)) == 1


def test_a_client_that_reads_no_answers_is_cut_off(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        accepted = Accepted()
        good, bad = await bare_client(accepted), await bare_client(accepted)
        with monkeypatch.context() as patch:
            # To fill the kernel's buffers with answers takes a hundred megabytes.
            patch.setattr(TlsLink, "unsent", sender.MOST_UNSENT + 1)
            bad.h2.ping(b"12345678")
            bad.flush()
            await bad.until(lambda: bad.lost)
        await assert_serves(accepted, good)

    run(main())
    assert [line.partition(": ")[2] for line in lines(caplog)] == ["it does not read what it asks for"]


def test_tls_that_asks_for_something_else_is_refused(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        accepted = Accepted()
        near, far = await encrypted(alpn=())
        notes = Notes(near)
        near.attach(notes)
        accepted.acceptor.accept(far, b"")
        await notes.until(lambda: bool(notes.events))
        assert far.gone

    run(main())
    assert len(lines(caplog)) == 1


def test_connections_are_bounded(run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(acceptor, "MOST_CONNECTIONS", 1)

    async def main() -> None:
        accepted = Accepted()
        first = await bare_client(accepted)
        first.request()
        first.flush()
        (await accepted.until(1))[0].vouch()
        _, refused = await encrypted()
        accepted.acceptor.accept(refused, b"")
        assert refused.gone
        # One that goes makes room.
        notes = attached((await accepted.until(1))[0])
        first.lower.close()
        await notes.until(lambda: "lost" in notes.events)
        third = await bare_client(accepted)
        await assert_serves(accepted, third)

    run(main())
    assert len(lines(caplog)) == 1


def test_strangers_push_out_strangers_and_nobody_else(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(acceptor, "MOST_STRANGERS", 2)

    async def main() -> None:
        accepted = Accepted()
        known = await bare_client(accepted)
        known.request()
        known.flush()
        (await accepted.until(1))[0].vouch()
        strangers = [await bare_client(accepted) for _ in range(3)]
        assert len(accepted.acceptor._connections) == 3
        await assert_serves(accepted, known)
        await assert_serves(accepted, strangers[2])

    run(main())
    assert len(lines(caplog)) == 1


def test_a_server_that_closes_lets_users_go_on(run: Run) -> None:
    async def main() -> None:
        accepted = Accepted()
        client = await bare_client(accepted)
        used = client.request()
        unopened = client.request(body=b"")
        client.flush()
        (link,) = await accepted.until(1)
        await client.until(lambda: client.of(ResponseReceived, unopened))
        accepted.acceptor.close()
        await client.until(lambda: client.farewells)
        await client.until(lambda: client.of(StreamReset, unopened))
        late = client.request()
        client.flush()
        await client.until(lambda: client.of(StreamReset, late))
        notes = attached(link)
        client.h2.send_data(used, b"to the end", end_stream=True)
        client.flush()
        await notes.until(lambda: "eof" in notes.events)
        link.write(b"answer")
        link.write_eof()
        await client.until(lambda: client.ended(used))
        assert client.data(used) == b"answer"
        assert not client.of(StreamReset, used)
        await client.until(lambda: client.lost)
        assert len(accepted.links) == 1

    run(main())


def test_a_stream_closed_by_its_owner_is_forgotten_although_the_client_never_ends_it(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nodepass.transport.ordered_stream.LINGER", 0.01)

    async def main() -> None:
        accepted = Accepted()
        client = await bare_client(accepted)
        stream_id = client.request()
        client.flush()
        (link,) = await accepted.until(1)
        link.write(b"bye")
        link.close()
        await client.until(lambda: client.of(StreamReset, stream_id))
        assert client.data(stream_id) == b"bye"
        assert client.of(DataReceived, stream_id)
        await assert_serves(accepted, client)

    run(main())


def bytes_at_random(chance: random.Random) -> Iterator[bytes]:
    """What a client may send in any order, and at last, perhaps, what none may."""
    encoder = Encoder()
    streams = [0]
    yield PREAMBLE + SettingsFrame(0).serialize()
    for _ in range(chance.randrange(1, 40)):
        stream_id = chance.choice(streams)
        kind = chance.randrange(7)
        if kind == 0 or not stream_id:
            streams.append(2 * len(streams) - 1)
            yield HeadersFrame(streams[-1], encoder.encode(REQUEST), flags=["END_HEADERS"]).serialize()
        elif kind == 1:
            yield DataFrame(stream_id, OPENING + chance.randbytes(chance.randrange(100))).serialize()
        elif kind == 2:
            yield DataFrame(stream_id, bytes(chance.randrange(2)), flags=["END_STREAM"]).serialize()
        elif kind == 3:
            yield RstStreamFrame(stream_id, chance.randrange(15)).serialize()
        elif kind == 4:
            yield WindowUpdateFrame(chance.choice((0, stream_id)), chance.choice((1, 1000, 2**31 - 1))).serialize()
        elif kind == 5:
            yield SettingsFrame(0, {SettingCodes.INITIAL_WINDOW_SIZE: chance.choice((0, 10, 2**20))}).serialize()
        else:
            yield PingFrame(0, chance.randbytes(8)).serialize()
    payload = chance.randbytes(chance.choice((0, 4, 5, 6, 8, chance.randrange(200))))
    header = bytes((chance.randrange(12), chance.choice((0, 1, 4, 8, 255)))) + struct.pack(">I", chance.choice(streams))
    yield struct.pack(">I", len(payload))[1:] + header + payload


@pytest.mark.parametrize("seed", range(8))
def test_frames_at_random_disturb_nobody_else(run: Run, seed: int) -> None:
    async def main() -> None:
        accepted = Accepted(timeout=0.05)
        links = accepted.links
        for number in range(25):
            chance = random.Random(f"{seed} {number}")
            near, far = await encrypted()
            accepted.acceptor.accept(far, b"")
            notes = attached(near)
            for data in bytes_at_random(chance):
                near.write(data)
                if chance.random() < 0.2:
                    await turns(1)
                for link in links:
                    if chance.random() < 0.5:
                        attached(link)
                    link.write(chance.randbytes(chance.choice((1, 100, 100_000))))
                    getattr(link, chance.choice(("write_eof", "close", "abort", "break_off", "pause_reading")))()
            links.clear()
            near.write_eof()
            await notes.until(lambda notes=notes: "eof" in notes.events or "lost" in notes.events)  # type: ignore[misc]
        accepted.acceptor._timeout = 10
        good = await bare_client(accepted)
        await assert_serves(accepted, good)

    run(main())
