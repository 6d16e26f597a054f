"""Who may come in at an ingress."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from nodepass.net.address import Address
from nodepass.net.peek import Peek
from nodepass.protocol.proxy_header import V2_LIMIT, ProxyHeaderParser

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    from nodepass.config import ClientConfig, IPNetwork, ServerConfig


class Admission:
    """Who may come in: `allow`, `deny`, and who must say where it comes from (`proxyin`)."""

    def __init__(self, config: ServerConfig | ClientConfig) -> None:
        self._allow = config.allow
        self._deny = config.deny
        self._proxies = config.proxyin

    def admits(self, remote: Address) -> bool:
        """Whether a user from here is taken; deny wins."""
        if not self._allow and not self._deny:
            return True
        return not _within(remote, self._deny) and (not self._allow or _within(remote, self._allow))

    def is_proxy(self, remote: Address) -> bool:
        """Whether what comes from here must begin with a PROXY header."""
        return bool(self._proxies) and _within(remote, self._proxies)


def _within(remote: Address, networks: tuple[IPNetwork, ...]) -> bool:
    ip = ipaddress.ip_address(remote.ip)
    return any(ip in network for network in networks)


class ProxyHeader:
    """A connection from a trusted proxy, whose first bytes say who the user is.

    The header is taken off the socket and nothing behind it, so that TLS or anything else can follow.
    """

    __slots__ = ("_failed", "_parser", "_peek", "_read", "remote")

    def __init__(
        self,
        sock: socket.socket,
        remote: Address,
        timeout: float,
        read: Callable[[ProxyHeader, socket.socket], None],
        failed: Callable[[ProxyHeader, Exception], None],
    ) -> None:
        self.remote = remote
        """The proxy, and once its header has been read, the user."""
        self._read = read
        self._failed = failed
        self._parser = ProxyHeaderParser()
        self._peek = Peek(sock, V2_LIMIT, timeout, self._examine, self._on_header, self._on_failure)

    def abort(self) -> None:
        """Close the connection; nothing is called any more."""
        self._peek.cancel()

    def _examine(self, data: bytes) -> int | None:
        header = self._parser.feed(data)
        if header is None:
            return None
        if header.source is not None:
            self.remote = Address(*header.source)
        return len(data) - len(self._parser.rest)

    def _on_header(self, sock: socket.socket) -> None:
        self._read(self, sock)

    def _on_failure(self, error: Exception) -> None:
        self._failed(self, error)
