"""What the parent of several processes of an instance and its children say to each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar


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
        tunnel: the name that its log lines bear, where its process runs several tunnels.
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
    tunnel: str = ""


@dataclass(frozen=True, slots=True)
class Sibling:
    """To a child: another runs, and this is the socket to it.

    Args:
        index: of the other.
    """

    kind: ClassVar[str] = "sibling"
    index: int


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


@dataclass(frozen=True, slots=True)
class Finished:
    """From a child that is to end: nobody is in progress any more. To a child: that holds for all."""

    kind: ClassVar[str] = "finished"


@dataclass(frozen=True, slots=True)
class Judge:
    """From a server's child: what has come of a handshake so far; see `memory.Attempt`.

    Args:
        number: of the question.
        ip: where it came from.
        failed: whether it proves nothing.
        fresh: what no other handshake has, in hex.
    """

    kind: ClassVar[str] = "judge"
    number: int
    ip: str
    failed: bool
    fresh: str


@dataclass(frozen=True, slots=True)
class Judged:
    """To a server's child: the answer to `Judge`; see `memory.Ruling`."""

    kind: ClassVar[str] = "judged"
    number: int
    wait: float
    repeated: bool
