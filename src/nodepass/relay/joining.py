"""A user on the way to a target that the other end of the tunnel is still to reach.

The user's first bytes go on at once, and are kept. The other end says with one byte (`confirm`, see `protocol.launch`) that
it has reached a target, before it passes anything on to that, or that it reaches none. So where the way is broken off
without the former, no target has heard of the user, and the same bytes can go another way: whoever uses the tunnel does not
notice that one of its ends has died. A way that ends in silence is another matter: the word may have been lost. A reset on
the way can swallow the word as well, which cannot be told from an end that died: an other end that lives knows the user by
its name, and says so (`REPEATED`). Where it was another process that reached the target, that hears the same bytes twice.

With a rate, nothing is read before a target is reached: it would escape the rate.

What always holds: what is kept is bounded, and the user is read no further meanwhile; no byte is counted twice; one of
`confirmed`, `failed` and `lost` follows each `go`, and `lost` is the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nodepass.protocol.launch import CONFIRMED, REFUSED, REPEATED
from nodepass.protocol.sniff import Verdict
from nodepass.relay.tcp import SNIFFED

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.protocol.sniff import Sniffer
    from nodepass.relay.meter import Meter
    from nodepass.transport.base import Link

KEPT: Final = 16 * 1024
"""Bytes of the user's after which no more is read until a target is reached."""


class Joining:
    """One user, from its arrival until a target is reached.

    Args:
        near: the user's link.
        sniffer: looks at its first bytes, if some protocols are refused.
        meter: counters and limits of the instance.
        lost: called once when the user is gone, with the error of its link.
        refused: called when its protocol is; `lost` follows.
    """

    __slots__ = ("_counter", "_ended", "_far", "_kept", "_lost", "_near", "_refused", "sniffer")

    def __init__(
        self,
        near: Link,
        sniffer: Sniffer | None,
        meter: Meter,
        lost: Callable[[Exception | None], None],
        refused: Callable[[Verdict], None],
    ) -> None:
        self._near = near
        self._counter = meter.tcp_rx
        self._lost = lost
        self._refused = refused
        self._kept = b""
        self._ended = False
        self._far: _Far | None = None
        self.sniffer = sniffer
        """None once it has decided for the user."""
        near.attach(self)
        if meter.rate_rx is not None:
            near.pause_reading()
        else:
            # A user that speaks first has mostly spoken by now: its bytes go in one piece with what stands before them.
            near.read_now()

    def go(
        self, far: Link, launch: bytes, *, confirmed: Callable[[bytes, bool], None], failed: Callable[[bytes], None]
    ) -> None:
        """Try a way.

        Args:
            far: leads there.
            launch: tells the other end who comes.
            confirmed: called when a target is reached, with bytes that came right behind, and whether the way has asked to
                be written no more, for now.
            failed: called when the way is gone, with the other end's word, if it has said why: `REFUSED` or `REPEATED`.
        """
        self._far = _Far(self, far, confirmed, failed)
        far.write(launch + self._kept)
        if self._ended:
            far.write_eof()

    @property
    def has_spoken(self) -> bool:
        """Whether the user has said anything, be it that it says no more."""
        return bool(self._kept) or self._ended

    def abort(self) -> None:
        """What carries the way has died."""
        if self._far is not None:
            self._far.link.abort()

    # As the receiver of the user's link.

    def data_received(self, data: memoryview) -> None:
        self._counter.total += len(data)
        if self.sniffer is not None and not self._is_welcome(data, self.sniffer):
            return
        self._kept += bytes(data)
        if self._far is not None:
            self._far.link.write(data)
        if len(self._kept) >= KEPT:
            self._near.pause_reading()

    def eof_received(self) -> None:
        self._ended = True
        if self._far is not None:
            self._far.link.write_eof()

    def connection_lost(self, error: Exception | None) -> None:
        far, self._far = self._far, None
        if far is not None:
            far.let_go(error)
        self._lost(error)

    def pause_writing(self) -> None:
        """Nothing is written to the user before a target is reached."""

    def resume_writing(self) -> None:
        """Nothing is written to the user before a target is reached."""

    def _is_welcome(self, data: memoryview, sniffer: Sniffer) -> bool:
        verdict = sniffer.feed(bytes(data[:SNIFFED]))
        if verdict is Verdict.CLEAR:
            self.sniffer = None
        elif verdict is not Verdict.UNDECIDED:
            self._refused(verdict)
            self._near.abort()
            return False
        return True

    # What the way tells.

    def far_gone(self) -> None:
        """It has been confirmed, or has failed."""
        self._far = None


class _Far:
    """The receiver of one way, until a target is reached."""

    __slots__ = ("_confirmed", "_failed", "_full", "_joining", "link")

    def __init__(
        self, joining: Joining, link: Link, confirmed: Callable[[bytes, bool], None], failed: Callable[[bytes], None]
    ) -> None:
        self._joining = joining
        self._confirmed = confirmed
        self._failed: Callable[[bytes], None] | None = failed
        self._full = False
        self.link = link
        link.attach(self)

    def let_go(self, error: Exception | None) -> None:
        """The user is gone."""
        self._failed = None
        if error is None:
            self.link.abort()
        else:
            self.link.break_off()

    def data_received(self, data: memoryview) -> None:
        word = bytes(data[:1])
        if word == CONFIRMED:
            self._failed = None
            self._joining.far_gone()
            self._confirmed(bytes(data[1:]), self._full)
        else:
            self._fail(word if word in (REFUSED, REPEATED) else b"")

    def eof_received(self) -> None:
        self._fail(b"")

    def connection_lost(self, _: Exception | None) -> None:
        self._fail(b"")

    def _fail(self, word: bytes) -> None:
        failed, self._failed = self._failed, None
        self.link.abort()
        if failed is not None:
            self._joining.far_gone()
            failed(word)

    def pause_writing(self) -> None:
        """What is written before a target is reached is bounded: see `KEPT`."""
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
