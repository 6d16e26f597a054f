"""What a server remembers of handshakes: which have been used, and who has failed how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from nodepass.policy.attempts import Attempts
from nodepass.policy.once import Once
from nodepass.protocol.extension import REPLAY_LIFETIME

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_REMEMBERED: Final = 65536
"""Handshakes that are remembered; only those who have the key can bring so many in the time."""

FREE_FAILURES: Final = 20
FAILURES_PER_SECOND: Final = 2.0
"""Handshakes of one source that may fail: so many at once, so many a second from then on."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A handshake on which all has been judged that can be without a memory.

    Args:
        ip: where it comes from.
        failed: whether what it brought proves nothing.
        fresh: what is in it that no other has; empty for one without the extension, or that failed.
    """

    ip: str
    failed: bool
    fresh: bytes


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the memory says of an attempt.

    Args:
        wait: seconds until its source may try again; 0.0 where it may now.
        repeated: whether this handshake has been used before.
    """

    wait: float
    repeated: bool


class Memory(Protocol):
    """What remembers: here, or for several processes elsewhere."""

    def wait(self, ip: str, now: float) -> float:
        """Give the seconds that a source is known to have to wait, whatever it brings; see `Ruling`."""

    def rule(self, attempt: Attempt, now: float, ruled: Callable[[Ruling], None]) -> None:
        """Remember an attempt, unless its source has to wait, and tell what to make of it: now or later."""


class OwnMemory:
    """The memory of a server that is one process, and of all that are several."""

    def __init__(self) -> None:
        self._attempts = Attempts(burst=FREE_FAILURES, per_second=FAILURES_PER_SECOND)
        self._used = Once(REPLAY_LIFETIME, MOST_REMEMBERED)

    def wait(self, ip: str, now: float) -> float:
        """See `Memory`."""
        return self._attempts.wait(ip, now)

    def rule(self, attempt: Attempt, now: float, ruled: Callable[[Ruling], None]) -> None:
        """See `Memory`."""
        wait = self._attempts.wait(attempt.ip, now)
        repeated = False
        if wait <= 0:
            repeated = bool(attempt.fresh) and not self._used.take(attempt.fresh, now)
            if attempt.failed or repeated:
                self._attempts.failed(attempt.ip, now)
        ruled(Ruling(wait, repeated))
