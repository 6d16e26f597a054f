"""/healthz and /ready: what a supervisor is told, and that it is told no more."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from nodepass.master.model import Status
from tests.unit.master.api.test_instances import error_of

if TYPE_CHECKING:
    import httpx

    from tests.unit.master.api.fake import FakeCore

ROOT = "http://master"


def set_status(core: FakeCore, id_: str, status: Status) -> None:
    core.instances[id_] = replace(core.instances[id_], status=status)


async def test_a_master_that_is_well_says_so_to_strangers(stranger: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/ready"):
        answer = await stranger.get(ROOT + path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/healthz/", "/ready/x", "/api/ready", "/readyx", "/"])
async def test_nothing_beside_them_is_open(stranger: httpx.AsyncClient, path: str) -> None:
    error_of(await stranger.get(ROOT + path), 401)


async def test_an_instance_in_error_is_counted_and_not_named(stranger: httpx.AsyncClient, core: FakeCore) -> None:
    set_status(core, "00000001", Status.ERROR)
    assert error_of(await stranger.get(f"{ROOT}/ready"), 503) == "1 of 2 instances are in error"
    assert (await stranger.get(f"{ROOT}/healthz")).status_code == 200
    set_status(core, "00000001", Status.STOPPED)
    assert (await stranger.get(f"{ROOT}/ready")).status_code == 200


async def test_the_document_says_that_they_need_no_key(stranger: httpx.AsyncClient) -> None:
    paths = (await stranger.get("/openapi.json")).json()["paths"]
    for path in ("/healthz", "/ready"):
        assert paths[path]["get"]["security"] == []
    assert set(paths["/ready"]["get"]["responses"]) == {"200", "503"}
