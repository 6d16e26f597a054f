"""The closed sets of values that parameters take, and the secret that a tunnel's key is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag, IntEnum, StrEnum
from typing import Final

from nodepass import log


class Mode(StrEnum):
    """What a URL starts: its scheme."""

    SERVER = "server"
    CLIENT = "client"
    MASTER = "master"


class LogLevel(StrEnum):
    """How much is logged. ``ERROR`` still shows events; ``EVENT`` shows nothing else."""

    NONE = "none"
    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"
    EVENT = "event"

    @property
    def number(self) -> int:
        """The least level that is shown, as a number of the `log` module."""
        return _LEVEL_NUMBERS[self]


_LEVEL_NUMBERS: Final = {
    LogLevel.NONE: log.NONE,
    LogLevel.DEBUG: log.DEBUG,
    LogLevel.INFO: log.INFO,
    LogLevel.WARN: log.WARN,
    LogLevel.ERROR: log.ERROR,
    LogLevel.EVENT: log.EVENT,
}


class LogFormat(StrEnum):
    """How log lines are written."""

    TEXT = "text"
    """As v1 does, for people and for front ends."""
    JSON = "json"
    """An object in each line, for programs that collect logs."""


class TlsMode(IntEnum):
    """Where a listener's certificate comes from."""

    NONE = 0
    SELF_SIGNED = 1
    FILES = 2


class PoolTransport(IntEnum):
    """What pool connections run over."""

    TCP = 0
    QUIC = 1
    WEBSOCKET = 2
    HTTP2 = 3


class RunMode(IntEnum):
    """Which end does what. 1 and 2 mean one thing to a server and another to a client, and their names say both."""

    AUTO = 0
    """Found out by binding."""
    REVERSE_OR_SINGLE_END = 1
    """A server binds its target address for users; a client listens on the tunnel address and forwards by itself."""
    FORWARD_OR_DUAL_END = 2
    """A server dials its targets, and the client binds for users; a client joins a server."""


class ProxyVersion(IntEnum):
    """The PROXY protocol header sent to a target."""

    NONE = 0
    V1 = 1
    V2 = 2


class Balancing(IntEnum):
    """How users are spread over several targets."""

    ROUND_ROBIN = 0
    LOWEST_LATENCY = 1
    PRIMARY_BACKUP = 2


class PoolSharing(StrEnum):
    """Whether users share pool connections with a peer that can."""

    AUTO = "auto"
    SINGLE = "single"
    MUX = "mux"


class Blocked(Flag):
    """Protocols that a user connection must not begin as. No member: everything is let through."""

    SOCKS = 1
    HTTP = 2
    TLS = 4

    @property
    def digits(self) -> str:
        """As the ``block`` parameter writes it: ``13`` for SOCKS and TLS, ``0`` for nothing."""
        return "".join(digit for digit, protocol in BLOCK_DIGITS.items() if protocol in self) or "0"


BLOCK_DIGITS: Final = {"1": Blocked.SOCKS, "2": Blocked.HTTP, "3": Blocked.TLS}
"""The digit by which the ``block`` parameter names each protocol."""


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A text that must not be shown: printing, logging or formatting it gives asterisks.

    Args:
        text: what is secret; `reveal` is the only way back to it.
    """

    _text: str

    def reveal(self) -> str:
        """Return the secret itself, for the place that computes with it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"
