"""Where an instance runs: in one process, or in one of several that share its ports and limits (`workers`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodepass.net.listen import bind
from nodepass.policy.limits import Limits

if TYPE_CHECKING:
    import socket

    from nodepass.config import RunMode
    from nodepass.net.certificates import PemPair


class Place:
    """That of an instance that is one process.

    Attributes:
        limits: makes what limits the instance.
        pair: the certificate that all processes show; None where there is one process, which makes its own.
    """

    def __init__(self, limits: Limits | None = None, pair: PemPair | None = None) -> None:
        self.limits = limits or Limits()
        self.pair = pair

    async def bind(self, ips: tuple[str, ...], port: int, kind: socket.SocketKind) -> list[socket.socket]:
        """Bind for this process; see `net.listen.bind`.

        Raises:
            ListenError: it cannot be bound, or somebody else is there.
        """
        return bind(ips, port, kind)

    def release(self, ips: tuple[str, ...], port: int) -> None:
        """What was bound there, TCP and UDP, has been closed here."""

    def settled(self, mode: RunMode, *, several: bool) -> None:
        """It is known which end the instance is, and whether it may be several processes: a v1 server takes one client."""
