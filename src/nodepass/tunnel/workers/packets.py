"""All that the processes of one instance say to each other, as `net.packets`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias, get_args

from nodepass.net.packets import decoder
from nodepass.tunnel.workers.company_messages import Ask, Begun, Borrow, Came, Control, Lent, Over, Shows, Told
from nodepass.tunnel.workers.messages import (
    Bind,
    Bound,
    Finished,
    Judge,
    Judged,
    Missed,
    Progress,
    Release,
    Settled,
    Sibling,
    Start,
    Stop,
)

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_DESCRIPTORS: Final = 64
"""Sockets in one packet: one for each address of a name."""

Message: TypeAlias = (
    Start
    | Sibling
    | Missed
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

decode: Final[Callable[[bytes], Message]] = decoder(get_args(Message))
"""Reads a packet."""
