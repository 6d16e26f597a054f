"""The addresses from which a peer sends on one connection.

The library finds out by itself whether a peer that sends from elsewhere is there (RFC 9000, 9), and follows. But it
remembers every address that it ever saw, takes no packet from a fifth, and does not tell: that is noticed here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from nodepass.net.address import SocketAddress

MOST: Final = 4
"""Addresses from which the library takes one connection's packets in all its life."""


class Paths:
    """Those of one connection.

    Args:
        address: the first.
    """

    __slots__ = ("_seen",)

    def __init__(self, address: SocketAddress) -> None:
        self._seen = {address}

    def follow(self, address: SocketAddress, *, authentic: bool) -> bool:
        """Note where a packet came from; False if that is one address too many.

        Args:
            address: where from.
            authentic: whether it was the peer's.
        """
        if address in self._seen:
            return True
        if len(self._seen) >= MOST:
            return False
        if authentic:
            self._seen.add(address)
        return True
