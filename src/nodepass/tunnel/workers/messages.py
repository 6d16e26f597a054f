"""What the processes of one instance say to each other: one JSON object per packet of a socket that keeps packets whole.

Both ends are this project's own, in one version: a message that does not decode is a bug and raises.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import ClassVar, Final, TypeAlias

LARGEST_PACKET: Final = 65536
"""Bytes; a URL, the longest thing in a packet, has a quarter of that at most."""

MOST_DESCRIPTORS: Final = 64
"""Sockets in one packet: one for each address of a name."""


@dataclass(frozen=True, slots=True)
class Start:
    """To a child, once and first: what to run. The file of the `Cells` comes with it.

    Args:
        index: which of the children it is, from 0.
        count: how many there are.
        url: what they run. It holds the tunnel key.
        mode: the run mode that has been decided; that of the URL before.
        shows_errors: whether errors are logged whatever the URL says.
        shutdown_timeout: seconds that sessions have to finish at the end.
        chain: the certificate that all show, in PEM; empty where each takes it from the URL's files, or shows none.
        private_key: the private key of it, in PEM.
    """

    kind: ClassVar[str] = "start"
    index: int
    count: int
    url: str = field(repr=False)
    mode: int
    shows_errors: bool
    shutdown_timeout: float
    chain: str
    private_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Stop:
    """To a child: end gracefully."""

    kind: ClassVar[str] = "stop"


@dataclass(frozen=True, slots=True)
class Bind:
    """From a child: it asks for the sockets of a port.

    Args:
        number: of the question.
        ips: addresses; none for all interfaces.
        port: on each of them.
        tcp: TCP; else UDP.
    """

    kind: ClassVar[str] = "bind"
    number: int
    ips: tuple[str, ...]
    port: int
    tcp: bool


@dataclass(frozen=True, slots=True)
class Bound:
    """To a child: the answer to `Bind`. The sockets come with it, unless there is a reason why not."""

    kind: ClassVar[str] = "bound"
    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Release:
    """From a child: it has closed its sockets of a port."""

    kind: ClassVar[str] = "release"
    ips: tuple[str, ...]
    port: int


@dataclass(frozen=True, slots=True)
class Settled:
    """From a child: see `Place.settled`."""

    kind: ClassVar[str] = "settled"
    mode: int
    several: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """From a child: whether it is `Instance.ready` and `Instance.connected`, when that has changed."""

    kind: ClassVar[str] = "progress"
    ready: bool
    connected: bool


Message: TypeAlias = Start | Stop | Bind | Bound | Release | Settled | Progress

_MESSAGES: Final = {message.kind: message for message in (Start, Stop, Bind, Bound, Release, Settled, Progress)}


def encode(message: Message) -> bytes:
    """Give a message's packet."""
    return json.dumps({"kind": message.kind, **asdict(message)}).encode("ascii")


def decode(packet: bytes) -> Message:
    """Read a packet."""
    members = json.loads(packet)
    if "ips" in members:
        members["ips"] = tuple(members["ips"])
    return _MESSAGES[members.pop("kind")](**members)
