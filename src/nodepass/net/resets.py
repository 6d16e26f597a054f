"""Hearing of connections that break while nobody reads them, or while the event loop looks away.

Two cases call for this. A link that back-pressure has paused is not watched by the loop at all: its reset would go
unnoticed for as long as the pause lasts. And libuv, below uvloop, stops watching a socket after the first readiness that
comes with an error, so that what lies behind one read would never be read.

The kernel tells errors without being asked for them: an epoll that waits for nothing else (edge-triggered, so that each is
told once) is itself watched by the loop. It costs one system call per connection, and nothing per chunk.
"""

from __future__ import annotations

import asyncio
import select
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class ResetWatch:
    """The connections of one instance. Where the system has no epoll, it watches none."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._broken: dict[int, Callable[[], None]] = {}
        if sys.platform == "linux":
            self._epoll = select.epoll()
            self._loop.add_reader(self._epoll.fileno(), self._on_readable)

    def watch(self, descriptor: int, broken: Callable[[], None]) -> None:
        """Call `broken` once if an error comes up on this socket."""
        if sys.platform == "linux" and not self._epoll.closed:
            self._broken[descriptor] = broken
            self._epoll.register(descriptor, select.EPOLLET)

    def forget(self, descriptor: int) -> None:
        """The socket is about to be closed; the kernel forgets it by itself."""
        self._broken.pop(descriptor, None)

    def close(self) -> None:
        """Watch nothing any more."""
        if sys.platform == "linux" and not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()
            self._broken.clear()

    def _on_readable(self) -> None:
        if sys.platform == "linux":
            for descriptor, events in self._epoll.poll(0):
                broken = self._broken.get(descriptor)
                if events & select.EPOLLERR and broken is not None:
                    broken()
