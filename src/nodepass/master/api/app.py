"""The API as one ASGI application: routes under `<prefix>/v1`, as existing front ends call them, and under `<prefix>`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI

from nodepass.master.api.answers import handle_errors
from nodepass.master.api.docs import DOCUMENT, PAGE, docs_routes
from nodepass.master.api.edge import Edge, KeyCheck
from nodepass.master.api.events import event_routes
from nodepass.master.api.health import PATHS, health_routes
from nodepass.master.api.instances import instance_routes
from nodepass.master.api.machine import machine_routes
from nodepass.master.api.texts import InstanceTexts
from nodepass.version import __version__

if TYPE_CHECKING:
    from nodepass.log import Log
    from nodepass.master.api.core import Core
    from nodepass.master.info import Info
    from nodepass.master.metrics import Metrics
    from nodepass.master.tcping import Tcping

VERSION_PATH = "/v1"


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes answer from.

    Args:
        core: runs instances.
        info: knows the machine.
        tcping: tries connections.
        metrics: counts.
        log: of the master.
    """

    core: Core
    info: Info
    tcping: Tcping
    metrics: Metrics
    log: Log


def make_app(prefix: str, parts: Parts) -> Edge:
    """Make the application.

    Args:
        prefix: the path under which it answers, with a slash in front and none behind.
        parts: what it answers from.
    """
    app = make_routes(prefix, parts)
    bases = (prefix, prefix + VERSION_PATH)
    open_paths = {base + DOCUMENT for base in bases} | {base + PAGE for base in bases} | PATHS
    files = tuple(f"{base}{PAGE}/" for base in bases)
    metrics = {f"{base}/metrics" for base in bases}
    keys = KeyCheck(
        parts.core.master, lambda path: path in open_paths or path.startswith(files), lambda path: path in metrics
    )
    return Edge(app, keys, parts.log)


def make_routes(prefix: str, parts: Parts) -> FastAPI:
    """The routes and their errors, without what stands in front of them."""
    app = FastAPI(
        title="nodepass master",
        version=__version__,
        description="Runs tunnel servers and clients. Every path answers without `/v1` as well.",
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # It would cost time in every request, and hand requests to whatever exporter the environment names.
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False, "auto_configure": False},
    )
    handle_errors(app)
    texts = InstanceTexts()
    routes = APIRouter()
    routes.include_router(instance_routes(parts.core, texts))
    routes.include_router(event_routes(parts.core, texts))
    routes.include_router(machine_routes(parts.core, parts.info, parts.tcping, parts.metrics))
    routes.include_router(docs_routes(app))
    app.include_router(routes, prefix=prefix + VERSION_PATH)
    app.include_router(routes, prefix=prefix, include_in_schema=False)
    app.include_router(health_routes(parts.core))
    return app
