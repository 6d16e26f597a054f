"""A relay over TCP: what is told first is told when somebody listens to what the link says of it."""

from __future__ import annotations

import asyncio

import pytest

from nodepass.relay.meter import SMALLEST_READ, Meter
from nodepass.relay.tcp import TcpRelay

from .fakes import FakeLink


class Full(FakeLink):
    """A link that has enough with the first that it is given, and says so once."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        is_first = not self.sent
        super().write(data)
        if is_first:
            self.receiver.pause_writing()


async def test_a_link_that_has_enough_with_the_first_word_holds_back_the_other_side() -> None:
    """Otherwise all that a target sends would be kept here, however much that is."""
    near, far = FakeLink(), Full()
    relay = TcpRelay(near, far, Meter(0, 0, 0), lambda *_: None)
    relay.start(b"early", first=b"!")
    assert (far.sent, near.sent) == (b"!", b"early")
    assert near.is_paused()
    far.receiver.resume_writing()
    assert not near.is_paused()
    near.hears(b"answer")
    assert far.sent == b"!answer"


class Reading(FakeLink):
    """A link that tells when its reading goes on."""

    def __init__(self) -> None:
        super().__init__()
        self.resumed = asyncio.Event()

    def resume_reading(self) -> None:
        super().resume_reading()
        self.resumed.set()


class Slow(FakeLink):
    """A link whose other side takes a little of what it was given whenever somebody looks, and at last no more."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left

    @property
    def unsent(self) -> int:
        self.left = max(self.left - 1, 0)
        return self.left


def idle_relay(near: FakeLink, far: FakeLink, *, rate: int = 0) -> asyncio.Future[Exception | None]:
    """Begin a relay that may be idle for a hundredth of a second; how it ends."""
    over: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    TcpRelay(near, far, Meter(0, rate, 0.01), lambda _, error: over.set_result(error)).start()
    return over


async def test_whom_the_rate_holds_is_not_idle() -> None:
    near, far = Reading(), FakeLink()
    over = idle_relay(near, far, rate=1000)
    async with asyncio.timeout(10):
        for _ in range(2):
            # A quarter of a second's worth more than may pass at once.
            near.hears(bytes(SMALLEST_READ + 250))
            assert near.is_paused()
            await near.resumed.wait()
            near.resumed.clear()
            assert not over.done()
        assert isinstance(await over, TimeoutError)


async def test_one_whom_the_rate_holds_may_be_gone_when_it_goes_on() -> None:
    near, far = Reading(), FakeLink()
    over = idle_relay(near, far, rate=1000)
    near.hears(bytes(SMALLEST_READ + 50))
    near.breaks()
    assert isinstance(over.result(), ConnectionResetError)
    async with asyncio.timeout(10):
        await near.resumed.wait()


@pytest.mark.parametrize("slow", ["near", "far"])
async def test_who_takes_what_there_is_slowly_is_not_idle(slow: str) -> None:
    near, far = (Slow(10) if slow == side else FakeLink() for side in ("near", "far"))
    over = idle_relay(near, far)
    async with asyncio.timeout(10):
        assert isinstance(await over, TimeoutError)
    assert {"near": near, "far": far}[slow].unsent == 0


async def test_who_takes_nothing_is_idle() -> None:
    near, far = FakeLink(), FakeLink()
    far.unsent_now = 1000
    over = idle_relay(near, far)
    near.hears(b"more")
    far.receiver.pause_writing()
    async with asyncio.timeout(10):
        assert isinstance(await over, TimeoutError)


@pytest.mark.parametrize("ended", [(), ("near",), ("far",)])
async def test_what_is_idle_for_too_long_is_broken_behind_what_it_was_given(ended: tuple[str, ...]) -> None:
    """In order, it would look whole to both sides. That one has ended does not make the other's part whole."""
    near, far = FakeLink(), FakeLink()
    over: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    relay = TcpRelay(near, far, Meter(0, 0, 0.01), lambda _, error: over.set_result(error))
    relay.start()
    near.hears(b"a part")
    for link in ended:
        {"near": near, "far": far}[link].hears_end()
    async with asyncio.timeout(10):
        assert isinstance(await over, TimeoutError)
    assert (near.end, far.end) == ("break", "break")
    assert far.sent == b"a part"


class Broken(FakeLink):
    """A link that turns out to be broken when something is written to it."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        super().write(data)
        self.breaks()


@pytest.mark.parametrize("limits", [(0, 0), (1 << 20, 0), (0, 3600)])
async def test_a_link_that_breaks_with_the_first_word_ends_both(limits: tuple[int, int]) -> None:
    """What had come from it before is then handed to nobody, whatever the user's limits are."""
    near, far = FakeLink(), Broken()
    over: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
    rate, idle = limits
    relay = TcpRelay(near, far, Meter(0, rate, idle), lambda _, error: over.set_result(error))
    relay.start(b"early", first=b"!", ended=True)
    async with asyncio.timeout(10):
        assert isinstance(await over, ConnectionResetError)
    assert near.end == "break"
