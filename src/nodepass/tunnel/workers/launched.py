"""A child of the parent: its process, and the socket to it."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from typing import TYPE_CHECKING, Final

from nodepass.tunnel.workers.channel import Channel, close_all
from nodepass.tunnel.workers.messages import Progress, Sibling

if TYPE_CHECKING:
    from asyncio.subprocess import Process
    from collections.abc import Callable, Sequence

    from nodepass.tunnel.workers.packets import Message

MODULE: Final = "nodepass.worker"
"""What a child runs, by name: it knows more than a tunnel does."""


class Child:
    """One of the processes, and what is known of it.

    Args:
        index: its number, from 0.
    """

    def __init__(self, index: int) -> None:
        self.index = index
        self.process: Process | None = None
        self.progress = Progress(ready=False, connected=False)
        self.wanted = asyncio.Event()
        """Whether it is to run."""
        self.finished = False
        """Whether it is to end, and carries nobody any more."""
        self._channel: Channel | None = None

    @property
    def runs(self) -> bool:
        """Whether it can be spoken to."""
        return self._channel is not None

    async def launch(self, held: Sequence[int], received: Callable[[Child, Message], None]) -> Process:
        """Start its process.

        Args:
            held: descriptors that it holds on to.
            received: called with each message from it.

        Raises:
            OSError: it cannot be started.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                self.process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", MODULE, str(theirs.fileno())),
                    stdin=asyncio.subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(), *held),
                    # Ctrl-C is for the parent alone: it says how its children end.
                    start_new_session=True,
                    # It finds its modules where this process found them.
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                )
        except BaseException:
            ours.close()
            raise
        self._channel = Channel(ours, lambda message, _: received(self, message), lambda: None)
        return self.process

    def say(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send a message, if it runs, with descriptors that are closed here then."""
        if self._channel is not None:
            self._channel.send(message, descriptors)
        else:
            close_all(descriptors)

    def gone(self) -> None:
        """Its process has ended, or ends now: it does when it hears nothing of its parent."""
        self.process = None
        self.finished = False
        if self._channel is not None:
            self._channel.close()
            self._channel = None


def introduce(child: Child, children: Sequence[Child]) -> None:
    """Connect a child with each of the others that run."""
    for other in children:
        if other is not child and other.runs:
            one, two = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            child.say(Sibling(other.index), (one.detach(),))
            other.say(Sibling(child.index), (two.detach(),))


def introduce_again(child: Child, other: Child) -> None:
    """Connect a child with another: it had no descriptor left for that."""
    try:
        introduce(child, (other,))
    except OSError:
        # Nor has this process now: without a socket, the child asks again.
        child.say(Sibling(other.index))
