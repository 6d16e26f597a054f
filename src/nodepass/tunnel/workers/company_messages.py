"""What the children of a server say to each other about sessions and their connections."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar


class Role(StrEnum):
    """What a connection is whose proof has been shown."""

    REFUSED = "refused"
    CONTROL = "control"
    POOL = "pool"


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
