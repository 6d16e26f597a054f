"""The API over a fake core, called without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from nodepass.config import MasterConfig, parse_url
from nodepass.log import NONE, Log
from nodepass.master.api.app import Parts, make_app
from nodepass.master.info import Info
from nodepass.master.metrics import Metrics
from nodepass.master.system import System
from nodepass.master.tcping import Tcping
from nodepass.net.dns import Resolver
from nodepass.net.tasks import Tasks
from tests.unit.master.api.fake import KEY, FakeCore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nodepass.master.api.edge import Edge

BASE = "http://master/api/v1"


def parts_of(core: FakeCore) -> Parts:
    """What the API answers from."""
    config = parse_url("master://127.0.0.1:9090/api?log=none")
    assert isinstance(config, MasterConfig)
    log = Log(NONE)
    return Parts(core, Info(config, System()), Tcping(Resolver(0, log, Tasks(log)), log), Metrics(), log)


@pytest.fixture
async def core() -> FakeCore:
    return FakeCore(2)


@pytest.fixture
async def app(core: FakeCore) -> Edge:
    return make_app("/api", parts_of(core))


@pytest.fixture
async def stranger(app: Edge) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody without the key."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:
        yield client


@pytest.fixture
async def api(app: Edge) -> AsyncIterator[httpx.AsyncClient]:
    """Somebody who has the key."""
    headers = {"X-API-Key": KEY}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE, headers=headers) as client:
        yield client
