"""Many streams of one shared connection between this project's two ends, over sockets."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

import pytest

from nodepass.protocol.yamux import INITIAL_WINDOW
from nodepass.transport.mux import MuxLink
from tests.unit.transport.links import Notes, connected_sockets, encrypt, mux_connection, plain, tcp_pair

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.transport.base import Link
    from tests.unit.transport.test_link_conformance import Run

MEGABYTE = 1 << 20


class Ends:
    """Both ends of one; streams are opened at the near one."""

    def __init__(self, near: Link, far: Link) -> None:
        self.taken: list[Notes] = []
        self.departed: list[str] = []
        self._changed = asyncio.Event()
        self.near = mux_connection(near, dialled=True, departed=lambda _: self._note("near"))
        self.far = mux_connection(far, dialled=False, accepted=self._accepted, departed=lambda _: self._note("far"))

    def _note(self, end: str) -> None:
        self.departed.append(end)
        self._changed.set()

    def _accepted(self, link: MuxLink) -> None:
        notes = Notes(link)
        self.taken.append(notes)
        link.attach(notes)
        self._changed.set()

    async def stream(self) -> tuple[Notes, Notes]:
        """One more stream, both ends, on which nothing has come but what opened it."""
        link = self.near.open()
        notes = Notes(link)
        link.attach(notes)
        link.write(b"!")
        number = len(self.taken)
        await self._until(lambda: len(self.taken) > number)
        far = self.taken[number]
        await far.until(lambda: far.data == b"!")
        far.data.clear()
        return notes, far

    async def gone(self) -> None:
        """Wait until both ends are gone."""
        await self._until(lambda: len(self.departed) == 2)

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                self._changed.clear()
                await self._changed.wait()


async def ends() -> Ends:
    return Ends(*await tcp_pair())


def test_many_streams_at_once_do_not_mix(run: Run) -> None:
    async def main() -> None:
        both = await ends()
        streams = [await both.stream() for _ in range(100)]
        sent = []
        for near, far in streams:
            up, down = os.urandom(50_000), os.urandom(30_000)
            for start in range(0, len(up), 5_000):
                near.link.write(up[start : start + 5_000])
            far.link.write(down)
            near.link.write_eof()
            sent.append((up, down))
        for (near, far), (up, down) in zip(streams, sent, strict=True):
            await far.until(lambda far=far: "eof" in far.events)  # type: ignore[misc]
            far.link.write_eof()
            await near.until(lambda near=near: "lost" in near.events)  # type: ignore[misc]
            assert far.data == up
            assert near.data == down
            assert near.error is None
        assert both.near.streams == both.far.streams == 0

    run(main())


def test_one_that_does_not_read_stops_only_itself_and_holds_one_window(run: Run) -> None:
    async def main() -> None:
        both = await ends()
        stalled, slow = await both.stream()
        near, far = await both.stream()
        slow.link.pause_reading()
        while "pause" not in stalled.events:
            stalled.link.write(bytes(30_000))
        payload = os.urandom(8 * MEGABYTE)
        near.link.write(payload)
        await far.until(lambda: len(far.data) == len(payload))
        assert far.data == payload
        assert isinstance(slow.link, MuxLink)
        assert slow.link._stashed <= INITIAL_WINDOW
        assert stalled.link.unsent <= 100_000
        # It was held back, not lost.
        slow.link.resume_reading()
        await stalled.until(lambda: "resume" in stalled.events)

    run(main())


def test_a_small_one_is_not_behind_a_bulk_one(run: Run) -> None:
    """A stream has in front of it what the lower link holds and a turn, not what another stream has to send."""

    async def main() -> None:
        both = await ends()
        bulk, sink = await both.stream()
        near, far = await both.stream()
        payload = bytes(64 * MEGABYTE)
        bulk.link.write(payload)
        near.link.write(b"small")
        await far.until(lambda: far.data == b"small")
        assert len(sink.data) < len(payload) // 2

    run(main())


async def narrow(encrypted: bool) -> tuple[Link, Link]:
    """Two joined links of which the second takes little at a time, so that much waits in the first one's system."""
    near, far = connected_sockets()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100_000)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MEGABYTE)
    return await (encrypt(near, far) if encrypted else plain(near, far))


@pytest.mark.parametrize("encrypted", [False, True])
def test_what_was_sent_last_arrives_although_the_connection_is_closed_behind_it(run: Run, encrypted: bool) -> None:
    """While it is read the reader tells of its windows, and nobody may answer that with a reset."""

    async def main() -> None:
        both = Ends(*await narrow(encrypted))
        near, far = await both.stream()
        far.link.write_eof()
        await near.until(lambda: "eof" in near.events)
        payload = os.urandom(8 * MEGABYTE)
        near.link.write(payload)
        near.link.write_eof()
        both.near.close()
        await far.until(lambda: "lost" in far.events)
        assert far.data == payload
        assert far.error is None
        assert far.events == ["eof", "lost"]
        await both.gone()

    run(main())


def test_closing_both_ends_at_once_breaks_nothing(run: Run) -> None:
    async def main() -> None:
        both = await ends()
        near, far = await both.stream()
        both.near.close()
        both.far.close()
        near.link.write(b"still")
        await far.until(lambda: far.data == b"still")
        far.link.write(b"here")
        far.link.write_eof()
        await near.until(lambda: "eof" in near.events)
        assert near.data == b"here"
        near.link.write_eof()
        await far.until(lambda: "lost" in far.events)
        assert (near.error, far.error) == (None, None)
        await both.gone()

    run(main())


def test_a_connection_without_streams_closes_at_both_ends(run: Run) -> None:
    async def main() -> None:
        both = await ends()
        both.far.close()
        await both.gone()
        assert both.near.gone
        assert both.near.closing

    run(main())
