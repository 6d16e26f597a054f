"""What a master and its fork server say to each other: one JSON object per packet of a socket that keeps packets whole.

Both ends are this project's own, in one version: a message that does not decode is a bug and raises.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import ClassVar, Final, TypeAlias

LARGEST_PACKET: Final = 65536
"""Bytes; a URL, the longest thing in a packet, has a quarter of that at most."""

STOP_PATIENCE: Final = 5.0
"""Seconds that a process has between SIGTERM and SIGKILL (spec: master.md)."""


@dataclass(frozen=True, slots=True)
class Start:
    """To the fork server: start a process. The end of a pipe that takes its output comes with it.

    Args:
        number: by which both sides call the process; never used twice.
        url: what it runs. It holds the tunnel key.
    """

    kind: ClassVar[str] = "start"
    number: int
    url: str

    def __repr__(self) -> str:
        return f"Start(number={self.number})"


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

_REQUESTS: Final = {message.kind: message for message in (Start, Signal)}
_REPLIES: Final = {message.kind: message for message in (Ready, Started, Failed, Ended)}


def encode(message: Request | Reply) -> bytes:
    """Give a message's packet."""
    return json.dumps({"kind": message.kind, **asdict(message)}).encode("ascii")


def decode_request(packet: bytes) -> Request:
    """Read what came from the master."""
    members = json.loads(packet)
    return _REQUESTS[members.pop("kind")](**members)


def decode_reply(packet: bytes) -> Reply:
    """Read what came from the fork server."""
    members = json.loads(packet)
    return _REPLIES[members.pop("kind")](**members)
