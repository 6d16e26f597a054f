"""Log lines on standard output, in v1's format: `2026-11-22 13:29:33.212  INFO  text`, coloured on a terminal only.

With NP_LOG_FORMAT=json each is an object instead, for programs that collect logs.

Whoever reads them may stop to, and a pipe holds little: so the event loop only puts lines into a queue, and a thread writes
them. It writes to the file descriptor, because `sys.stdout` has a lock that the interpreter wants at its exit. What finds
the queue full is counted and dropped; what cannot be written is lost. The thread never keeps the process alive: `logging`
closes every handler at exit, and `close` waits for the last lines for a moment only.
"""

from __future__ import annotations

import json
import logging
import os
import re
import select
import sys
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from logging.handlers import QueueHandler
from queue import Full, Queue
from typing import TYPE_CHECKING

from nodepass.config import LogFormat
from nodepass.log import DEBUG, ERROR, EVENT, INFO, WARN, tunnel_of
from nodepass.protocol.checkpoint import CheckPoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

NAMES = {DEBUG: "DEBUG", INFO: "INFO", WARN: "WARN", ERROR: "ERROR", EVENT: "EVENT"}
COLOURS = {DEBUG: "\x1b[34m", INFO: "\x1b[32m", WARN: "\x1b[33m", ERROR: "\x1b[31m", EVENT: "\x1b[36m"}
RESET = "\x1b[0m"

CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What a terminal may obey or turn round instead of showing it: C0 but the tab, C1, line separators, and what sets the
direction of writing (Unicode, Bidi_Control)."""

STANDARD_OUTPUT = 1

QUEUED_LINES = 10_000
"""Lines that wait for a reader at most: some megabytes."""

LAST_LINES_WAIT = 1.0
"""Seconds that the last lines have at exit."""


class LineFormatter(logging.Formatter):
    """One line per record.

    Args:
        coloured: whether the level gets its colour.
    """

    def __init__(self, *, coloured: bool) -> None:
        super().__init__()
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        """Give the line; line breaks and controls are escaped, so that nobody can forge one or play with a terminal."""
        level = NAMES.get(record.levelno, record.levelname)
        if self._coloured:
            level = f"{COLOURS.get(record.levelno, '')}{level}{RESET}"
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        tunnel = tunnel_of(record.name)
        text = f"{tunnel}: {record.getMessage()}" if tunnel else record.getMessage()
        # Nearly all lines are, and this costs next to nothing.
        if not text.isprintable():
            text = CONTROLS.sub(_escape, text)
        return f"{when}.{int(record.msecs):03d}  {level}  {text}"


def _escape(control: re.Match[str]) -> str:
    r"""As a Python literal has it: `\n`, `\x1b`, `\u202e`."""
    return control[0].encode("unicode_escape").decode("ascii")


class JsonFormatter(logging.Formatter):
    """One JSON object per record.

    Its members: `time` (RFC 3339, in UTC), `level` as the `log` parameter names it, `tunnel` where the process has several,
    and `message`. A CHECK_POINT has `event` and its figures as well, under the names that the master's API gives them.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Give the object, in ASCII: nothing in it can break the line, or be taken for a control of the terminal."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00")
        message = record.getMessage()
        members: dict[str, object] = {
            "time": f"{when}Z",
            "level": NAMES.get(record.levelno, record.levelname).lower(),
        }
        if tunnel := tunnel_of(record.name):
            members["tunnel"] = tunnel
        members["message"] = message
        if record.levelno == EVENT and (report := CheckPoint.parse(message)) is not None:
            members |= {"event": "checkpoint", **report.figures()}
        return json.dumps(members, separators=(",", ":"))


class LineHandler(QueueHandler):
    """Writes lines without ever blocking whoever logs.

    Args:
        formatter: makes a line of a record, at once: what a record refers to may change later.
        file: number of the file that takes the lines.
        encoding: of the file; what it does not have becomes a question mark.
    """

    queue: Queue[str | None]

    def __init__(self, formatter: logging.Formatter, file: int = STANDARD_OUTPUT, encoding: str = "utf-8") -> None:
        super().__init__(Queue(QUEUED_LINES))
        self.setFormatter(formatter)
        self._file = file
        self._encoding = encoding
        # Each is written by one thread only.
        self._dropped = 0
        self._told = 0
        self._closing = False
        self._writer = threading.Thread(target=self._write_lines, name="log", daemon=True)
        self._writer.start()

    def prepare(self, record: logging.LogRecord) -> str:
        return self.format(record)

    def enqueue(self, record: object) -> None:
        """Queue a line, as `prepare` has made it."""
        try:
            self.queue.put_nowait(str(record))
        except Full:
            self._dropped += 1

    def close(self) -> None:
        """Wait until the last lines are written, but not long."""
        self._closing = True
        # Wakes the writer; where the queue is full, it is busy, and looks when it has written.
        with suppress(Full):
            self.queue.put_nowait(None)
        self._writer.join(LAST_LINES_WAIT)
        super().close()

    def _write_lines(self) -> None:
        while not (self._closing and self.queue.empty()):
            lines = [self.queue.get()]
            # There is room from here on: what has been dropped comes behind these lines.
            lines += [self.queue.get() for _ in range(self.queue.qsize())]
            lines += self._tell_dropped()
            for piece in _whole_lines(f"{line}\n".encode(self._encoding, "replace") for line in lines if line is not None):
                self._write(piece)

    def _tell_dropped(self) -> list[str]:
        """Give a line about lines that were dropped since the last such line."""
        dropped = self._dropped - self._told
        if not dropped:
            return []
        self._told += dropped
        message = f"{dropped} log lines were dropped: whoever reads them is too slow"
        return [self.format(logging.makeLogRecord({"name": __name__, "levelno": WARN, "msg": message}))]

    def _write(self, data: bytes) -> None:
        """Write all of it, however long that takes; if it cannot be written, it is lost."""
        left = memoryview(data)
        with suppress(OSError):
            while left:
                try:
                    left = left[os.write(self._file, left) :]
                except BlockingIOError:
                    # Another process that has the same terminal or pipe made it non-blocking.
                    select.select((), (self._file,), ())


def _whole_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Join lines to pieces that a pipe takes as one, so that none is torn where several processes write to it."""
    piece = b""
    for line in lines:
        if piece and len(piece) + len(line) > select.PIPE_BUF:
            yield piece
            piece = b""
        piece += line
    yield piece


def make_logger(log_format: LogFormat = LogFormat.TEXT) -> logging.Logger:
    """The logger of a `nodepass` process: everything that instances let through, on standard output."""
    handler = LineHandler(make_formatter(log_format), encoding=sys.stdout.encoding)
    logger = logging.getLogger("nodepass")
    logger.addHandler(handler)
    logger.setLevel(DEBUG)
    logger.propagate = False
    return logger


def use_format(logger: logging.Logger, log_format: LogFormat) -> None:
    """Have the lines of a logger that `make_logger` made in another format from now on."""
    for handler in logger.handlers:
        handler.setFormatter(make_formatter(log_format))


def make_formatter(log_format: LogFormat) -> logging.Formatter:
    """What makes lines of this format for standard output."""
    if log_format is LogFormat.JSON:
        return JsonFormatter()
    return LineFormatter(coloured=sys.stdout.isatty() and "NO_COLOR" not in os.environ)
