"""Binding addresses, and taking what comes in.

An empty host means all interfaces of both families, through one socket where the system can. `TcpListener` accepts
without a task, many per turn of the loop, and rests for a moment when the process is out of file descriptors.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from enum import Enum, auto
from typing import TYPE_CHECKING

from nodepass.errors import ListenError
from nodepass.log import ERROR
from nodepass.net.address import Address, family_of, from_socket
from nodepass.net.tcp_options import tune_accepted, tune_listening
from nodepass.net.udp import enlarge_buffers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nodepass.log import Log

BACKLOG = 4096
ACCEPTS_PER_TURN = 64
REST = 0.2
"""Seconds without accepting after the process ran out of file descriptors or memory."""

OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Sharing(Enum):
    """Whether other sockets of the same user may be bound to an address as well, so that the system spreads what comes."""

    NONE = auto()
    FIRST = auto()
    """Others may follow; whoever is bound there already is in the way, as with `NONE`."""
    NEXT = auto()
    """One more beside the first, with which it shares what comes (SO_REUSEPORT)."""


def bind(ips: Iterable[str], port: int, kind: socket.SocketKind, sharing: Sharing = Sharing.NONE) -> list[socket.socket]:
    """Bind `port` on each of `ips`, or on all interfaces where there are none; TCP sockets listen already.

    Args:
        ips: the addresses.
        port: the port on each.
        kind: TCP or UDP.
        sharing: whether others may be bound there; anything but `NONE` needs Linux.

    Raises:
        ListenError: one of them cannot be bound; then none is.
    """
    wildcard = not (ips := tuple(ips))
    if wildcard:
        ips = ("::",) if socket.has_dualstack_ipv6() else ("0.0.0.0",)  # noqa: S104 - asked for by the empty host
    bound: list[socket.socket] = []
    try:
        for ip in ips:
            sock = socket.socket(family_of(ip), kind)
            bound.append(sock)
            sock.setblocking(False)
            if family_of(ip) is socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if wildcard or ip == "::" else 1)
            if kind is socket.SOCK_STREAM:
                if os.name == "posix":
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tune_listening(sock)
                _bind(sock, ip, port, sharing)
                sock.listen(BACKLOG)
            else:
                enlarge_buffers(sock)
                _bind(sock, ip, port, sharing)
    except OSError as error:
        for sock in bound:
            sock.close()
        protocol = "TCP" if kind is socket.SOCK_STREAM else "UDP"
        where = Address(ips[len(bound) - 1] if bound else ips[0], port)
        raise ListenError(f"cannot listen on {protocol} {where}: {error.strerror or error}") from error
    return bound


def _bind(sock: socket.socket, ip: str, port: int, sharing: Sharing) -> None:
    if sharing is Sharing.NEXT:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((ip, port))
    if sharing is Sharing.FIRST:
        # Only now: with it, bind would find nobody in the way who has it as well.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)


class TcpListener:
    """Takes connections from listening sockets, and hands each on.

    Args:
        sockets: listening; owned from here on.
        accepted: called with each new socket and where it comes from.
        log: where running out of file descriptors is told.
    """

    def __init__(self, sockets: list[socket.socket], accepted: Callable[[socket.socket, Address], None], log: Log) -> None:
        self._loop = asyncio.get_running_loop()
        self._sockets = sockets
        self._accepted = accepted
        self._log = log
        self._rest: asyncio.TimerHandle | None = None
        self._start()

    def close(self) -> None:
        """Stop listening; what has been accepted lives on."""
        self._stop()
        if self._rest is not None:
            self._rest.cancel()
        for sock in self._sockets:
            sock.close()
        self._sockets = []

    def _start(self) -> None:
        self._rest = None
        for sock in self._sockets:
            self._loop.add_reader(sock.fileno(), self._on_readable, sock)

    def _stop(self) -> None:
        for sock in self._sockets:
            self._loop.remove_reader(sock.fileno())

    def _on_readable(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                sock, address = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in OUT_OF_RESOURCES:
                    self._log.seldom("accept", ERROR, "Cannot accept a connection: %s", error.strerror)
                    return
                self._log.seldom("accept", ERROR, "Cannot accept connections for now: %s", error.strerror)
                self._stop()
                self._rest = self._loop.call_later(REST, self._start)
                return
            remote = from_socket(address)
            tune_accepted(sock, remote.ip)
            self._accepted(sock, remote)
            if not self._sockets:
                return
