"""Log lines are written by a thread that may be stuck: what is logged meanwhile, and what comes of it later."""

from __future__ import annotations

import logging
import os
import re
import time
from typing import TYPE_CHECKING

import pytest

from nodepass.console import LAST_LINES_WAIT, QUEUED_LINES, LineFormatter, LineHandler, _whole_lines

if TYPE_CHECKING:
    from collections.abc import Iterator

Pipe = tuple[int, int]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def make(pipe: Pipe) -> tuple[logging.Logger, LineHandler]:
    handler = LineHandler(LineFormatter(coloured=False), pipe[1])
    logger = logging.Logger("test")  # noqa: LOG001 - one that no other test has
    logger.addHandler(handler)
    return logger, handler


def fill(pipe: Pipe) -> int:
    """Write until the pipe is full; gives how many bytes that took."""
    os.set_blocking(pipe[1], False)
    written = 0
    try:
        while True:
            written += os.write(pipe[1], b".")
    except BlockingIOError:
        return written


def read_until(pipe: Pipe, wanted: bytes) -> str:
    data = b""
    while wanted not in data:
        data += os.read(pipe[0], 1 << 16)
    return data.decode()


def test_last_lines_are_written_at_the_close(pipe: Pipe) -> None:
    logger, handler = make(pipe)
    for number in range(100):
        logger.info("line %d", number)
    handler.close()
    lines = os.read(pipe[0], 1 << 16).decode().splitlines()
    assert [line.split("  ")[1:] for line in lines] == [["INFO", f"line {number}"] for number in range(100)]


def test_a_line_tells_what_was_when_it_was_logged(pipe: Pipe) -> None:
    filled = fill(pipe)
    logger, handler = make(pipe)
    value = ["before"]
    logger.info("first")
    logger.info("value %s", value)
    value[0] = "after"
    assert os.read(pipe[0], filled) == b"." * filled
    assert "value ['before']" in read_until(pipe, b"value ['")
    handler.close()


@pytest.mark.parametrize("blocking", [True, False])
def test_lines_without_room_are_counted(pipe: Pipe, *, blocking: bool) -> None:
    fill(pipe)
    os.set_blocking(pipe[1], blocking)
    logger, handler = make(pipe)
    total = 2 * QUEUED_LINES + 1000
    for number in range(total):
        logger.info("line %d", number)
    text = read_until(pipe, b"were dropped")
    logger.info("last line")
    text += read_until(pipe, b"last line")
    handler.close()
    (dropped,) = re.findall(r"WARN  (\d+) log lines were dropped", text)
    assert int(dropped) > 0
    assert len(re.findall("line [0-9]+\n", text)) + int(dropped) == total


def test_close_does_not_wait_for_a_reader_that_never_comes(pipe: Pipe) -> None:
    fill(pipe)
    os.set_blocking(pipe[1], True)
    logger, handler = make(pipe)
    for number in range(2 * QUEUED_LINES):
        logger.info("line %d", number)
    begin = time.monotonic()
    handler.close()
    assert LAST_LINES_WAIT <= time.monotonic() - begin < LAST_LINES_WAIT + 5
    # Lets the thread end, for the next test's sake.
    read_until(pipe, b"were dropped")


def test_a_reader_that_is_gone_costs_lines_only(pipe: Pipe) -> None:
    logger, handler = make(pipe)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, pipe[0])
    os.close(nothing)
    logger.info("lost")
    logger.info("lost too")
    handler.close()


def test_lines_are_written_whole_where_several_processes_share_a_pipe() -> None:
    lines = [
        bytes([65 + number]) * (size - 1) + b"\n" for number, size in enumerate((2000, 2000, 96, 1, 4096, 5000, 10, 10))
    ]
    pieces = list(_whole_lines(iter(lines)))
    assert b"".join(pieces) == b"".join(lines)
    assert [len(piece) for piece in pieces] == [4096, 1, 4096, 5000, 20]
