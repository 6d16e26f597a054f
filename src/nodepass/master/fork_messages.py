"""What a master and its fork server say to each other, as `net.packets`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias, get_args

from nodepass.net.packets import decoder

if TYPE_CHECKING:
    from collections.abc import Callable

STOP_PATIENCE: Final = 5.0
"""Seconds that a process has between SIGTERM and SIGKILL (spec: master.md)."""


STAGE_PREFIX: Final = "STAGE|"
"""In front of a `Stage`: the line by which an instance's process tells its parent, beside its reports."""


@dataclass(frozen=True, slots=True)
class Start:
    """To the fork server: start a process. The end of a pipe that takes its output comes with it.

    Args:
        number: by which both sides call the process; never used twice.
        url: what it runs. It holds the tunnel key.
    """

    kind: ClassVar[str] = "start"
    number: int
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Signal:
    """To the fork server: send a process a signal, unless it has ended."""

    kind: ClassVar[str] = "signal"
    number: int
    signal: int


@dataclass(frozen=True, slots=True)
class Ready:
    """From the fork server: all that processes share is imported, and none of an earlier master is left."""

    kind: ClassVar[str] = "ready"


@dataclass(frozen=True, slots=True)
class Started:
    """From the fork server: a process runs."""

    kind: ClassVar[str] = "started"
    number: int
    pid: int


@dataclass(frozen=True, slots=True)
class Failed:
    """From the fork server: a process could not be started, and why."""

    kind: ClassVar[str] = "failed"
    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Ended:
    """From the fork server: a process has ended.

    Args:
        number: of the process.
        code: its exit code; of one that a signal ended, the signal's number with a minus.
    """

    kind: ClassVar[str] = "ended"
    number: int
    code: int


Request: TypeAlias = Start | Signal
Reply: TypeAlias = Ready | Started | Failed | Ended

decode_request: Final[Callable[[bytes], Request]] = decoder(get_args(Request))
"""Reads what came from the master."""

decode_reply: Final[Callable[[bytes], Reply]] = decoder(get_args(Reply))
"""Reads what came from the fork server."""
