"""The event stream, read as a front end reads it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from nodepass.master.api import events
from nodepass.master.api.schema import EventData
from nodepass.master.model import EventType, Status
from tests.unit.master.api.fake import KEY, FakeCore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import httpx

    from nodepass.master.api.edge import Edge


class Reader:
    """Reads `/events` over ASGI, block by block."""

    def __init__(self, app: Edge, query: str = "") -> None:
        self.headers: dict[str, str] = {}
        self.blocks: asyncio.Queue[str | None] = asyncio.Queue()
        self._app = app
        self._gone = asyncio.Event()
        self._scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "method": "GET",
            "path": "/api/v1/events",
            "raw_path": b"/api/v1/events",
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"x-api-key", KEY.encode())],
        }
        self.task = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        await self._app(self._scope, self._receive, self._send)  # type: ignore[arg-type]
        self.blocks.put_nowait(None)

    async def _receive(self) -> dict[str, object]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            assert message["status"] == 200
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        for block in message.get("body", b"").decode().split("\n\n"):
            if block:
                self.blocks.put_nowait(block)

    def leave(self) -> None:
        """Disconnect."""
        self._gone.set()

    async def next(self) -> str | None:
        """The next block; None at the end."""
        async with asyncio.timeout(15):
            return await self.blocks.get()

    async def event(self) -> tuple[str, dict[str, Any]]:
        """The next event: its name and its data."""
        block = await self.next()
        assert block is not None
        name, data = block.split("\n")
        assert name.startswith("event: ")
        assert data.startswith("data: ")
        return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


@pytest.fixture
async def reader(app: Edge) -> AsyncIterator[Reader]:
    reader = Reader(app)
    yield reader
    reader.leave()
    await reader.task


async def test_it_begins_with_every_instance(core: FakeCore, reader: Reader) -> None:
    assert await reader.next() == "retry: 3000"
    assert reader.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reader.headers["cache-control"] == "no-cache"
    assert "content-length" not in reader.headers
    for instance in core.all():
        name, data = await reader.event()
        assert name == data["type"] == "initial"
        assert list(data) == ["type", "time", "instance", "logs"]
        assert data["instance"]["id"] == instance.id
        assert datetime.fromisoformat(data["time"]).utcoffset() is not None
        assert data["logs"] == ""
        EventData.model_validate(data)


async def test_it_tells_what_happens(core: FakeCore, reader: Reader, api: httpx.AsyncClient) -> None:
    for _ in range(3):
        await reader.next()
    made = (await api.post("/instances", json={"url": core.all()[0].url})).json()
    assert (await reader.event())[1]["instance"] == made
    await api.patch(f"/instances/{made['id']}", json={"action": "stop"})
    name, data = await reader.event()
    assert (name, data["instance"]["status"]) == ("update", "stopped")
    core.events.publish(EventType.LOG, core.get(made["id"]), 'a "line"\r\n☃')
    name, data = await reader.event()
    assert (name, data["logs"], data["instance"]["id"]) == ("log", 'a "line"\r\n☃', made["id"])
    await api.delete(f"/instances/{made['id']}")
    name, data = await reader.event()
    assert (name, data["instance"]["id"]) == ("delete", made["id"])


async def test_every_event_can_be_called_instance(app: Edge) -> None:
    reader = Reader(app, "event=instance")
    assert await reader.next() == "retry: 3000"
    name, data = await reader.event()
    assert (name, data["type"]) == ("instance", "initial")
    reader.leave()
    await reader.task


async def test_another_name_is_refused(api: httpx.AsyncClient, core: FakeCore) -> None:
    assert (await api.get("/events?event=other")).status_code == 400
    assert core.events.readers == []


async def test_another_key_ends_it(api: httpx.AsyncClient, reader: Reader) -> None:
    for _ in range(3):
        await reader.next()
    await api.patch("/instances/********", json={"action": "restart"})
    assert await reader.event() == ("shutdown", {"type": "shutdown", "time": _any, "instance": None, "logs": ""})
    assert await reader.next() is None


async def test_a_reader_that_goes_is_noticed(core: FakeCore, reader: Reader) -> None:
    await core.events.came.wait()
    assert not core.events.readers[0].closed.is_set()
    reader.leave()
    async with asyncio.timeout(15):
        await core.events.readers[0].closed.wait()
    await reader.task


async def test_a_comment_keeps_it_open(app: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "COMMENT_INTERVAL", 0.01)
    reader = Reader(app)
    for _ in range(3):
        await reader.next()
    assert await reader.next() == ": still here"
    assert await reader.next() == ": still here"
    reader.leave()
    await reader.task


async def test_an_old_event_shows_the_instance_as_it_was(core: FakeCore, reader: Reader) -> None:
    await core.events.came.wait()
    new = core.get("00000001")
    old = replace(new, status=Status.ERROR)
    for instance in (new, old, new):
        core.events.publish(EventType.UPDATE, instance)
    for _ in range(3):
        await reader.next()
    told = [(await reader.event())[1]["instance"]["status"] for _ in range(3)]
    assert told == ["running", "error", "running"]


class _Any:
    def __eq__(self, other: object) -> bool:
        return isinstance(other, str)

    __hash__ = None  # type: ignore[assignment]


_any = _Any()
