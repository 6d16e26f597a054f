"""The event hub: nobody waits for a reader, what waits for one is bounded, and no state is lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from nodepass.master.events import WAITING_LINES, EventHub, Subscription
from nodepass.master.model import EventType, Figures, Instance, Kind, Status

if TYPE_CHECKING:
    from nodepass.master.model import Event


def instance(number: int = 1, alias: str = "") -> Instance:
    return Instance(f"{number:08x}", alias, Kind.CLIENT, Status.RUNNING, "client://k@h:1/:2", "")


def hub_of(*instances: Instance) -> EventHub:
    return EventHub(lambda: instances)


async def waiting(reader: Subscription) -> list[Event]:
    """What waits for a reader now."""
    return [await anext(reader) for _ in range(len(reader._waiting))]


def told(events: list[Event]) -> list[tuple[EventType, str]]:
    return [(event.type, event.instance.id if event.instance else "") for event in events]


async def test_it_begins_with_every_instance() -> None:
    events = await waiting(hub_of(instance(1), instance(2)).subscribe())
    assert told(events) == [(EventType.INITIAL, "00000001"), (EventType.INITIAL, "00000002")]
    assert events[0].time.tzinfo is not None


async def test_events_come_in_order() -> None:
    hub = hub_of()
    reader = hub.subscribe()
    hub.tell(EventType.CREATE, instance(1))
    hub.tell_line(instance(1), "a line")
    hub.tell(EventType.CREATE, instance(2))
    events = await waiting(reader)
    assert [event.type for event in events] == [EventType.CREATE, EventType.LOG, EventType.CREATE]
    assert events[1].logs == "a line"


async def test_a_reader_that_waits_is_woken() -> None:
    hub = hub_of()
    coming = asyncio.ensure_future(anext(hub.subscribe()))
    await asyncio.sleep(0)
    hub.tell(EventType.DELETE, instance())
    assert (await coming).type is EventType.DELETE


@pytest.mark.parametrize("first", [EventType.CREATE, EventType.INITIAL, EventType.UPDATE])
async def test_one_event_of_an_instance_waits_with_its_last_state(first: EventType) -> None:
    hub = hub_of()
    reader = hub.subscribe()
    hub.tell(first, instance())
    for alias in ("b", "c"):
        hub.tell(EventType.UPDATE, instance(alias=alias))
    (event,) = await waiting(reader)
    assert event.type is first
    assert event.instance == instance(alias="c")


async def test_deleted_before_it_was_heard_of() -> None:
    hub = hub_of()
    reader = hub.subscribe()
    hub.tell(EventType.CREATE, instance(1))
    hub.tell(EventType.DELETE, instance(1))
    assert await waiting(reader) == []
    hub.tell(EventType.UPDATE, instance(2))
    hub.tell(EventType.DELETE, instance(2))
    assert told(await waiting(reader)) == [(EventType.DELETE, "00000002")]


async def test_an_event_keeps_its_place() -> None:
    hub = hub_of()
    reader = hub.subscribe()
    hub.tell(EventType.UPDATE, instance())
    hub.tell_line(instance(), "line")
    hub.tell(EventType.UPDATE, instance(alias="later"))
    assert [event.type for event in await waiting(reader)] == [EventType.UPDATE, EventType.LOG]


async def test_the_oldest_lines_are_dropped() -> None:
    hub = hub_of()
    reader = hub.subscribe()
    for number in range(WAITING_LINES + 10):
        hub.tell_line(instance(), str(number))
        hub.tell(EventType.UPDATE, instance(alias=str(number)))
    events = await waiting(reader)
    assert [event.logs for event in events if event.type is EventType.LOG] == [
        str(number) for number in range(10, WAITING_LINES + 10)
    ]
    updates = [event.instance for event in events if event.type is EventType.UPDATE]
    assert updates == [instance(alias=str(WAITING_LINES + 9))]
    # What has been read makes room again.
    hub.tell_line(instance(), "one more")
    assert [event.logs for event in await waiting(reader)] == ["one more"]


async def test_the_last_event_ends_it() -> None:
    hub = hub_of()
    reader = hub.subscribe()
    hub.tell(EventType.CREATE, instance())
    hub.end_streams()
    hub.tell(EventType.CREATE, instance(2))
    assert [event.type async for event in reader] == [EventType.CREATE, EventType.SHUTDOWN]
    assert hub.readers == 0


async def test_others_may_come_after_the_key_changed_and_not_after_the_end() -> None:
    hub = hub_of()
    hub.end_streams()
    reader = hub.subscribe()
    hub.tell(EventType.CREATE, instance())
    assert len(await waiting(reader)) == 1
    hub.close()
    assert [event.type async for event in reader] == [EventType.SHUTDOWN]
    assert [event.type async for event in hub.subscribe()] == [EventType.SHUTDOWN]


async def test_a_reader_that_leaves_wakes_up_and_is_forgotten() -> None:
    hub = hub_of(instance())
    reader = hub.subscribe()
    await waiting(reader)
    iteration = asyncio.ensure_future(anext(reader, None))
    await asyncio.sleep(0)
    reader.close()
    assert await iteration is None
    assert hub.readers == 0


async def test_fifty_readers_of_which_ten_never_read() -> None:
    """Whoever reads ends up with the state as it is; what waits for the others is bounded."""
    instances = {each.id: each for each in map(instance, range(100))}
    hub = EventHub(instances.values)
    silent = [hub.subscribe() for _ in range(10)]

    async def follow() -> dict[str, Instance]:
        known = {}
        async for event in hub.subscribe():
            if event.instance is not None and event.type is not EventType.LOG:
                known[event.instance.id] = event.instance
        return known

    readers = [asyncio.ensure_future(follow()) for _ in range(40)]
    await asyncio.sleep(0)
    for count in range(1, 31):
        for each in tuple(instances.values()):
            instances[each.id] = replace(each, figures=Figures(tcprx=count))
            hub.tell(EventType.UPDATE, instances[each.id])
            hub.tell_line(each, f"line {count}")
        await asyncio.sleep(0)
    assert all(len(reader._waiting) <= WAITING_LINES + len(instances) for reader in silent)
    hub.close()
    assert await asyncio.gather(*readers) == [instances] * 40
    for reader in silent:
        last = {event.instance.id: event.instance async for event in reader if event.instance and not event.logs}
        assert last == instances
