"""A relay over TCP: what is told first is told when somebody listens to what the link says of it."""

from __future__ import annotations

from nodepass.relay.meter import Meter
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
