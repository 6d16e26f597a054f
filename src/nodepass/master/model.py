"""What a master keeps of an instance, what can be done to one, and what is told about it (spec: master.md).

All of it is immutable: whoever holds an `Instance` holds how it was at one moment.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - whoever describes these types in a schema looks the names up
from dataclasses import dataclass, field
from datetime import datetime  # noqa: TC003 - see above
from enum import StrEnum
from typing import Final

API_KEY_ID: Final = "********"
"""The entry of the list that holds the API key; no instance has this ID."""

LONGEST_TEXT: Final = 256
"""Characters that an alias, and a tag's key or value, has at most."""


class Status(StrEnum):
    """How an instance does."""

    RUNNING = "running"
    STOPPED = "stopped"
    ERROR = "error"
    """It said so, it ended by itself, or it has not reported for a while."""


class Kind(StrEnum):
    """What an instance is; the JSON member `type`."""

    SERVER = "server"
    CLIENT = "client"


class Action(StrEnum):
    """What can be asked of an instance."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    RESET = "reset"
    """Zero its counters; `reset-traffic` says the same."""
    TOGGLE_RESTART = "toggle-restart"
    """Turn around whether it starts with the master."""

    @classmethod
    def _missing_(cls, value: object) -> Action | None:
        return cls.RESET if value == "reset-traffic" else None


@dataclass(frozen=True, slots=True)
class Peer:
    """The other end of an instance's tunnel, as a front end notes it.

    Args:
        sid: ID of the service that both belong to.
        type: kind of that service.
        alias: name of the other end.
    """

    sid: str = ""
    type: str = ""
    alias: str = ""


@dataclass(frozen=True, slots=True)
class Figures:
    """What an instance last reported. The byte counts are of its whole life, over all its processes.

    Args:
        mode: 1 reverse or single-end, 2 forward or dual-end; 0 before the first report.
        ping: milliseconds.
        pool: idle pool connections.
        tcps: TCP sessions in progress.
        udps: UDP sessions in progress.
        tcprx: bytes read from TCP users or targets.
        tcptx: bytes written to them.
        udprx: bytes read from UDP users or targets.
        udptx: bytes written to them.
    """

    mode: int = 0
    ping: int = 0
    pool: int = 0
    tcps: int = 0
    udps: int = 0
    tcprx: int = 0
    tcptx: int = 0
    udprx: int = 0
    udptx: int = 0


@dataclass(frozen=True, slots=True)
class Instance:
    """A server or client at one moment.

    Args:
        id: 8 lower-case hex digits.
        alias: a name for people.
        type: server or client.
        status: how it does.
        url: as it was given, with what the master fills in. It holds the tunnel key: it is for the API, never for a log.
        config: the same with every parameter of its kind written out; it holds the key as well.
        restart: whether it starts with the master.
        peer: the other end.
        tags: what front ends note about it.
        figures: what it last reported.
    """

    id: str
    alias: str
    type: Kind
    status: Status
    url: str = field(repr=False)
    config: str = field(repr=False)
    restart: bool = True
    peer: Peer = Peer()
    tags: Mapping[str, str] = field(default_factory=dict)
    figures: Figures = Figures()


@dataclass(frozen=True, slots=True)
class Change:
    """What a request changes about an instance; None leaves it as it is.

    Args:
        alias: the new name.
        restart: whether it starts with the master.
        peer: the other end.
        tags: all the tags, in place of those before.
        action: what to do, once the rest is stored.
    """

    alias: str | None = None
    restart: bool | None = None
    peer: Peer | None = None
    tags: Mapping[str, str] | None = None
    action: Action | None = None


class EventType(StrEnum):
    """What an event tells."""

    INITIAL = "initial"
    """An instance that was there when the reader came."""
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    SHUTDOWN = "shutdown"
    """The last one: the master ends, or its key has changed."""
    LOG = "log"
    """One line of an instance's output."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an instance, or to the master.

    Args:
        type: what it tells.
        time: when, with its time zone.
        instance: the one it is about, as it was then; None for SHUTDOWN.
        logs: for LOG, the line without its line break or colours; else empty.
    """

    type: EventType
    time: datetime
    instance: Instance | None = None
    logs: str = ""
