"""The routes by which a supervisor asks how the master does: no key, and nothing told that is not for everybody."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter
from starlette.responses import Response  # noqa: TC002 - FastAPI looks at the annotations of routes

from nodepass.master.api.answers import Json, refusal
from nodepass.master.api.schema import ErrorAnswer, HealthAnswer
from nodepass.master.api.texts import to_json
from nodepass.master.model import Status

if TYPE_CHECKING:
    from nodepass.master.api.core import Core

LIVENESS: Final = "/healthz"
READINESS: Final = "/ready"
PATHS: Final = frozenset({LIVENESS, READINESS})
"""Under no prefix: whoever writes a probe need not know it."""


def health_routes(core: Core) -> APIRouter:
    """The routes of both."""
    routes = APIRouter(tags=["health"])

    @routes.get(LIVENESS, summary="Does the master live?", response_model=HealthAnswer)
    async def live() -> Response:
        """The process answers. Whoever does not hear this may start it anew."""
        return Json(to_json({"status": "ok"}))

    @routes.get(
        READINESS,
        summary="Does everything run?",
        response_model=HealthAnswer,
        responses={503: {"model": ErrorAnswer, "description": "Some instances are in error"}},
    )
    async def ready() -> Response:
        """The state has been read, and no instance is in error; one that somebody has stopped is as it should be."""
        instances = core.all()
        failed = sum(instance.status is Status.ERROR for instance in instances)
        if failed:
            return refusal(HTTPStatus.SERVICE_UNAVAILABLE, f"{failed} of {len(instances)} instances are in error")
        return Json(to_json({"status": "ok"}))

    return routes
