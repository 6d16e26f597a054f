"""What a client remembers of servers so that it can come back to them without a full TLS handshake.

Kept in memory, for as long as the client's instance lives, and used by the transports that resume (RFC 8446, 2.2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from nodepass.net.address import Address

MOST = 16
"""Tickets kept: a client has one server, which may be found at several addresses in turn."""


class TicketKey(NamedTuple):
    """For which connections a ticket is good: it carries the trust that was put in the server when it was issued.

    Args:
        server: who issued it.
        hostname: the name that the server was asked for.
        trust: the authorities by which its certificate was verified, in a form that tells them from others; None where it
            was not verified.
    """

    server: Address
    hostname: str | None
    trust: bytes | None


class Remembered(NamedTuple):
    """A ticket, and what a resumed connection does not tell again.

    Args:
        ticket: as the TLS library gave it.
        fingerprint: of the server's certificate, in the form of the `verify` signal.
    """

    ticket: object
    fingerprint: str | None


class Tickets:
    """The newest ticket of each server. Each is used once, so that connections cannot be linked by it (RFC 8446, C.4)."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[TicketKey, Remembered] = {}

    def put(self, key: TicketKey, remembered: Remembered) -> None:
        """Keep a ticket in place of an older one."""
        self._kept.pop(key, None)
        self._kept[key] = remembered
        if len(self._kept) > MOST:
            del self._kept[next(iter(self._kept))]

    def take(self, key: TicketKey) -> Remembered | None:
        """The ticket for such a connection, if there is one; it is forgotten."""
        return self._kept.pop(key, None)
