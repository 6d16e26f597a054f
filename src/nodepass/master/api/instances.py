"""The routes of instances, and of the entry that holds the API key."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from fastapi import APIRouter, HTTPException
from starlette.responses import Response

from nodepass.errors import ConfigError
from nodepass.master.api.answers import Json, refusals
from nodepass.master.api.json_body import JsonRoute
from nodepass.master.api.schema import InstanceAnswer, InstanceChange, NewInstance, UrlReplacement
from nodepass.master.api.texts import api_key_entry
from nodepass.master.model import API_KEY_ID, Action, Change

if TYPE_CHECKING:
    from nodepass.master.api.core import Core, Identity
    from nodepass.master.api.texts import InstanceTexts


def instance_routes(core: Core, texts: InstanceTexts) -> APIRouter:
    """The routes under `/instances`."""
    routes = APIRouter(prefix="/instances", tags=["instances"], route_class=JsonRoute)

    @routes.get("", summary="List all", response_model=list[InstanceAnswer], responses=refusals())
    async def list_all() -> Response:
        """Every instance in order of creation, and the entry that holds the API key."""
        return Json(texts.list(core.all(), core.master))

    @routes.post("", summary="Create", status_code=201, response_model=InstanceAnswer, responses=refusals(400, 413, 503))
    async def create(body: NewInstance) -> Response:
        """Make an instance of a URL, and start it. Whether it runs shows in its status."""
        return Json(texts.instance(await core.create(body.url, body.alias or "")), HTTPStatus.CREATED)

    @routes.get("/{id}", summary="Show", response_model=InstanceAnswer, responses=refusals(404))
    async def show(id: str) -> Response:  # noqa: A002 - the name in the path
        """One instance, or the API key."""
        if id == API_KEY_ID:
            return Json(api_key_entry(core.master))
        return Json(texts.instance(core.get(id)))

    @routes.patch("/{id}", summary="Change", response_model=InstanceAnswer, responses=refusals(400, 404, 413, 503))
    async def change(id: str, body: InstanceChange) -> Response:  # noqa: A002 - see above
        """Change what is given, then do the action. With the API key's entry, `restart` makes another key."""
        if id == API_KEY_ID:
            await _change_key_entry(core.master, body.to_change())
            return Json(api_key_entry(core.master))
        return Json(texts.instance(await core.change(id, body.to_change())))

    @routes.put(
        "/{id}", summary="Replace the URL", response_model=InstanceAnswer, responses=refusals(400, 403, 404, 409, 413, 503)
    )
    async def replace_url(id: str, body: UrlReplacement) -> Response:  # noqa: A002 - see above
        """Stop an instance, give it another URL, and start it."""
        _refuse_key_entry(id)
        return Json(texts.instance(await core.replace_url(id, body.url)))

    @routes.delete("/{id}", summary="Delete", status_code=204, response_class=Response, responses=refusals(403, 404, 503))
    async def delete(id: str) -> Response:  # noqa: A002 - see above
        """Stop an instance, and forget it."""
        _refuse_key_entry(id)
        await core.delete(id)
        return Response(status_code=HTTPStatus.NO_CONTENT)

    return routes


def _refuse_key_entry(id_: str) -> None:
    if id_ == API_KEY_ID:
        raise HTTPException(HTTPStatus.FORBIDDEN, "the entry that holds the API key can only be shown and changed by PATCH")


async def _change_key_entry(master: Identity, change: Change) -> None:
    """Do to the API key's entry what can be done to it.

    Raises:
        ConfigError: something else is asked, and nothing has been done.
    """
    if change.action not in {None, Action.RESTART}:
        raise ConfigError("action", change.action, "expected restart, which makes another API key")
    if change.alias is not None:
        await master.rename(change.alias)
    if change.action is Action.RESTART:
        await master.renew_key()
