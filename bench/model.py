"""What a bench is made of: rows, each of them a load over a setup, measured for every contender."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Final

from nodepass.config import PoolTransport, TlsMode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bench.stage import Stage

HOST = "127.0.0.1"
"""Where all of it happens."""


class BenchError(Exception):
    """Something could not be measured; its text, one line, is printed in its place."""


class NotOfferedError(BenchError):
    """A contender has no such thing, or nobody can have it here: not its failure."""


class Flow(StrEnum):
    """Which end of a tunnel takes in users."""

    REVERSE = "reverse"
    FORWARD = "forward"


@dataclass(frozen=True, slots=True)
class Setup:
    """How users get to the target.

    Args:
        transport: of the tunnel's pool.
        tls: as the `tls` parameter. A client that is given `FILES` verifies them, by an authority made for the run.
        flow: which end takes in users.
        single: a forwarder with one end in place of a tunnel; then transport and flow say nothing.
        udp: whether users speak UDP.
    """

    transport: PoolTransport = PoolTransport.TCP
    tls: TlsMode = TlsMode.NONE
    flow: Flow = Flow.REVERSE
    single: bool = False
    udp: bool = False

    @property
    def encrypts(self) -> bool:
        """Whether there is TLS anywhere."""
        return self.tls is not TlsMode.NONE

    @property
    def users_speak_tls(self) -> bool:
        """Whether it is the users who must encrypt: a forwarder's listener ends TLS."""
        return self.single and self.encrypts

    def __str__(self) -> str:
        way = "single" if self.single else self.transport.name.lower()
        tls = TLS_NAMES[self.tls]
        if self.tls is TlsMode.SELF_SIGNED and self.transport in {PoolTransport.QUIC, PoolTransport.HTTP2}:
            # They are never without.
            tls = ""
        return f"{way}{tls}" if self.single or self.flow is Flow.REVERSE else f"{way}{tls}-{self.flow}"


TLS_NAMES: Final = {TlsMode.NONE: "", TlsMode.SELF_SIGNED: "+tls", TlsMode.FILES: "+tls2"}
"""In the names of setups."""


class Better(Enum):
    """Which direction of a figure is the good one."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = "neither"


@dataclass(frozen=True, slots=True)
class Figure:
    """Something that is measured.

    Args:
        name: what it is, within its row.
        unit: in which it is given.
        better: which direction is the good one.
        in_table: whether the table shows it; what only says again how many were asked for is for pictures.
    """

    name: str
    unit: str
    better: Better = Better.HIGHER
    in_table: bool = field(default=True, compare=False)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run of a load gave.

    Args:
        values: by the figures' names.
        notes: what the reader should know of it, such as errors that did not spoil it.
    """

    values: Mapping[str, float]
    notes: tuple[str, ...] = ()


class Target(Enum):
    """What stands at the target port while a load runs."""

    ECHO = "echo"
    """Our own: sends back what it is sent over TCP, counts what it is sent over UDP."""
    NGINX = "nginx"
    OWN = "own"
    """What the load itself starts there."""


class Cast(Enum):
    """Who takes part in a row."""

    ALL = "all"
    EXTENSION = "extension"
    """nodepass with the extension and without it."""
    WORKERS = "workers"
    """nodepass with `workers=2` and with `workers=1`."""


class Load(ABC):
    """What users do, and what is measured meanwhile."""

    figures: tuple[Figure, ...]
    """What a run gives, the main one first."""
    programs: tuple[str, ...] = ()
    """What must be installed."""
    target = Target.ECHO
    proof_target = Target.ECHO
    """What stands at the target port for `verify`."""
    starts_itself = False
    """Whether it starts the contender's processes itself, because that is what it measures."""
    fresh = False
    """Whether each run needs processes that have done nothing before."""

    def verify(self, stage: Stage) -> None:  # noqa: B027 - most loads look at what they get while they measure
        """Prove, before anything is measured, that what passes arrives unchanged.

        Raises:
            BenchError: it does not.
        """

    @abstractmethod
    def measure(self, stage: Stage) -> Sample:
        """Run once.

        Raises:
            BenchError: it could not be measured.
            OSError: the same.
        """


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table.

    Args:
        name: `<load>/<setup>`.
        setup: how users get to the target.
        load: what is measured.
        quick: whether `--quick` runs it.
        cast: who takes part.
    """

    name: str
    setup: Setup
    load: Load
    quick: bool = False
    cast: Cast = Cast.ALL


@dataclass(frozen=True, slots=True)
class Ports:
    """The three ports of a setup.

    Args:
        users: where users come in.
        tunnel: where the two ends meet.
        target: where the target stands.
    """

    users: int
    tunnel: int
    target: int


@dataclass(frozen=True, slots=True)
class Command:
    """A process to be started.

    Args:
        name: what it is called in messages.
        argv: program and arguments.
        listens: the TCP port that it opens by itself, and that what is started next expects; 0 if there is none.
        env: variables on top of this process's.
        counted: whether its CPU time and memory are the contender's.
    """

    name: str
    argv: tuple[str, ...]
    listens: int = 0
    env: Mapping[str, str] = field(default_factory=dict)
    counted: bool = True


class Contender(ABC):
    """A program that can make a setup, or some of them.

    Args:
        name: at the head of its column.
    """

    version_label = ""
    """How the line begins that has its version; if empty, that is the first which its command prints."""

    joins_datagrams = False
    """Whether datagrams may come out of its tunnels joined and cut."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def names(self) -> tuple[str, ...]:
        """All that `name_in` may give."""
        return (self.name,)

    def name_in(self, setup: Setup) -> str:
        """The name of what makes this setup, where that differs."""
        return self.name

    def refusal(self, setup: Setup) -> str:
        """Why it cannot make this setup; empty if it can."""
        return ""

    @abstractmethod
    def commands(self, setup: Setup, ports: Ports, folder: Path) -> tuple[Command, ...]:
        """What to start, in this order: the tunnel's server, then its client; or the forwarder.

        Args:
            setup: to be made.
            ports: to be used.
            folder: of this contender's own, for configuration files.
        """

    @abstractmethod
    def version(self) -> tuple[str, ...]:
        """The command that prints the version and ends; empty if there is none."""

    def identity(self) -> str:
        """What says which program it was, where no command prints its version."""
        return "its version is unknown"
