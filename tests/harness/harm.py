"""What ways do to what goes through them, counted: a fault that hit nothing proves nothing."""

from __future__ import annotations

from enum import Enum


class Harm(Enum):
    """What happened to a chunk or a connection of TCP, or to a datagram."""

    RESET = "reset"
    """A connection was broken."""
    TURNED_AWAY = "turned away"
    """A connection was broken as soon as it came."""
    DRIPPED = "dripped"
    """A chunk went byte by byte."""
    DELAYED = "delayed"
    HELD = "held"
    """It waited until the way went on."""
    SWALLOWED = "swallowed"
    """It came while the way was silent, or on a connection that fell silent then."""
    LOST = "lost"
    REPEATED = "repeated"
    SWAPPED = "swapped"
    """It arrived behind the next."""
    MOVED = "moved"
    """It left from another port than those before it did at first."""


OF_TCP = frozenset({Harm.RESET, Harm.TURNED_AWAY, Harm.DRIPPED, Harm.DELAYED, Harm.HELD, Harm.SWALLOWED})
OF_UDP = frozenset({Harm.LOST, Harm.REPEATED, Harm.SWAPPED, Harm.MOVED, Harm.DELAYED, Harm.HELD, Harm.SWALLOWED})
