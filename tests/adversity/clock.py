"""A clock of the day that can jump, for one process; what only goes forward, such as a loop's time, stays as it is."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from tests.harness.process import SOURCE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_OFFSET: Final = struct.Struct("d")

_SITECUSTOMIZE: Final = """
import mmap, struct, time
with open({path!r}, "rb") as file:
    shown = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)
real, real_ns = time.time, time.time_ns
time.time = lambda: real() + struct.unpack("d", shown)[0]
time.time_ns = lambda: real_ns() + int(struct.unpack("d", shown)[0] * 1e9)
"""
"""What Python runs first. The offset is read anew each time that somebody asks for the time."""


class Clock:
    """The clock of whoever has `env`.

    Args:
        folder: where it is kept; for this clock alone.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._path = folder / "offset"
        self._path.write_bytes(_OFFSET.pack(0))
        (folder / "sitecustomize.py").write_text(_SITECUSTOMIZE.format(path=str(self._path)))
        self.env: Mapping[str, str] = {"PYTHONPATH": f"{folder}:{SOURCE}"}
        """Variables of a process that goes by it."""

    def set(self, offset: float) -> None:
        """Let it be off by so many seconds from now on."""
        # In place: the file is mapped.
        with self._path.open("r+b") as file:
            file.write(_OFFSET.pack(offset))
