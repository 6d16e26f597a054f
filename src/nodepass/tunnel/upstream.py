"""What an ingress asks for when a user has come: a way to a target.

Two things are an upstream: the `Switchboard`, which goes through a peer's pool connections, and the `Targets`
themselves, for a single-end forwarder. The ingress does not know which it has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from nodepass.net.address import Address
    from nodepass.relay.datagram_ends import DatagramEnd
    from nodepass.transport.base import Link


class Relay(Protocol):
    """What can be broken off when what carries it dies: a relay, or the search for a target that is to become one."""

    def abort(self) -> None:
        """Break both sides."""


class Upstream(Protocol):
    """A way to the targets. `opened` or `failed` is called once, perhaps before the call returns.

    `opened` also gets the set of relays that die with what carries the new way: the caller adds its relay while it
    lasts. What the methods return is for callers who know which upstream they have.
    """

    def open_tcp(
        self, remote: Address, opened: Callable[[Link, set[Relay]], None], failed: Callable[[Exception], None]
    ) -> object:
        """Open a stream for the user at `remote`."""

    def open_udp(
        self, remote: Address, opened: Callable[[DatagramEnd, set[Relay]], None], failed: Callable[[Exception], None]
    ) -> object:
        """Open a way for the datagrams of the user at `remote`."""
