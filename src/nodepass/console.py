"""Log lines on standard output, in v1's format: `2026-11-22 13:29:33.212  INFO  text`, coloured on a terminal only."""

from __future__ import annotations

import logging
import os
import sys
import time

from nodepass.log import DEBUG, ERROR, EVENT, INFO, WARN

NAMES = {DEBUG: "DEBUG", INFO: "INFO", WARN: "WARN", ERROR: "ERROR", EVENT: "EVENT"}
COLOURS = {DEBUG: "\x1b[34m", INFO: "\x1b[32m", WARN: "\x1b[33m", ERROR: "\x1b[31m", EVENT: "\x1b[36m"}
RESET = "\x1b[0m"


class LineFormatter(logging.Formatter):
    """One line per record.

    Args:
        coloured: whether the level gets its colour.
    """

    def __init__(self, *, coloured: bool) -> None:
        super().__init__()
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        """Give the line; whatever line breaks a message holds are escaped, so that nobody can forge one."""
        level = NAMES.get(record.levelno, record.levelname)
        if self._coloured:
            level = f"{COLOURS.get(record.levelno, '')}{level}{RESET}"
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
        text = record.getMessage().replace("\r", "\\r").replace("\n", "\\n")
        return f"{when}.{int(record.msecs):03d}  {level}  {text}"


def make_logger() -> logging.Logger:
    """The logger of a `nodepass` process: everything that instances let through, on standard output."""
    coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(LineFormatter(coloured=coloured))
    logger = logging.getLogger("nodepass")
    logger.addHandler(handler)
    logger.setLevel(DEBUG)
    logger.propagate = False
    return logger
