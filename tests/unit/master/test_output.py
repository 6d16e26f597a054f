"""What a process writes, as lines: bounded, without colours, and with reports that nobody can forge by a message."""

from __future__ import annotations

import asyncio
import os

import pytest

from nodepass.log import ERROR, EVENT, INFO
from nodepass.master.output import LONGEST_LINE, Line, LineSplitter, OutputReader
from nodepass.protocol.checkpoint import CheckPoint
from tests.harness import TIMEOUT

REPORT = "CHECK_POINT|MODE=1|PING=4ms|POOL=64|TCPS=2|UDPS=0|TCPRX=123|TCPTX=456|UDPRX=7|UDPTX=8"
TIME = "2026-11-22 13:29:33.212"


def parse(text: str) -> Line:
    return Line.parse(text.encode())


def test_a_log_line() -> None:
    line = parse(f"{TIME}  ERROR  Server error: no")
    assert (line.level, line.text, line.whole) == (ERROR, "Server error: no", f"{TIME}  ERROR  Server error: no")


def test_what_is_no_log_line() -> None:
    text = "Traceback (most recent call last):"
    assert parse(text) == Line(whole=text, level=INFO, text=text)


def test_colours_and_carriage_returns_are_taken_away() -> None:
    assert parse(f"{TIME}  \x1b[31mERROR\x1b[0m  x\r").whole == f"{TIME}  ERROR  x"


def test_bytes_that_are_no_text() -> None:
    assert Line.parse(b"a\xff").whole == "a\N{REPLACEMENT CHARACTER}"


def test_a_report() -> None:
    line = parse(f"{TIME}  EVENT  {REPORT}")
    assert line.level == EVENT
    assert line.report == CheckPoint(1, 4, 64, 2, 0, 123, 456, 7, 8)


@pytest.mark.parametrize(
    "text",
    [
        REPORT,
        f"{TIME}  INFO  {REPORT}",
        f"{TIME}  WARN  user said {TIME}  EVENT  {REPORT}",
        f"{TIME}  EVENT  x {REPORT}",
        f"{TIME}  EVENT  {REPORT} x",
        f"{TIME}  EVENT  {REPORT.replace('123', '9' * 19)}",
        f"{TIME}  EVENT  {REPORT.replace('123', '-1')}",
        f"{TIME}  EVENT  {REPORT.replace('123', '٣')}",
    ],
)
def test_what_is_no_report(text: str) -> None:
    assert parse(text).report is None


@pytest.mark.parametrize(
    ("text", "tells"),
    [
        ("ERROR  Server error: cannot listen", True),
        ("ERROR  Client error: gone", True),
        ("ERROR  TLS certificate not reloaded", False),
        ("INFO  Server error: not one", False),
    ],
)
def test_which_lines_tell_an_error(text: str, tells: bool) -> None:
    assert parse(f"{TIME}  {text}").tells_error is tells


def test_lines_come_whole_however_they_are_cut() -> None:
    data = b"one\ntwo\n\nfour"
    for size in range(1, len(data) + 1):
        splitter = LineSplitter()
        lines = [line for start in range(0, len(data), size) for line in splitter.feed(data[start : start + size])]
        assert [*lines, *splitter.end()] == [b"one", b"two", b"", b"four"]
        assert list(splitter.end()) == []


def test_a_line_without_end_is_cut() -> None:
    splitter = LineSplitter()
    for _ in range(10):
        assert list(splitter.feed(b"x" * 5000)) == []
    assert list(splitter.feed(b"y\nnext\n")) == [b"x" * LONGEST_LINE, b"next"]


async def test_what_a_process_left_in_the_pipe_is_read() -> None:
    reading, writing = os.pipe()
    lines: list[str] = []
    reader = OutputReader(reading, lambda line: lines.append(line.whole), asyncio.get_running_loop())
    os.write(writing, b"first\nlast words")
    os.close(writing)
    reader.finish()
    assert lines == ["first", "last words"]
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(reading)
    reader.finish()


async def test_it_ends_where_somebody_else_holds_the_pipe() -> None:
    reading, writing = os.pipe()
    lines: list[str] = []
    reader = OutputReader(reading, lambda line: lines.append(line.whole), asyncio.get_running_loop())
    os.write(writing, b"x\n")
    reader.finish()
    assert lines == ["x"]
    os.close(writing)


async def test_a_flood_is_read_to_the_end() -> None:
    """Whoever writes never waits for long, and the loop goes on between two reads."""
    reading, writing = os.pipe()
    lines = 0
    over = asyncio.Event()

    def take(line: Line) -> None:
        nonlocal lines
        lines += 1
        if line.whole == "last":
            over.set()

    reader = OutputReader(reading, take, asyncio.get_running_loop())
    try:
        flood = b"a line of a flood\n" * 200_000 + b"last\n"
        written = await asyncio.to_thread(write_all, writing, flood)
        await asyncio.wait_for(over.wait(), TIMEOUT)
    finally:
        os.close(writing)
        reader.finish()
    assert written == len(flood)
    assert lines == 200_001


def write_all(descriptor: int, data: bytes) -> int:
    written = 0
    while written < len(data):
        written += os.write(descriptor, data[written : written + 65536])
    return written
