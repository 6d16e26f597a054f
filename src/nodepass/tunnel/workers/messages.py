"""What the processes of one instance say to each other: parent and children, and children of a server among themselves.

One JSON object per packet of a socket that keeps packets whole.

Both ends are this project's own, in one version: a message that does not decode is a bug and raises.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, Final, TypeAlias, get_args

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


@dataclass(frozen=True, slots=True)
class Ask:
    """From one server's child to the keeper of a session: somebody shows this proof. Who may come in?

    Args:
        number: of the question.
        proof: in hex.
    """

    kind: ClassVar[str] = "ask"
    number: int
    proof: str


@dataclass(frozen=True, slots=True)
class Told:
    """From the keeper: the answer to `Ask`.

    Args:
        number: of the question.
        role: what the connection is to be, of `Role`.
        session: its session, in hex.
        ip: the client's address.
        port: with its port.
        features: what both ends have of the extension.
        refuses: what the client does not carry.
        ready: whether the session carries users now.
    """

    kind: ClassVar[str] = "told"
    number: int
    role: str
    session: str = ""
    ip: str = ""
    port: int = 0
    features: tuple[str, ...] = ()
    refuses: tuple[str, ...] = ()
    ready: bool = False


@dataclass(frozen=True, slots=True)
class Control:
    """To the keeper: here is the control channel of its session, or rather the end of a connection that leads to it."""

    kind: ClassVar[str] = "control"
    session: str


@dataclass(frozen=True, slots=True)
class Begun:
    """From the keeper: a session carries users from now on."""

    kind: ClassVar[str] = "begun"
    session: str


@dataclass(frozen=True, slots=True)
class Over:
    """From the keeper: a session has ended.

    Args:
        session: in hex.
        reason: why.
        silent: whether nothing was heard of the client any more.
    """

    kind: ClassVar[str] = "over"
    session: str
    reason: str
    silent: bool


@dataclass(frozen=True, slots=True)
class Came:
    """From a keeper: a client has opened the first connection of a session; what it had before is over."""

    kind: ClassVar[str] = "came"
    client: str


@dataclass(frozen=True, slots=True)
class Shows:
    """From a server's child: it is about to show another certificate, of this fingerprint."""

    kind: ClassVar[str] = "shows"
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Borrow:
    """From a server's child that has no connection for a user: is there one?

    Args:
        number: of the question.
        action: what it is to carry.
    """

    kind: ClassVar[str] = "borrow"
    number: int
    action: str


@dataclass(frozen=True, slots=True)
class Lent:
    """To that child: an end of what leads to such a connection, or nothing."""

    kind: ClassVar[str] = "lent"
    number: int


class Role(StrEnum):
    """What a connection is whose proof has been shown."""

    REFUSED = "refused"
    CONTROL = "control"
    POOL = "pool"


Message: TypeAlias = (
    Start
    | Sibling
    | Stop
    | Bind
    | Bound
    | Release
    | Settled
    | Progress
    | Finished
    | Judge
    | Judged
    | Ask
    | Told
    | Control
    | Begun
    | Over
    | Came
    | Shows
    | Borrow
    | Lent
)

_MESSAGES: Final = {message.kind: message for message in get_args(Message)}

_TUPLES: Final = ("ips", "features", "refuses")
"""Members that JSON makes lists of."""


def encode(message: Message) -> bytes:
    """Give a message's packet."""
    return json.dumps({"kind": message.kind, **asdict(message)}).encode("ascii")


def decode(packet: bytes) -> Message:
    """Read a packet."""
    members = json.loads(packet)
    for name in _TUPLES:
        if name in members:
            members[name] = tuple(members[name])
    message: Any = _MESSAGES[members.pop("kind")]
    decoded: Message = message(**members)
    return decoded
