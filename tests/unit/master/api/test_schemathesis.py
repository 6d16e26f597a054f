"""Schemathesis over the OpenAPI document: no 5xx, and no answer outside its schema, whatever is sent."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from nodepass.log import NONE, Log
from nodepass.master.api.app import make_app
from nodepass.master.model import API_KEY_ID
from nodepass.master.tcping import Result, Tcping
from nodepass.net.dns import Resolver
from nodepass.net.tasks import Tasks
from tests.unit.master.api.conftest import parts_of
from tests.unit.master.api.fake import URL, FakeCore

if TYPE_CHECKING:
    from nodepass.config import Endpoint
    from nodepass.master.api.edge import Edge

CHECKS = [
    not_a_server_error,
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
]


OPERATIONS = [
    ("GET", "/instances"),
    ("POST", "/instances"),
    ("GET", "/instances/{id}"),
    ("PATCH", "/instances/{id}"),
    ("PUT", "/instances/{id}"),
    ("DELETE", "/instances/{id}"),
    ("GET", "/info"),
    ("POST", "/info"),
    ("GET", "/tcping"),
    ("GET", "/metrics"),
]
"""All but the event stream, which has no end."""

HEALTH = [("GET", "/healthz"), ("GET", "/ready")]
"""Those without prefix; nothing can be sent to them."""

EXAMPLES = 60

KNOWN = (None, "00000001", "00000002", "00000003", API_KEY_ID)
URLS = (None, URL, "client://127.0.0.1:7000/127.0.0.1:80?mode=1")


class NoTcping(Tcping):
    """Says of every target that it does not answer: any that is made up might be somebody's."""

    async def ping(self, target: Endpoint) -> Result:
        return Result(connected=False, error=f"cannot connect to {target}")


@pytest.fixture
def core() -> FakeCore:
    """Instances that are made and deleted as the requests say."""

    async def make() -> FakeCore:
        return FakeCore(3)

    return asyncio.run(make())


@pytest.fixture
def document(core: FakeCore) -> schemathesis.BaseSchema:
    """What the API says of itself."""

    async def make() -> Edge:
        log = Log(NONE)
        return make_app("/api", replace(parts_of(core), tcping=NoTcping(Resolver(0, log, Tasks(log)), log)))

    return schemathesis.openapi.from_asgi("/api/v1/openapi.json", asyncio.run(make()))


def test_every_operation_is_tried(document: schemathesis.BaseSchema) -> None:
    operations = [operation.ok() for operation in document.get_all_operations() if isinstance(operation, Ok)]
    found = {(operation.method.upper(), operation.path.removeprefix("/api/v1")) for operation in operations}
    assert found == {*OPERATIONS, ("GET", "/events"), *HEALTH}


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_whatever_is_asked(
    document: schemathesis.BaseSchema, core: FakeCore, method: str, path: str, mode: GenerationMode
) -> None:
    operation = document[f"/api/v1{path}"][method]
    statuses = set()

    @given(case=operation.as_strategy(generation_mode=mode), id_=st.sampled_from(KNOWN), url=st.sampled_from(URLS))
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    def check(case: schemathesis.Case[Any], id_: str | None, url: str | None) -> None:
        # Nobody guesses an ID or a URL: some requests get one that is right.
        if id_ is not None and "id" in (case.path_parameters or {}):
            case.path_parameters["id"] = id_
        if url is not None and isinstance(case.body, dict) and isinstance(case.body.get("url"), str):
            case.body["url"] = url
        answer = case.call_and_validate(headers={"X-API-Key": core.master.api_key.reveal()}, checks=CHECKS)
        statuses.add(answer.status_code)

    check()
    if mode is GenerationMode.POSITIVE:
        assert 401 not in statuses
        assert statuses & {200, 201, 204}
