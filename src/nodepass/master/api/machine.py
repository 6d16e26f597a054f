"""The routes about the master and its machine: info, tcping, metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from nodepass.master.api.answers import Json, refusals
from nodepass.master.api.json_body import JsonRoute
from nodepass.master.api.schema import InfoAnswer, NewAlias, TcpingAnswer
from nodepass.master.api.texts import to_json
from nodepass.master.metrics import CONTENT_TYPE
from nodepass.master.tcping import parse_target

if TYPE_CHECKING:
    from nodepass.master.api.core import Core
    from nodepass.master.info import Info
    from nodepass.master.metrics import Metrics
    from nodepass.master.tcping import Tcping

LONGEST_TARGET = 300
"""Characters: a host name has 253 at most, and a port five."""

_METRICS: dict[int | str, dict[str, Any]] = {
    200: {"description": "Prometheus' text format.", "content": {CONTENT_TYPE: {"schema": {"type": "string"}}}},
}


def machine_routes(core: Core, info: Info, tcping: Tcping, metrics: Metrics) -> APIRouter:
    """The routes about the master and its machine."""
    routes = APIRouter(tags=["master"], route_class=JsonRoute)

    @routes.get("/info", summary="Show the master", response_model=InfoAnswer, responses=refusals())
    async def show_info() -> Response:
        """The master, and how its machine does."""
        return Json(to_json(info.members(core.master.id, core.master.alias)))

    @routes.post("/info", summary="Name the master", response_model=InfoAnswer, responses=refusals(400, 413, 503))
    async def rename(body: NewAlias) -> Response:
        """Give the master another alias."""
        await core.master.rename(body.alias)
        return Json(to_json(info.members(core.master.id, core.master.alias)))

    @routes.get("/tcping", summary="Try a TCP connection", response_model=TcpingAnswer, responses=refusals(400))
    async def ping(
        target: Annotated[str, Query(max_length=LONGEST_TARGET, description="host:port", examples=["example.org:443"])],
    ) -> Response:
        """Connect from the master's machine, and tell how long that took."""
        result = await tcping.ping(parse_target(target))
        return Json(
            to_json({"target": target, "connected": result.connected, "latency": result.latency, "error": result.error})
        )

    @routes.get("/metrics", summary="Metrics", response_class=Response, responses={**_METRICS, **refusals()})
    async def show_metrics() -> Response:
        """For Prometheus, which may bring the API key as a bearer token."""
        return Response(metrics.text(core.all()), media_type=CONTENT_TYPE)

    return routes
