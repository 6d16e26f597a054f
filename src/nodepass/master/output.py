"""What an instance's process writes: lines, of which some are reports."""

from __future__ import annotations

import logging
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nodepass.log import ERROR, EVENT, INFO
from nodepass.master.fork_messages import STAGE_PREFIX
from nodepass.net.life import Stage
from nodepass.protocol.checkpoint import CheckPoint

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

LONGEST_LINE: Final = 8192
"""Bytes of a line that are kept; the rest of it is dropped."""

READ_SIZE: Final = 65536
"""Bytes that are read in one turn of the loop, so that a process that floods does not keep others waiting."""

LAST_READS: Final = 64
"""Reads after a process has ended; a pipe holds one read's worth unless the system is set up otherwise."""

_ANSI: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_LINE: Final = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  (DEBUG|INFO|WARN|ERROR|EVENT)  (.*)", re.ASCII)
_ERROR: Final = re.compile(r"Server error:|Client error:")
_LEVELS: Final = logging.getLevelNamesMapping()


@dataclass(frozen=True, slots=True)
class Line:
    """One line of output.

    Args:
        whole: as it came, without its line break or colours.
        level: its level; INFO for what is no log line.
        text: without time and level.
    """

    whole: str
    level: int
    text: str

    @classmethod
    def parse(cls, data: bytes) -> Line:
        """Read one line, without its line break."""
        whole = _ANSI.sub("", data.decode("utf-8", "replace")).rstrip("\r")
        match = _LINE.fullmatch(whole)
        return cls(whole, INFO, whole) if match is None else cls(whole, _LEVELS[match[1]], match[2])

    @property
    def report(self) -> CheckPoint | None:
        """The figures, if that is what it tells."""
        return CheckPoint.parse(self.text) if self.level == EVENT else None

    @property
    def stage(self) -> Stage | None:
        """How far the process has come, if that is what it tells."""
        if self.level != EVENT or not self.text.startswith(STAGE_PREFIX):
            return None
        with suppress(ValueError):
            return Stage(self.text.removeprefix(STAGE_PREFIX))
        return None

    @property
    def tells_error(self) -> bool:
        """Whether it says that the instance has failed (spec: master.md, `status`)."""
        return self.level >= ERROR and _ERROR.search(self.text) is not None


class LineSplitter:
    """Bytes into lines of bounded length."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Give the lines that `data` completes."""
        *lines, rest = data.split(b"\n")
        for line in lines:
            yield self._take(line)
        self._rest += rest[: LONGEST_LINE - len(self._rest)]

    def end(self) -> Iterator[bytes]:
        """Give the last line, if it has no line break."""
        if self._rest:
            yield self._take(b"")

    def _take(self, end: bytes) -> bytes:
        line = bytes(self._rest + end)[:LONGEST_LINE]
        self._rest.clear()
        return line


class OutputReader:
    """Reads a pipe as fast as it fills, so that whoever writes never waits.

    Args:
        descriptor: the end to read from; it is closed at the end.
        take: called with each line.
        loop: to read in.
    """

    def __init__(self, descriptor: int, take: Callable[[Line], None], loop: asyncio.AbstractEventLoop) -> None:
        self._descriptor = descriptor
        self._take = take
        self._loop = loop
        self._lines = LineSplitter()
        self._open = True
        os.set_blocking(descriptor, False)
        loop.add_reader(descriptor, self._read)

    def finish(self) -> None:
        """The writer has ended: read what it has left, and close."""
        for _ in range(LAST_READS):
            if not self._read():
                break
        self._close()

    def _read(self) -> bool:
        """Read once; tells whether there was something."""
        if not self._open:
            return False
        data = b""
        with suppress(BlockingIOError):
            data = os.read(self._descriptor, READ_SIZE)
            if not data:
                self._close()
        for line in self._lines.feed(data):
            self._take(Line.parse(line))
        return bool(data)

    def _close(self) -> None:
        if self._open:
            self._open = False
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            for line in self._lines.end():
                self._take(Line.parse(line))
