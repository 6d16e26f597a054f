"""Where an instance says what happens: the standard `logging` module, with v1's sixth level and a guard against floods.

A `Log` is made per instance, so that several in one process can have different levels. It passes records to a logger of
the standard library (`nodepass` unless told otherwise): an application that embeds nodepass decides where they go.
"""

from __future__ import annotations

import logging
import time

DEBUG, INFO, WARN, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR
EVENT = 45
"""Above ERROR: `log=error` still shows events (spec: config.md)."""
NONE = 100
"""Above everything."""

logging.addLevelName(EVENT, "EVENT")

SELDOM_PERIOD = 1.0
"""Seconds in which `Log.seldom` writes one line of a kind."""


class Log:
    """The log of one instance.

    Args:
        level: the least level that is shown, as a number of this module.
        logger: where lines go.
    """

    __slots__ = ("_logger", "_seldom", "level")

    def __init__(self, level: int, logger: logging.Logger | None = None) -> None:
        self.level = level
        self._logger = logger or logging.getLogger("nodepass")
        self._seldom: dict[str, tuple[float, int]] = {}

    def shows(self, level: int) -> bool:
        """Whether a line of this level would be written: ask before building a costly one."""
        return level >= self.level and self._logger.isEnabledFor(level)

    def debug(self, message: str, *values: object) -> None:
        """What someone looking for a fault wants to see: each connection."""
        self._write(DEBUG, message, *values)

    def info(self, message: str, *values: object) -> None:
        """What an operator wants to see: the life of the instance."""
        self._write(INFO, message, *values)

    def warning(self, message: str, *values: object) -> None:
        """Something is not as asked, but goes on."""
        self._write(WARN, message, *values)

    def error(self, message: str, *values: object) -> None:
        """Something was lost or will be tried again."""
        self._write(ERROR, message, *values)

    def event(self, message: str, *values: object) -> None:
        """What front ends read: CHECK_POINT lines."""
        self._write(EVENT, message, *values)

    def seldom(self, kind: str, level: int, message: str, *values: object) -> None:
        """Write at most one line of this `kind` a second, and tell how many like it were left out.

        For what a peer or a user can cause as often as it likes.
        """
        if not self.shows(level):
            return
        now = time.monotonic()
        since, left_out = self._seldom.get(kind, (now - SELDOM_PERIOD, 0))
        if now - since < SELDOM_PERIOD:
            self._seldom[kind] = (since, left_out + 1)
            return
        self._seldom[kind] = (now, 0)
        if left_out:
            message += f" (and {left_out} more like it)"
        self._write(level, message, *values)

    def _write(self, level: int, message: str, *values: object) -> None:
        if level >= self.level:
            self._logger.log(level, message, *values)
