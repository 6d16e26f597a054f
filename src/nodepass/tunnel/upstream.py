"""What an ingress asks for when a user has come: a way to a target.

Two things are an upstream: the `Switchboard`, which goes through a peer's pool connections, and the `Targets`
themselves, for a single-end forwarder. The ingress does not know which it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nodepass.net.address import Address
    from nodepass.relay.datagram_ends import DatagramEnd
    from nodepass.transport.base import Link


class Relay(Protocol):
    """What can be broken off when what carries it dies: a relay, or the search for a target that is to become one."""

    def abort(self) -> None:
        """Break both sides."""


@dataclass(frozen=True, slots=True)
class Way:
    """A way to a target, for one user.

    Args:
        link: leads there.
        relays: those that die with what carries it; the user's relay is one of them while it lasts.
        carrier: what carries it, where others could: to be avoided once it has failed.
        fell_silent: tells whether what carried it ended in silence, so that what was sent may have arrived.
        launch: what is still to be said on it before the user's bytes; the other end is still to reach the target then, and
            will say so (`confirm`).
    """

    link: Link
    relays: set[Relay]
    carrier: object = None
    fell_silent: Callable[[], bool] = lambda: False
    launch: bytes = b""


class Failure(Enum):
    """How a way failed a user before it led to a target."""

    REFUSED = auto()
    """The other end says that it reaches no target."""
    BROKEN = auto()
    """It broke: what carried it may be dead, and this may be known soon."""


NOTHING_FAILED: Mapping[object, Failure] = MappingProxyType({})


class Upstream(Protocol):
    """Where ways to the targets come from. `opened` or `failed` is called once, perhaps before the call returns.

    What the methods return is for callers who know which upstream they have.
    """

    def open_tcp(
        self,
        remote: Address,
        opened: Callable[[Way], None],
        failed: Callable[[Exception], None],
        avoid: Mapping[object, Failure] = NOTHING_FAILED,
        name: str = "",
    ) -> object:
        """Open a stream for the user at `remote`, if there is a choice through a carrier that has not failed it.

        The name is the user's alone: by it, one who asks again is known.
        """

    def open_udp(
        self, remote: Address, opened: Callable[[DatagramEnd, set[Relay]], None], failed: Callable[[Exception], None]
    ) -> object:
        """Open a way for the datagrams of the user at `remote`; with it come the relays that die with what carries it."""
