"""Who has come and not yet shown who it is: a bounded crowd, in which no source can crowd out another.

What always holds: there are at most `most`. Where one more comes, the one leaves that has been there longest of the source
with the most of them. So whoever keeps connections open and shows nothing pushes out its own, and someone who comes from
the same address and shows at once who it is has gone before its turn to be pushed out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

from nodepass.policy.sources import source_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NewcomerT = TypeVar("NewcomerT")


class Newcomers(Generic[NewcomerT]):
    """The crowd.

    Args:
        most: how many there may be.
        pushed_out: called with each that has to leave for another, and is in the crowd no more.
    """

    def __init__(self, most: int, pushed_out: Callable[[NewcomerT], None]) -> None:
        self._most = most
        self._pushed_out = pushed_out
        self._count = 0
        self._of_source: dict[str | bytes, dict[NewcomerT, None]] = {}

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[NewcomerT]:
        return iter([newcomer for crowd in self._of_source.values() for newcomer in crowd])

    def like(self, ip: str) -> int:
        """How many there are of the source of an address."""
        return len(self._of_source.get(source_of(ip), ()))

    def enter(self, ip: str, newcomer: NewcomerT) -> None:
        """Let one in, though it may be the one that has to leave for it."""
        self._of_source.setdefault(source_of(ip), {})[newcomer] = None
        self._count += 1
        if self._count > self._most:
            largest = max(self._of_source, key=lambda each: len(self._of_source[each]))
            longest = next(iter(self._of_source[largest]))
            self._remove(largest, longest)
            self._pushed_out(longest)

    def leave(self, ip: str, newcomer: NewcomerT) -> None:
        """One has shown who it is, or is gone; it may have left before."""
        self._remove(source_of(ip), newcomer)

    def _remove(self, source: str | bytes, newcomer: NewcomerT) -> None:
        crowd = self._of_source.get(source)
        if crowd is None or newcomer not in crowd:
            return
        del crowd[newcomer]
        self._count -= 1
        if not crowd:
            del self._of_source[source]
