"""Files that are looked at once a second, to hear when somebody has saved them.

Looking needs no library and works on every file system: editors replace files by others of the same name, Kubernetes turns
a symbolic link around. A file that still changes is left in peace until it is the same for a second: whoever writes it in
pieces would otherwise be read in the middle.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

INTERVAL: Final = 1.0
"""Seconds between two looks."""

Look = dict["Path", tuple[int, ...] | None]
"""What was seen of each file; None where there is none."""


def look_at(paths: Iterable[Path]) -> Look:
    """See what the files are now."""
    return {path: _seen(path) for path in paths}


def _seen(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode


async def watch(last_read: Callable[[], Look], changed: Callable[[], object]) -> None:
    """Call `changed` whenever a file has, for ever.

    Args:
        last_read: what the files were when they were last read.
        changed: called once they have settled.
    """
    while True:
        await asyncio.sleep(INTERVAL)
        seen = last_read()
        # In a thread: a file may be on a disk that does not answer.
        now = await asyncio.to_thread(look_at, seen)
        if now == seen:
            continue
        while True:
            await asyncio.sleep(INTERVAL)
            again = await asyncio.to_thread(look_at, now)
            if again == now:
                break
            now = again
        changed()
