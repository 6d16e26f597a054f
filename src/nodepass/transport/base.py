"""What every transport is to the rest of the house: a `Link`.

A Link is a duplex byte stream in the shape of `asyncio.Transport`, but made without a task and with a stricter contract,
so that a relay can join any two of them and pass a chunk from one to the other in a single call.

What always holds:

- A `Receiver` hears, in this order: any number of `data_received`, at most one `eof_received`, exactly one
  `connection_lost`. After `connection_lost` it hears nothing more. `pause_writing` and `resume_writing` alternate.
- `write` never blocks and takes everything. What the kernel does not take at once is copied and kept; over `HIGH_WATER`
  the receiver is told to pause, and whoever feeds the link must stop. So memory is bounded by one chunk per link.
- Whoever attaches to a link that is gone hears `connection_lost` with an error, soon.
- A link that breaks while its reading is paused is noticed; what had come before can be read for a while longer.
- A link that has ended in both directions, and has sent all it was given, closes itself: `connection_lost(None)`.
- `close` ends the stream in order. `abort` lets the other side see that it is broken (RST on TCP), at once; `break_off`
  does so after what is left has arrived.
- Nothing is delivered from inside a call that the receiver's owner makes (`write`, `resume_reading`, `attach`), except
  `connection_lost`, which may come from inside `write`, `write_eof`, `close`, `break_off` and `abort`.
- The memory given to `data_received` is one buffer shared by all links: it is valid during the call only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum, auto
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.net.address import Address

HIGH_WATER = 64 * 1024
"""Bytes waiting to be sent over which a link asks its feeder to pause."""

LOW_WATER = 16 * 1024
"""Bytes waiting to be sent under which it lets the feeder go on."""

LINGER = 10.0
"""Seconds a link that ends may take to send what is left, and one that broke to have read what had come (`Patience`)."""


class Ending(Enum):
    """How the owner of a link has asked for its end."""

    CLOSE = auto()
    """Send what is left, then end the stream in order."""
    BREAK = auto()
    """Send what is left, then let the other side see that the stream is broken."""


class Receiver(Protocol):
    """Who hears what a link has to tell."""

    def data_received(self, data: memoryview) -> None:
        """Bytes came; `data` must be used up or copied before returning."""

    def eof_received(self) -> None:
        """The other side sends no more; the link can still be written to."""

    def connection_lost(self, error: Exception | None) -> None:
        """The link is gone: None after an orderly end in both directions or an own `close` or `abort`."""

    def pause_writing(self) -> None:
        """The link has more to send than it should hold: write no more."""

    def resume_writing(self) -> None:
        """The link has room again."""


class _Nobody:
    """The receiver of a link that has none: it lets everything pass."""

    def data_received(self, data: memoryview) -> None:
        pass

    def eof_received(self) -> None:
        pass

    def connection_lost(self, error: Exception | None) -> None:
        pass

    def pause_writing(self) -> None:
        pass

    def resume_writing(self) -> None:
        pass


NOBODY = _Nobody()


def gone_before_use() -> Exception:
    """What the receiver of a link hears that ended in order before it was attached."""
    return ConnectionAbortedError("the connection was gone before it was used")


class Link(ABC):
    """A duplex byte stream to one peer. See the module's text for what always holds."""

    __slots__ = ("coalesce", "remote")

    record_size: ClassVar[int | None]
    """Most bytes that arrive as they were written, in one piece; None where the transport knows no records."""

    remote: Address
    """Where the other side is."""

    coalesce: bool
    """Whether what came in several records may be delivered at once; a link without records may do so in any case."""

    @property
    @abstractmethod
    def gone(self) -> bool:
        """Whether the link has ended or broken."""

    @property
    @abstractmethod
    def quiet(self) -> bool:
        """Whether nothing waits to be read, not even an end: asked of the network now, not of what has been told."""

    @property
    @abstractmethod
    def unsent(self) -> int:
        """Bytes given to `write` that have not been handed to the network."""

    @property
    def on_the_way(self) -> object:
        """What the other side has not taken, as far as can be told here: equal as long as it takes none of it."""
        return self.unsent

    @property
    @abstractmethod
    def fingerprint(self) -> str | None:
        """SHA-256 of the server's certificate on this link (spec: wire.md, verify); None without TLS."""

    @abstractmethod
    def attach(self, receiver: Receiver) -> None:
        """Make `receiver` the one who hears this link, and begin or go on reading."""

    @abstractmethod
    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data`; the memory may be reused once this returns. Ignored on a link that is gone."""

    def write_both(self, head: bytes, body: memoryview) -> None:
        """Send two pieces that belong together, the second of which may be large, as `write` does."""
        self.write(b"".join((head, body)))

    @abstractmethod
    def write_eof(self) -> None:
        """End the sending direction once everything written has been sent."""

    @abstractmethod
    def pause_reading(self) -> None:
        """Stop delivering; what has not been read stays in the network's buffers and slows the other side."""

    @abstractmethod
    def resume_reading(self) -> None:
        """Go on delivering."""

    @abstractmethod
    def read_now(self) -> None:
        """Deliver what the network has, inside this call; asked by a link that lies over this one."""

    @abstractmethod
    def close(self) -> None:
        """Read no more, send what is left, then close; bounded in time."""

    @abstractmethod
    def break_off(self) -> None:
        """Read no more, send what is left, then let the other side see a broken stream; bounded in time."""

    @abstractmethod
    def abort(self) -> None:
        """Close at once, so that the other side sees a broken stream."""

    @abstractmethod
    def vouch(self) -> None:
        """Tell what carries this link that the other side has proved who it is, and is no stranger any more."""


class Carriers:
    """What dialers and acceptors have in common, whose connections may carry several links each.

    Where each link has a connection of its own there is nothing to be done, as here.
    """

    def close(self) -> None:
        """Open or take no more. A connection that carries several links is let go when the last of them is gone."""

    def abort(self) -> None:
        """Open or take no more, and let go of connections that carry several links, with all of them."""

    async def arrived(self) -> None:
        """After `close`: wait until what has been sent so far has arrived, or the system sees to it. Links live on."""

    async def departed(self) -> None:
        """After `close`: wait until what was sent has arrived, or the system sees to it."""


class Dialer(Carriers, ABC):
    """Opens pool connections of one transport from the client's side."""

    @abstractmethod
    def open(self, opened: Callable[[Link], None], failed: Callable[[Exception], None]) -> Callable[[], None]:
        """Open one connection; calls exactly one of the two, later. Returns what cancels it.

        An `ssl.SSLCertVerificationError` means that the server's certificate is not trusted.
        """


class Acceptor(Carriers, ABC):
    """Makes pool connections of one transport, on the server's side, of what comes to the tunnel's TCP port.

    What it makes it gives to whoever it was made for, once a connection has said all that comes before its ID.
    """

    bare: ClassVar[bool] = False
    """Whether nothing comes before the ID, or a client's proof, where there is no TLS."""

    @abstractmethod
    def accept(self, lower: Link, early: bytes) -> None:
        """Take over a connection, with TLS set up if there is any; `early` are bytes that were read from it."""
