"""The sockets of an instance that is several processes: each address is bound once for each child that asks.

The system spreads what comes over the sockets that are bound to one address, by where it comes from and goes to. The
parent keeps what it has given to a child. So when the child dies, who has come and not been accepted waits for the one that
takes its place, and who goes to the others still does.
"""

from __future__ import annotations

import os
import socket
from typing import TypeAlias

from nodepass.net.listen import Sharing, bind

Where: TypeAlias = "tuple[tuple[str, ...], int, socket.SocketKind]"
"""Addresses, none for all interfaces; the port; TCP or UDP."""


class SharedSockets:
    """All of them."""

    def __init__(self) -> None:
        self._bound: dict[Where, dict[int, list[socket.socket]]] = {}

    def give(self, index: int, where: Where) -> list[int]:
        """Give what a child is to listen on: what it had, or else another. The descriptors are the caller's.

        Raises:
            ListenError: it cannot be bound, or somebody else is there.
        """
        others = self._bound.get(where, {})
        if index not in others:
            sockets = bind(*where, Sharing.NEXT if others else Sharing.FIRST)
            self._bound.setdefault(where, {})[index] = sockets
        return [os.dup(sock.fileno()) for sock in self._bound[where][index]]

    def release(self, index: int, ips: tuple[str, ...], port: int) -> None:
        """A child has closed what it had there."""
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            self._close((ips, port, kind), index)

    def release_all(self, index: int) -> None:
        """A child is gone, and nobody takes its place."""
        for where in tuple(self._bound):
            self._close(where, index)

    def close(self) -> None:
        """Let go of all; the children have theirs."""
        for where, bound in tuple(self._bound.items()):
            for index in tuple(bound):
                self._close(where, index)

    def _close(self, where: Where, index: int) -> None:
        bound = self._bound.get(where, {})
        for sock in bound.pop(index, []):
            sock.close()
        if not bound:
            self._bound.pop(where, None)
