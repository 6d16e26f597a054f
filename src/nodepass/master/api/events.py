"""The event stream: Server-Sent Events, as the HTML standard has them.

Each reader has a subscription, which is bounded and never holds up whoever publishes. What a reader does not take stays in
the subscription once its socket is full; the stream waits there, and the others go on.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from nodepass.master.api.answers import refusals
from nodepass.master.api.schema import EventData

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

    from nodepass.master.api.core import Core, Subscription
    from nodepass.master.api.texts import InstanceTexts

RETRY = b"retry: 3000\n\n"
"""Tells browsers how many milliseconds to wait before they come back."""

COMMENT = b": still here\n\n"

COMMENT_INTERVAL = 15.0
"""Seconds without events after which a comment goes out: proxies close what is silent for long."""


class EventStream(StreamingResponse):
    """The answer to one reader.

    Args:
        subscription: closed when the answer ends, however it does.
        texts: makes the JSON of events.
        name: what every event is called; its type, unless given.
    """

    media_type = "text/event-stream"

    def __init__(self, subscription: Subscription, texts: InstanceTexts, name: str | None) -> None:
        # nginx would hold events back until it has a few kilobytes of them.
        super().__init__(self._parts(), headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        self._subscription = subscription
        self._texts = texts
        self._name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until they end or the reader goes."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._subscription.close()

    async def _parts(self) -> AsyncIterator[bytes]:
        yield RETRY
        while True:
            try:
                async with asyncio.timeout(COMMENT_INTERVAL):
                    event = await self._subscription.__anext__()
            except TimeoutError:
                yield COMMENT
            except StopAsyncIteration:
                return
            else:
                yield b"event: %b\ndata: %b\n\n" % ((self._name or event.type).encode(), self._texts.event(event))


class EventStreamAnswer(StreamingResponse):
    """What the OpenAPI document says of the stream."""

    media_type = "text/event-stream"


_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "`retry: 3000`, then events: `event: <type>` and `data: <JSON>`. Ends after `shutdown`.",
        "content": {"text/event-stream": {"schema": {"type": "string"}}},
    },
}


def event_routes(core: Core, texts: InstanceTexts) -> APIRouter:
    """The route of the event stream."""
    routes = APIRouter(tags=["events"])

    @routes.get(
        "/events",
        summary="Follow what happens",
        response_class=EventStreamAnswer,
        responses={**_STREAM, **refusals(400)},
        openapi_extra={"x-event-data": EventData.model_json_schema(ref_template="#/components/schemas/{model}")},
    )
    async def follow(
        event: Annotated[Literal["instance"] | None, Query(description="Calls every event `instance`.")] = None,
    ) -> EventStream:
        """Server-Sent Events: first an `initial` event for each instance, then what happens."""
        return EventStream(core.events.subscribe(), texts, event)

    return routes
