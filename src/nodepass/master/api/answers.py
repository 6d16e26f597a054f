"""Answers: JSON that is written already, and errors in their one shape, `{"error": "<text>"}`."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from nodepass.errors import ConfigError, MasterError, NodePassError, SameUrlError, StateError, UnknownInstanceError
from nodepass.master.api.schema import ErrorAnswer
from nodepass.master.api.texts import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI, Request

STATUS_OF: Final[Mapping[type[NodePassError], HTTPStatus]] = {
    ConfigError: HTTPStatus.BAD_REQUEST,
    UnknownInstanceError: HTTPStatus.NOT_FOUND,
    SameUrlError: HTTPStatus.CONFLICT,
    StateError: HTTPStatus.SERVICE_UNAVAILABLE,
    MasterError: HTTPStatus.SERVICE_UNAVAILABLE,
}
"""How each error of the core is told."""

REASONS: Final = {
    400: "The request is wrong",
    401: "The API key is missing or wrong",
    403: "Not with the entry that holds the API key",
    404: "No such instance",
    409: "The instance has this URL",
    413: "The body is too large",
    503: "The change cannot be stored; nothing has changed",
}


class Json(Response):
    """JSON that is written already."""

    media_type = "application/json"


def refusal(status: int, text: str, headers: Mapping[str, str] | None = None) -> Json:
    """An error."""
    return Json(to_json({"error": text}), status, headers)


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors that a route may answer with, for the OpenAPI document; each may answer with 401."""
    return {status: {"model": ErrorAnswer, "description": REASONS[status]} for status in sorted({401, *statuses})}


def handle_errors(app: FastAPI) -> None:
    """Tell every error that requests cause in the same shape."""
    for kind in (HTTPException, RequestValidationError, *STATUS_OF):
        app.add_exception_handler(kind, _answer_error)


async def _answer_error(_: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return refusal(error.status_code, error.detail, error.headers)
    if isinstance(error, RequestValidationError):
        return refusal(HTTPStatus.BAD_REQUEST, _what_is_wrong(error))
    return refusal(next(status for kind, status in STATUS_OF.items() if isinstance(error, kind)), str(error))


def _what_is_wrong(error: RequestValidationError) -> str:
    """Say which members are wrong and why, in one line and without their values: one may be a URL with its key."""
    return "; ".join(dict.fromkeys(_problem(problem) for problem in error.errors()))


def _problem(problem: Mapping[str, Any]) -> str:
    # The first part of the place is `body` or `query`; numbers and `[key]` say more to pydantic than to a person.
    names = [str(part) for part in problem["loc"][1:] if isinstance(part, str) and part != "[key]"]
    where = ".".join(names).encode(errors="replace").decode() or "the body"
    return f"{where}: {problem['msg'][:1].lower()}{problem['msg'][1:]}"
