"""Where an instance runs: in one process, or in one of several that share its ports and limits (`workers`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodepass.net.listen import bind
from nodepass.policy.limits import Limits
from nodepass.protocol.extension import new_session
from nodepass.tunnel.memory import OwnMemory

if TYPE_CHECKING:
    import socket

    from nodepass.config import RunMode
    from nodepass.net.certificates import PemPair
    from nodepass.policy.newcomers import Newcomers
    from nodepass.protocol.signals import Codec
    from nodepass.tunnel.memory import Memory
    from nodepass.tunnel.resources import Resources
    from nodepass.tunnel.server import Server
    from nodepass.tunnel.sessions import Sessions
    from nodepass.tunnel.tunnel_port import Newcomer
    from nodepass.tunnel.workers.company import Company


class Place:
    """That of an instance that is one process.

    Attributes:
        limits: makes what limits the instance.
        pair: the certificate that all processes show; None where there is one process, which makes its own.
        memory: of a server's handshakes.
    """

    workers = 1
    """How many processes there are."""

    def __init__(self, limits: Limits | None = None, pair: PemPair | None = None, memory: Memory | None = None) -> None:
        self.limits = limits or Limits()
        self.pair = pair
        self.memory: Memory = memory or OwnMemory()

    async def bind(self, ips: tuple[str, ...], port: int, kind: socket.SocketKind) -> list[socket.socket]:
        """Bind for this process; see `net.listen.bind`.

        Raises:
            ListenError: it cannot be bound, or somebody else is there.
        """
        return bind(ips, port, kind)

    def release(self, ips: tuple[str, ...], port: int) -> None:
        """What was bound there, TCP and UDP, has been closed here."""

    def name_session(self) -> bytes:
        """Choose the name of a session that this process keeps."""
        return new_session()

    def keeps(self, sessions: int) -> None:
        """This process keeps so many sessions of clients that prove themselves."""

    @property
    def kept_elsewhere(self) -> bool:
        """Whether another process keeps any."""
        return False

    def join(
        self, member: Server, codec: Codec, sessions: Sessions, newcomers: Newcomers[Newcomer], resources: Resources
    ) -> Company | None:
        """Meet the other processes of a server, if there are any."""
        del member, codec, sessions, newcomers, resources
        return None

    async def all_finished(self) -> None:
        """Nobody is in progress here any more: wait until that holds for all processes of the instance."""

    def settled(self, mode: RunMode, *, several: bool) -> None:
        """It is known which end the instance is, and whether it may be several processes: a v1 server takes one client."""
