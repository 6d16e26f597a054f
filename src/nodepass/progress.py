"""Where a person waits: a line on the terminal that says for what, and how long already. Elsewhere it is not there."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from contextlib import contextmanager
from itertools import cycle
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

CLEAR_LINE: Final = "\r\x1b[K"

PATIENCE: Final = 0.3
"""Seconds for which nobody needs to be told."""

INTERVAL: Final = 0.1
"""Seconds between two pictures."""

PICTURES: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
PLAIN_PICTURES: Final = r"-\|/"


class Waiting:
    """What is waited for; `text` may change meanwhile."""

    def __init__(self, text: str) -> None:
        self.text = text


@contextmanager
def waiting(text: str) -> Iterator[Waiting]:
    """Show on a terminal's standard error, while the body runs, what is waited for.

    It is written by a thread, for the body blocks. Standard error, so that standard output can be kept.

    Args:
        text: in a word or some.
    """
    shown = Waiting(text)
    if not sys.stderr.isatty() or os.environ.get("TERM", "dumb") == "dumb":
        yield shown
        return
    done = threading.Event()
    writer = threading.Thread(target=_write, args=(shown, done), daemon=True)
    writer.start()
    try:
        yield shown
    finally:
        done.set()
        writer.join()


def _write(shown: Waiting, done: threading.Event) -> None:
    if done.wait(PATIENCE):
        return
    begun = time.monotonic() - PATIENCE
    for picture in cycle(_pictures()):
        line = f"{picture} {shown.text} {time.monotonic() - begun:.0f} s"
        # A line as wide as the terminal would wrap, and could not be written over.
        sys.stderr.write(CLEAR_LINE + line[: shutil.get_terminal_size().columns - 1])
        sys.stderr.flush()
        if done.wait(INTERVAL):
            break
    sys.stderr.write(CLEAR_LINE)
    sys.stderr.flush()


def _pictures() -> str:
    try:
        PICTURES.encode(sys.stderr.encoding or "ascii")
    except UnicodeError:
        return PLAIN_PICTURES
    return PICTURES
