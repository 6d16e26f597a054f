"""What every request passes: the key, cross-origin requests, and errors that nobody foresaw."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from nodepass.log import INFO, Log
from nodepass.master.api.edge import Edge, KeyCheck
from tests.unit.master.api.fake import KEY, FakeCore
from tests.unit.master.api.test_instances import error_of

if TYPE_CHECKING:
    import httpx
    from starlette.types import Receive, Scope, Send

KEYED = [
    ("GET", "/instances"),
    ("POST", "/instances"),
    ("GET", "/instances/00000001"),
    ("PATCH", "/instances/00000001"),
    ("PUT", "/instances/00000001"),
    ("DELETE", "/instances/00000001"),
    ("GET", "/instances/********"),
    ("GET", "/events"),
    ("GET", "/info"),
    ("POST", "/info"),
    ("GET", "/tcping?target=127.0.0.1:1"),
    ("GET", "/metrics"),
    ("GET", "/nothing"),
    ("GET", "/docs2"),
    ("GET", "/"),
]

WRONG_KEYS = [
    {},
    {"X-API-Key": ""},
    {"X-API-Key": KEY[:-1]},
    {"X-API-Key": KEY + "0"},
    {"X-API-Key": "\u00e9\u00ff"},
    {"Authorization": f"Basic {KEY}"},
    {"Cookie": f"X-API-Key={KEY}"},
]


@pytest.mark.parametrize(("method", "path"), KEYED)
@pytest.mark.parametrize("base", ["http://master/api", "http://master/api/v1"])
async def test_without_the_key_nothing_is_told(stranger: httpx.AsyncClient, method: str, path: str, base: str) -> None:
    for headers in WRONG_KEYS:
        coded = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        # Not even whether the body is right.
        answer = await stranger.request(method, base + path, headers=coded, content=b"{")
        assert "API key" in error_of(answer, 401)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_a_bearer_token_opens_the_metrics_only(stranger: httpx.AsyncClient, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {KEY}"}
    assert (await stranger.get("/metrics", headers=headers)).status_code == 200
    assert (await stranger.get("http://master/api/metrics", headers=headers)).status_code == 200
    error_of(await stranger.get("/instances", headers=headers), 401)
    error_of(await stranger.get("/metrics", headers={"Authorization": f"{scheme} {KEY}0"}), 401)


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/docs/swagger-ui.css"])
async def test_the_documents_need_no_key(stranger: httpx.AsyncClient, path: str) -> None:
    assert (await stranger.get(path)).status_code == 200
    assert (await stranger.get(f"http://master/api{path}")).status_code == 200


async def test_a_browser_is_let_in_from_anywhere(stranger: httpx.AsyncClient) -> None:
    asked = {
        "Origin": "https://dash.example",
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "content-type, x-api-key",
    }
    answer = await stranger.options("/instances/00000001", headers=asked)
    assert answer.status_code == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    methods = set(answer.headers["access-control-allow-methods"].split(", "))
    assert methods == {"GET", "PATCH", "POST", "PUT", "DELETE", "OPTIONS"}
    headers = set(answer.headers["access-control-allow-headers"].split(", "))
    assert headers == {"Content-Type", "Authorization", "X-API-Key", "Cache-Control"}


async def test_a_browser_sees_errors_and_answers(api: httpx.AsyncClient, stranger: httpx.AsyncClient) -> None:
    for answer in (await api.get("/instances"), await stranger.get("/instances"), await api.get("/nothing")):
        assert answer.headers.get_list("access-control-allow-origin") == ["*"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/instances/", 404),
        ("GET", "http://master/", 404),
        ("GET", "http://master/other/v1/instances", 404),
        ("GET", "/docs/../schema.py", 404),
        ("GET", "/docs/redoc.standalone.js", 404),
        ("DELETE", "/instances", 405),
        ("TRACE", "/instances", 405),
        ("POST", "/events", 405),
    ],
)
async def test_what_is_not_there_is_told_in_the_same_shape(
    api: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    error_of(await api.request(method, path), status)


async def test_an_error_that_nobody_foresaw(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(scope: Scope, _: Receive, send: Send) -> None:
        if scope["path"] == "/late":
            await send({"type": "http.response.start", "status": 200, "headers": []})
        message = f"{KEY} is secret"
        raise RuntimeError(message)

    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    log = Log(INFO, logging.getLogger("nodepass.test"))
    edge = Edge(broken, KeyCheck(FakeCore().master, lambda _: True, lambda _: False), log)
    await edge({"type": "http", "method": "GET", "path": "/", "headers": []}, None, send)  # type: ignore[arg-type]
    assert [message.get("status") for message in sent] == [500, None]
    assert sent[1]["body"] == b'{"error":"internal error; the master\'s log says more"}'
    sent.clear()
    # Once it has begun, no second answer follows: the web server breaks it off.
    await edge({"type": "http", "method": "GET", "path": "/late", "headers": []}, None, send)  # type: ignore[arg-type]
    assert [message["type"] for message in sent] == ["http.response.start"]
    (line,) = caplog.messages
    assert line.startswith("Request failed: GET /: RuntimeError in broken")


async def test_who_causes_errors_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError

    async def send(_: object) -> None:
        pass

    edge = Edge(broken, KeyCheck(FakeCore().master, lambda _: True, lambda _: False), Log(INFO))
    for _ in range(20):
        await edge({"type": "http", "method": "GET", "path": "/" * 60_000, "headers": []}, None, send)  # type: ignore[arg-type]
    (line,) = caplog.messages
    assert len(line) < 500
    assert KEY not in caplog.text
