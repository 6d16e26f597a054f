"""The OpenAPI document and Swagger UI, whose files come from an installed package: no browser asks anybody else."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastapi import APIRouter, FastAPI, HTTPException
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.openapi.utils import get_openapi
from starlette.responses import FileResponse, HTMLResponse, Response

from nodepass.master.api.answers import Json
from nodepass.master.api.health import PATHS
from nodepass.master.api.texts import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

DOCUMENT: Final = "/openapi.json"
PAGE: Final = "/docs"

ASSETS: Final[Mapping[str, str]] = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}
"""The files of the page, and what they are."""

FOLDER: Final = Path(str(files("fastapi_offline"))) / "static"

CONTENT_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
)
"""The browser is to load nothing from elsewhere; the page's script and styles stand in it."""

SECURITY: Final[Mapping[str, Mapping[str, str]]] = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
}


def docs_routes(app: FastAPI) -> APIRouter:
    """The routes of the document and the page; they need no key."""
    routes = APIRouter(include_in_schema=False)

    @routes.get(DOCUMENT)
    async def document() -> Response:
        return Json(to_json(openapi_document(app)))

    @routes.get(PAGE)
    async def page() -> HTMLResponse:
        # All addresses are relative: the page works behind a proxy that adds a path of its own.
        answer = get_swagger_ui_html(
            openapi_url=DOCUMENT.removeprefix("/"),
            title=app.title,
            swagger_js_url="docs/swagger-ui-bundle.js",
            swagger_css_url="docs/swagger-ui.css",
            swagger_favicon_url="docs/favicon.png",
            # Else the page asks a public validator about the document.
            swagger_ui_parameters={"validatorUrl": None, "persistAuthorization": False},
        )
        answer.headers["Content-Security-Policy"] = CONTENT_POLICY
        return answer

    @routes.get(PAGE + "/{name}")
    async def asset(name: str) -> FileResponse:
        if name not in ASSETS:
            raise HTTPException(404, "no such file")
        return FileResponse(FOLDER / name, media_type=ASSETS[name], headers={"Cache-Control": "max-age=86400"})

    return routes


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI 3.1 document of the routes, made once."""
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        document["components"]["securitySchemes"] = SECURITY
        document["security"] = [{"key": []}]
        for path, operations in document["paths"].items():
            for operation in operations.values():
                # What FastAPI would answer to a wrong request; here, that is 400.
                operation["responses"].pop("422", None)
                if path in PATHS:
                    operation["security"] = []
                elif path.endswith("/metrics"):
                    operation["security"] = [{"key": []}, {"bearer": []}]
        for name in ("HTTPValidationError", "ValidationError"):
            document["components"]["schemas"].pop(name, None)
        app.openapi_schema = document
    return app.openapi_schema
