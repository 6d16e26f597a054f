"""Pool transport 0: a TCP connection per user, with TLS 1.3 inside when the server says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nodepass.net.dial import Dial
from nodepass.transport.base import Acceptor, Dialer
from nodepass.transport.tcp_link import TcpLink
from nodepass.transport.tls_link import TlsLink

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from nodepass.net.address import Address
    from nodepass.net.certificates import ClientTls
    from nodepass.net.dial import LocalAddress
    from nodepass.transport.base import Link
    from nodepass.transport.socket_link import Shared


class TcpDialer(Dialer):
    """Opens pool connections.

    Args:
        server: where to.
        timeout: seconds for TCP, and again for TLS.
        local: where from.
        shared: with all links of the instance.
        tls: None for plain connections.
    """

    def __init__(self, server: Address, timeout: float, local: LocalAddress, shared: Shared, tls: ClientTls | None) -> None:
        self._server = server
        self._timeout = timeout
        self._local = local
        self._shared = shared
        self._tls = tls

    def open(self, opened: Callable[[Link], None], failed: Callable[[Exception], None]) -> Callable[[], None]:
        """See `Dialer`."""
        return _Opening(self._server, self._timeout, self._local, self._shared, self._tls, opened, failed).cancel


class TcpAcceptor(Acceptor):
    """Takes every connection for a pool connection.

    Args:
        accepted: called with each, and what was read from it.
    """

    bare = True

    def __init__(self, accepted: Callable[[Link, bytes], None]) -> None:
        self._accepted = accepted

    def accept(self, lower: Link, early: bytes) -> None:
        """See `Acceptor`."""
        self._accepted(lower, early)


class _Opening:
    """One connection on the way: first TCP, then TLS."""

    __slots__ = ("_cancel", "_failed", "_opened", "_shared", "_timeout", "_tls")

    def __init__(
        self,
        server: Address,
        timeout: float,
        local: LocalAddress,
        shared: Shared,
        tls: ClientTls | None,
        opened: Callable[[Link], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self._timeout = timeout
        self._shared = shared
        self._tls = tls
        self._opened = opened
        self._failed = failed
        self._cancel: Callable[[], None] | None = Dial((server,), timeout, local, self._connected, failed).cancel

    def cancel(self) -> None:
        """Give up; nothing is called any more."""
        if self._cancel is not None:
            self._cancel()

    def _connected(self, sock: socket.socket, address: Address) -> None:
        # It knows this in turn: only the garbage collector would find the two.
        self._cancel = None
        if self._tls is None:
            self._opened(TcpLink(sock, self._shared, address))
            return
        link = TlsLink(
            sock,
            self._shared,
            self._tls,
            timeout=self._timeout,
            ready=self._encrypted,
            remote=address,
        )
        self._cancel = link.abort

    def _encrypted(self, link: TlsLink, error: Exception | None) -> None:
        self._cancel = None
        if error is None:
            self._opened(link)
        else:
            self._failed(error)
