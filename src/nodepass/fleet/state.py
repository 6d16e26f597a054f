"""What is known of each tunnel of a `nodepass run`, as `nodepass status` shows it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

from nodepass.net.life import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nodepass.fleet.entry import Entry, Role


class State(StrEnum):
    """How a tunnel does."""

    CONNECTED = "connected"
    """Users can be carried."""
    LISTENING = "listening"
    """A server waits for its client."""
    STARTING = "starting"
    """It has not listened yet, or not met its server."""
    FAILED = "failed"
    """It is neither, for a reason that it has logged, and will try again."""


class Health(IntEnum):
    """How all of them do: the exit code of `nodepass status`."""

    WELL = 0
    """Each can carry users."""
    BROKEN = 1
    """One at least does not run, or a client has no server."""
    UNREACHABLE = 3
    """Nobody could be asked."""
    WAITING = 4
    """All run; a server at least has no client."""


@dataclass(frozen=True, slots=True)
class TunnelState:
    """One tunnel at one moment.

    Args:
        name: of its table.
        role: what it is called.
        state: how it does.
        url: what it runs, without the key.
        pid: of the process that it runs in; None while it has none.
        error: why it has failed; empty where it has not.
        figures: of its last report, by the names that JSON has for them; empty before the first.
    """

    name: str
    role: Role
    state: State
    url: str
    pid: int | None
    error: str
    figures: Mapping[str, int]

    def members(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "name": self.name,
            "type": self.role,
            "state": self.state,
            "url": self.url,
            "pid": self.pid,
            "error": self.error,
            **self.figures,
        }


def state_of(entry: Entry, stage: Stage, error: str, pid: int | None, figures: Mapping[str, int]) -> TunnelState:
    """How a tunnel does.

    Args:
        entry: what it is.
        stage: how far it has come.
        error: the last line of level ERROR that it has logged, which may be of long ago; empty where there is none.
        pid: of its process.
        figures: of its last report.
    """
    if stage is not Stage.STARTING:
        state, error = State(stage.value), ""
    else:
        state = State.FAILED if error else State.STARTING
    return TunnelState(entry.name, entry.role, state, entry.shown_url, pid, error, figures)


def health_of(states: Iterable[State]) -> Health:
    """How all do that are in these states."""
    found = set(states)
    if found & {State.FAILED, State.STARTING}:
        return Health.BROKEN
    return Health.WAITING if State.LISTENING in found else Health.WELL


def summary(tunnels: Iterable[TunnelState]) -> str:
    """One line for people."""
    tunnels = tuple(tunnels)
    counts = ((state, sum(tunnel.state is state for tunnel in tunnels)) for state in State)
    told = ", ".join(f"{count} {state}" for state, count in counts if count)
    return f"{len(tunnels)} tunnel{'' if len(tunnels) == 1 else 's'}: {told}"
