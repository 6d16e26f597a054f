"""NP_LOG_FORMAT=json: an object in each line, whatever stands in the message."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

import pytest

from nodepass.console import JsonFormatter, LineFormatter
from nodepass.log import EVENT, INFO, Log, tunnel_logger, tunnel_of
from nodepass.protocol.checkpoint import CheckPoint

REPORT = CheckPoint(1, 4, 64, 2, 3, 123, 456, 7, 8)


def record(message: str, level: int = INFO, name: str = "nodepass") -> logging.LogRecord:
    return logging.LogRecord(name, level, "", 0, "%s", (message,), None)


def as_object(line: logging.LogRecord) -> dict[str, Any]:
    text = JsonFormatter().format(line)
    assert text.isascii()
    assert text.isprintable()
    members: dict[str, Any] = json.loads(text)
    return members


@pytest.mark.parametrize("message", ["plain", 'a "quoted" one', "two\nlines\r", "\x1b[2J", "Grüße \u2028", "\ud800"])
def test_any_message_is_one_line_that_gives_it_back(message: str) -> None:
    members = as_object(record(message))
    assert members["message"] == message
    assert members["level"] == "info"
    assert list(members) == ["time", "level", "message"]


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("two\nlines\r", "two\\nlines\\r"),
        ("\x1b[2J\x00\x07\x7f", "\\x1b[2J\\x00\\x07\\x7f"),
        ("\x9b31m\x85", "\\x9b31m\\x85"),
        ("\u2028\u2029", "\\u2028\\u2029"),
        ("\u202egnp.exe\u2066\u2069\u200f\u061c", "\\u202egnp.exe\\u2066\\u2069\\u200f\\u061c"),
        ("Grüße,\tna\u00a0ja \U0001f600", "Grüße,\tna\u00a0ja \U0001f600"),
    ],
)
def test_a_terminal_obeys_nothing_in_a_message(message: str, shown: str) -> None:
    assert LineFormatter(coloured=False).format(record(message)).endswith(f"  INFO  {shown}")
    named = tunnel_logger(message, logging.getLogger("nodepass")).name
    assert LineFormatter(coloured=False).format(record("x", name=named)).endswith(f"  INFO  {shown}: x")


def test_the_time_is_rfc_3339_in_utc() -> None:
    line = record("x")
    line.created = 1_700_000_000.25
    assert as_object(line)["time"] == "2023-11-14T22:13:20.250Z"
    line.created = 1_700_000_000.0
    assert as_object(line)["time"] == "2023-11-14T22:13:20.000Z"


def test_a_report_has_its_figures_as_members() -> None:
    members = as_object(record(REPORT.format(), EVENT))
    assert members["message"] == REPORT.format()
    assert {name: members[name] for name in REPORT.figures()} == REPORT.figures()
    assert members["event"] == "checkpoint"
    assert REPORT.figures() == {
        "mode": 1, "ping": 4, "pool": 64, "tcps": 2, "udps": 3, "tcprx": 123, "tcptx": 456, "udprx": 7, "udptx": 8,
    }  # fmt: skip


def test_what_only_looks_like_a_report_has_none() -> None:
    assert "event" not in as_object(record(REPORT.format()))
    assert "event" not in as_object(record("CHECK_POINT|MODE=x", EVENT))


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def test_a_tunnel_of_many_is_named_in_both_formats() -> None:
    parent, kept = logging.Logger("nodepass"), Kept()  # noqa: LOG001 - one that no other test has
    parent.addHandler(kept)
    Log(INFO, parent).of("web").info("up %s", 1)
    (line,) = kept.records
    assert as_object(line)["tunnel"] == "web"
    assert as_object(line)["message"] == "up 1"
    assert re.fullmatch(r".{23}  INFO  web: up 1", LineFormatter(coloured=False).format(line))


def test_a_tunnels_logger_is_kept_by_nobody() -> None:
    logger = tunnel_logger("gone", logging.getLogger("nodepass"))
    assert logger.name not in logging.root.manager.loggerDict
    assert tunnel_of(logger.name) == "gone"
    assert tunnel_of("nodepass") == ""
