"""Connecting to an address without a task: one `connect`, one readiness callback, one timer."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
from typing import TYPE_CHECKING

from nodepass.errors import DialError
from nodepass.log import WARN
from nodepass.net.address import Address, family_of, is_loopback
from nodepass.net.tcp_options import tune_dialled

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nodepass.log import Log

STILL_CONNECTING = frozenset({errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EALREADY})
LINUX = sys.platform == "linux"


class LocalAddress:
    """The address that outgoing connections come from (`dial`), given up for the system's choice if it is no good.

    Args:
        ip: the local address; None leaves the choice to the system.
        log: where the fallback is told.
    """

    def __init__(self, ip: str | None, log: Log) -> None:
        self._ip = ip
        self._log = log

    def open_socket(self, target: Address, kind: socket.SocketKind) -> socket.socket:
        """A non-blocking socket fit to connect to `target`, bound to the local address if that works.

        Raises:
            OSError: no socket could be made at all.
        """
        sock = _make_socket(target, kind)
        if self._ip is None:
            return sock
        try:
            sock.bind((self._ip, 0))
        except OSError as error:
            sock.close()
            self._log.seldom(
                "dial", WARN, "Cannot dial %s from %s (%s): fallback to system auto", target, self._ip, error.strerror
            )
            sock = _make_socket(target, kind)
        return sock


def _make_socket(target: Address, kind: socket.SocketKind) -> socket.socket:
    sock = socket.socket(family_of(target.ip), kind)
    sock.setblocking(False)
    if kind is socket.SOCK_STREAM:
        try:
            tune_dialled(sock, target.ip)
        except OSError:
            sock.close()
            raise
    return sock


class Dial:
    """One attempt to open a TCP connection to the first of several addresses that answers.

    Args:
        addresses: tried in order.
        timeout: seconds for all of them together; each has an equal share.
        local: where to dial from.
        connected: called once with the connected socket and its address, never from inside the constructor.
        failed: called once instead, with a `DialError` that names the last address and why.
    """

    __slots__ = ("_connected", "_failed", "_left", "_local", "_loop", "_next_step", "_share", "_sock")

    def __init__(
        self,
        addresses: Sequence[Address],
        timeout: float,
        local: LocalAddress,
        connected: Callable[[socket.socket, Address], None],
        failed: Callable[[DialError], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._left = list(reversed(addresses))
        self._share = timeout / len(addresses)
        self._local = local
        self._connected = connected
        self._failed = failed
        self._sock: socket.socket | None = None
        self._next_step: asyncio.Handle | None = None
        self._next()

    def cancel(self) -> None:
        """Give up; nothing is called any more."""
        self._left.clear()
        self._close()

    def _next(self) -> None:
        target = self._left.pop()
        try:
            sock = self._sock = self._local.open_socket(target, socket.SOCK_STREAM)
            status = sock.connect_ex((target.ip, target.port))
            if status == errno.EINPROGRESS and LINUX and is_loopback(target.ip):
                # Inside the machine all is said and done by now, which saves waiting for it.
                status = sock.connect_ex((target.ip, target.port))
        except OSError as error:
            self._next_step = self._loop.call_soon(self._give_up, target, error.strerror or str(error))
            return
        if not status:
            self._next_step = self._loop.call_soon(self._done, target)
        elif status in STILL_CONNECTING:
            self._next_step = self._loop.call_later(self._share, self._give_up, target, "no answer in time")
            self._loop.add_writer(sock.fileno(), self._on_writable, target)
        else:
            self._next_step = self._loop.call_soon(self._give_up, target, os.strerror(status))

    def _on_writable(self, target: Address) -> None:
        sock = self._sock
        if sock is None:
            return
        status = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if status:
            self._give_up(target, os.strerror(status))
            return
        self._loop.remove_writer(sock.fileno())
        self._done(target)

    def _done(self, target: Address) -> None:
        sock, self._sock = self._sock, None
        self._close()
        if sock is not None:
            self._connected(sock, target)

    def _give_up(self, target: Address, reason: str) -> None:
        if self._next_step is None:
            return
        self._close()
        if self._left:
            self._next()
        else:
            self._failed(DialError(f"cannot connect to {target}: {reason}"))

    def _close(self) -> None:
        if self._next_step is not None:
            self._next_step.cancel()
            self._next_step = None
        sock, self._sock = self._sock, None
        if sock is not None:
            self._loop.remove_writer(sock.fileno())
            sock.close()
