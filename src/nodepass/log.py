"""Where an instance says what happens: the standard `logging` module, with v1's sixth level and a guard against floods.

A `Log` is made per instance, so that several in one process can have different levels. It passes records to a logger of
the standard library (`nodepass` unless told otherwise): an application that embeds nodepass decides where they go.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

DEBUG, INFO, WARN, ERROR = logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR
EVENT = 45
"""Above ERROR: `log=error` still shows events (spec: config.md)."""
NONE = 100
"""Above everything."""

logging.addLevelName(EVENT, "EVENT")

TUNNELS = "nodepass.tunnels."
"""In front of a tunnel's name: the name of its logger."""

SELDOM_PERIOD = 1.0
"""Seconds in which `Log.seldom` writes one line of a kind."""

A_FEW = 5
"""The `burst` for what one peer may well cause more than once in a second: a session that ends, and another."""


@dataclass(slots=True)
class _Held:
    """Lines of one kind within a second.

    Args:
        left: how many may still be written at once.
        count: how many were kept back.
        line: the last of these.
    """

    left: int = 0
    count: int = 0
    line: tuple[int, str, tuple[object, ...]] | None = None


def tunnel_logger(name: str, parent: logging.Logger) -> logging.Logger:
    """A logger for one of many tunnels of a process: its records bear the tunnel's name, and go to `parent`.

    The `logging` module does not keep it: tunnels come and go.
    """
    logger = logging.Logger(TUNNELS + name)  # noqa: LOG001 - one that is registered stays for ever
    logger.parent = parent
    return logger


def tunnel_of(logger_name: str) -> str:
    """The name of the tunnel whose logger this is; empty where it is of none."""
    return logger_name.removeprefix(TUNNELS) if logger_name.startswith(TUNNELS) else ""


class Log:
    """The log of one instance.

    Args:
        level: the least level that is shown, as a number of this module.
        logger: where lines go.
    """

    __slots__ = ("_held", "_logger", "level")

    def __init__(self, level: int, logger: logging.Logger | None = None) -> None:
        self.level = level
        self._logger = logger or logging.getLogger("nodepass")
        self._held: dict[str, _Held] = {}

    def of(self, name: str) -> Log:
        """The log of one of many tunnels, at the same level."""
        return Log(self.level, tunnel_logger(name, self._logger))

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

    def always(self, message: str, *values: object) -> None:
        """What must be shown whatever the level is."""
        self._logger.log(EVENT, message, *values)

    def seldom(self, kind: str, level: int, message: str, *values: object, burst: int = 1) -> None:
        """Write at most one line of this `kind` a second: the first at once, of those that follow the last, and how many.

        For what a peer or a user can cause as often as it likes. Needs a running event loop.

        Args:
            kind: of the line.
            level: of the line.
            message: see `logging`.
            values: for the message.
            burst: how many are written at once where there were none for a second: what comes a few times in order, now
                and then, is best read in order.
        """
        if not self.shows(level):
            return
        held = self._held.get(kind)
        if held is None:
            self._write(level, message, *values)
            self._hold(kind, burst - 1)
        elif held.left:
            held.left -= 1
            self._write(level, message, *values)
        else:
            held.count += 1
            held.line = (level, message, values)

    def _hold(self, kind: str, left: int) -> None:
        """For a while, keep back lines of this kind, when so many have been written."""
        self._held[kind] = _Held(left)
        asyncio.get_running_loop().call_later(SELDOM_PERIOD, self._tell, kind)

    def _tell(self, kind: str) -> None:
        """The while is over: write the last line that was kept back, with how many there were."""
        held = self._held.pop(kind)
        if held.line is None:
            return
        level, message, values = held.line
        more = f" (and {held.count - 1} more like it)" if held.count > 1 else ""
        self._write(level, message + more, *values)
        self._hold(kind, 0)

    def _write(self, level: int, message: str, *values: object) -> None:
        if level >= self.level:
            self._logger.log(level, message, *values)
