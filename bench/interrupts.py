"""Ctrl-C and SIGTERM: they end the bench once, and never between the start of a process and the note of it."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """What the signals do in this process."""

    def __init__(self) -> None:
        self._holding = False
        self._came: int | None = None

    def take(self) -> None:
        """Let the first of the signals raise KeyboardInterrupt, and the next do nothing: all that runs is being stopped."""
        for number in SIGNALS:
            signal.signal(number, self._interrupt)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep a signal that comes meanwhile until the end; to block it would block it in the started process, too."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        if self._came is not None:
            came, self._came = self._came, None
            raise KeyboardInterrupt(came)

    def _interrupt(self, number: int, _: FrameType | None) -> None:
        for other in SIGNALS:
            signal.signal(other, signal.SIG_IGN)
        if self._holding:
            self._came = number
        else:
            raise KeyboardInterrupt(number)


INTERRUPTS = Interrupts()
