"""What happens in a master, told to any number of readers.

Each reader has a queue of its own. A reader that is too slow, or does not read at all, never delays the others, and
what waits for it is bounded: of log lines the oldest are dropped, and of each instance at most one event waits, with the
instance as it was last. So whatever a reader misses, it ends up knowing the state.

An event keeps its place in the queue when a later one of its instance takes it over: or, in a flood of log lines, the state
would come ever later. Where the instance is deleted before a slow reader has heard of it, the reader never does.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

from nodepass.master.model import Event, EventType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nodepass.master.model import Instance

WAITING_LINES: Final = 1000
"""Log lines that wait for one reader at most. The lines themselves are shared between readers."""

_NEWS: Final = {EventType.INITIAL, EventType.CREATE}
"""What tells of an instance that the reader does not know yet."""


class Subscription:
    """What one reader gets: an asynchronous iterator of events that ends after SHUTDOWN, or when it is closed.

    Args:
        first: the events that it begins with.
        leave: called when nothing more is to come.
    """

    def __init__(self, first: Iterable[Event], leave: Callable[[Subscription], None]) -> None:
        self._leave = leave
        self._waiting: OrderedDict[str | int, Event] = OrderedDict()
        self._lines: deque[int] = deque()
        self._lines_so_far = 0
        self._something = asyncio.Event()
        self._ended = False
        for event in first:
            self.put(event)

    def put(self, event: Event) -> None:
        """Queue an event; for `EventHub`."""
        if self._ended:
            return
        if event.type is EventType.LOG:
            self._put_line(event)
        elif event.instance is None:
            self._waiting[EventType.SHUTDOWN] = event
            self._ended = True
        else:
            self._put_state(event, event.instance.id)
        self._something.set()

    def close(self) -> None:
        """Want no more; an iteration that waits ends."""
        self._ended = True
        self._waiting.clear()
        self._lines.clear()
        self._something.set()
        self._leave(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._waiting:
            if self._ended:
                self._leave(self)
                raise StopAsyncIteration
            self._something.clear()
            await self._something.wait()
        _, event = self._waiting.popitem(last=False)
        if event.type is EventType.LOG:
            self._lines.popleft()
        return event

    def _put_line(self, event: Event) -> None:
        if len(self._lines) == WAITING_LINES:
            del self._waiting[self._lines.popleft()]
        self._lines_so_far += 1
        self._lines.append(self._lines_so_far)
        self._waiting[self._lines_so_far] = event

    def _put_state(self, event: Event, key: str) -> None:
        before = self._waiting.get(key)
        if before is None or before.type is EventType.DELETE:
            self._waiting[key] = event
        elif before.type in _NEWS and event.type is EventType.DELETE:
            del self._waiting[key]
        else:
            news = before.type if before.type in _NEWS else event.type
            self._waiting[key] = replace(event, type=news)


class EventHub:
    """Tells all readers.

    Args:
        instances: gives those that are there, for readers that come.
    """

    def __init__(self, instances: Callable[[], Iterable[Instance]]) -> None:
        self._instances = instances
        self._readers: set[Subscription] = set()
        self._closed = False

    def subscribe(self) -> Subscription:
        """Begin to read: first INITIAL for each instance, then what happens from now on."""
        reader = Subscription((_now(EventType.INITIAL, each) for each in self._instances()), self._readers.discard)
        if self._closed:
            reader.put(_now(EventType.SHUTDOWN))
        else:
            self._readers.add(reader)
        return reader

    @property
    def closed(self) -> bool:
        """Whether whoever comes is only told that this was the last."""
        return self._closed

    @property
    def readers(self) -> int:
        """How many there are."""
        return len(self._readers)

    def tell(self, type_: EventType, instance: Instance) -> None:
        """Tell that an instance was created, has changed, or was deleted."""
        self._publish(_now(type_, instance))

    def tell_line(self, instance: Instance, line: str) -> None:
        """Tell one line of an instance's output."""
        if self._readers:
            self._publish(_now(EventType.LOG, instance, line))

    def end_streams(self) -> None:
        """Tell all who read that this was the last; others may come."""
        self._publish(_now(EventType.SHUTDOWN))
        self._readers.clear()

    def close(self) -> None:
        """Tell all who read that this was the last, and whoever comes."""
        self._closed = True
        self.end_streams()

    def _publish(self, event: Event) -> None:
        for reader in self._readers:
            reader.put(event)


def _now(type_: EventType, instance: Instance | None = None, line: str = "") -> Event:
    return Event(type_, datetime.now(UTC), instance, line)
