"""The dashboard's door over a fake core, called without a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from nodepass.config import MasterConfig, parse_url
from nodepass.log import NONE, Log
from nodepass.master.api.app import Parts, make_app
from nodepass.master.events import EventHub
from nodepass.master.front import Backend, Front
from nodepass.master.info import Info
from nodepass.master.metrics import Metrics
from nodepass.master.recent import Recent
from nodepass.master.system import System
from nodepass.master.tcping import Tcping
from nodepass.net.dns import Resolver
from nodepass.net.tasks import Tasks
from tests.unit.master.api.fake import FakeCore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp

BASE = "http://master:9090"


@pytest.fixture
async def core() -> FakeCore:
    return FakeCore(2)


@pytest.fixture
async def backend(core: FakeCore) -> Backend:
    config = parse_url("master://127.0.0.1:9090/api?log=none")
    assert isinstance(config, MasterConfig)
    log = Log(NONE)
    parts = Parts(core, Info(config, System()), Tcping(Resolver(0, log, Tasks(log)), log), Metrics(), log)
    return Backend(config, parts, Recent(EventHub(core.all), 5.0))


@pytest.fixture
async def app(backend: Backend) -> AsyncIterator[ASGIApp]:
    front = Front(make_app("/api", backend.parts), backend)
    yield front
    await front.close()


@pytest.fixture
async def browser(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=BASE) as client:
        yield client
