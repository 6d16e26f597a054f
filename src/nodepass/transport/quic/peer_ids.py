"""The IDs of the streams that a peer opens."""

from __future__ import annotations


class PeerIds:
    """Which of the peer's streams have been seen: one that came late is new, one that is over is not.

    What is kept are the IDs that were skipped, as many at most as the peer may have open.
    """

    __slots__ = ("_next", "_skipped")

    def __init__(self) -> None:
        self._next = 0
        self._skipped: set[int] = set()

    def is_new(self, stream_id: int) -> bool:
        """Whether a bidirectional stream is seen for the first time."""
        if stream_id < self._next:
            if stream_id not in self._skipped:
                return False
            self._skipped.discard(stream_id)
            return True
        self._skipped.update(range(self._next, stream_id, 4))
        self._next = stream_id + 4
        return True
