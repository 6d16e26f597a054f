"""Instances that no process runs: what the API's tests call in place of the core."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from nodepass.config import Secret, parse_url, to_url
from nodepass.errors import SameUrlError, StateError, UnknownInstanceError
from nodepass.master.model import Action, Change, Event, EventType, Instance, Kind, Status
from nodepass.net.life import Stage

if TYPE_CHECKING:
    from nodepass.config import Config

KEY = "0123456789abcdef" * 2
NEW_KEY = "fedcba9876543210" * 2
URL = "server://s3cret@127.0.0.1:10101/127.0.0.1:8080?tls=1"


class FakeIdentity:
    """Who the master is."""

    def __init__(self, events: FakeEvents) -> None:
        self.id = "0011223344556677"
        self.api_key = Secret(KEY)
        self.alias = ""
        self._events = events

    def accepts(self, key: str) -> bool:
        return key == self.api_key.reveal()

    async def rename(self, alias: str) -> None:
        self.alias = alias

    async def renew_key(self) -> None:
        self.api_key = Secret(NEW_KEY)
        self._events.publish(EventType.SHUTDOWN)


class FakeSubscription:
    """The events for one reader, without bounds."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Event] = asyncio.Queue()
        self.closed = asyncio.Event()
        self._over = False

    async def __anext__(self) -> Event:
        if self._over:
            raise StopAsyncIteration
        event = await self.queue.get()
        self._over = event.type is EventType.SHUTDOWN
        return event

    def close(self) -> None:
        self.closed.set()


class FakeEvents:
    """Where events come from."""

    def __init__(self, core: FakeCore) -> None:
        self._core = core
        self.readers: list[FakeSubscription] = []
        self.came = asyncio.Event()

    def subscribe(self) -> FakeSubscription:
        reader = FakeSubscription()
        for instance in self._core.all():
            reader.queue.put_nowait(Event(EventType.INITIAL, datetime.now(UTC), instance))
        self.readers.append(reader)
        self.came.set()
        return reader

    def publish(self, kind: EventType, instance: Instance | None = None, logs: str = "") -> None:
        for reader in self.readers:
            reader.queue.put_nowait(Event(kind, datetime.now(UTC), instance, logs))


class FakeCore:
    """Instances in a dictionary.

    Args:
        count: how many there are.
    """

    def __init__(self, count: int = 0) -> None:
        self.events = FakeEvents(self)
        self.master = FakeIdentity(self.events)
        self.broken = False
        """Whether nothing can be stored."""
        self.instances: dict[str, Instance] = {}
        self._made = 0
        for number in range(count):
            self._add(URL.replace("10101", str(10101 + number)), f"number {number}")

    def all(self) -> list[Instance]:
        return list(self.instances.values())

    def get(self, id: str) -> Instance:  # noqa: A002
        try:
            return self.instances[id]
        except KeyError:
            message = "no instance has this ID"
            raise UnknownInstanceError(message) from None

    def stage(self, id: str) -> Stage:  # noqa: A002
        self.get(id)
        return Stage.CONNECTED

    async def create(self, url: str, alias: str = "") -> Instance:
        self._store()
        instance = self._add(url, alias)
        self.events.publish(EventType.CREATE, instance)
        return instance

    async def change(self, id: str, change: Change) -> Instance:  # noqa: A002
        instance = self.get(id)
        self._store()
        named = {
            name: value for name in ("alias", "restart", "peer", "tags") if (value := getattr(change, name)) is not None
        }
        instance = replace(instance, **named)
        if change.action is Action.TOGGLE_RESTART:
            instance = replace(instance, restart=not instance.restart)
        elif change.action is Action.STOP:
            instance = replace(instance, status=Status.STOPPED)
        elif change.action in {Action.START, Action.RESTART}:
            instance = replace(instance, status=Status.RUNNING)
        return self._put(instance)

    async def replace_url(self, id: str, url: str) -> Instance:  # noqa: A002
        instance = self.get(id)
        config = parse_url(url)
        if instance.url == url:
            message = "the instance has this URL already"
            raise SameUrlError(message)
        self._store()
        return self._put(replace(instance, url=url, config=to_url(config, with_secret=True), type=_kind(config)))

    async def delete(self, id: str) -> None:  # noqa: A002
        instance = self.get(id)
        self._store()
        del self.instances[id]
        self.events.publish(EventType.DELETE, instance)

    def _store(self) -> None:
        if self.broken:
            message = "the state cannot be written: no space left on device"
            raise StateError(message)

    def _add(self, url: str, alias: str) -> Instance:
        config = parse_url(url)
        self._made += 1
        instance = Instance(
            f"{self._made:08x}", alias, _kind(config), Status.RUNNING, url, to_url(config, with_secret=True)
        )
        self.instances[instance.id] = instance
        return instance

    def _put(self, instance: Instance) -> Instance:
        self.instances[instance.id] = instance
        self.events.publish(EventType.UPDATE, instance)
        return instance


def _kind(config: Config) -> Kind:
    return Kind(config.scheme.value)
