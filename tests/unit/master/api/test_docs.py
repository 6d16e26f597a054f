"""Swagger UI works with no internet, and the OpenAPI document tells what is so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from nodepass.master.api.docs import ASSETS

if TYPE_CHECKING:
    import httpx


async def test_the_page_needs_nothing_from_elsewhere(stranger: httpx.AsyncClient) -> None:
    page = await stranger.get("/docs")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert not re.search(r"https?:|//[a-z]", page.text.replace("// ", ""))
    assert '"validatorUrl": null' in page.text
    named = set(re.findall(r'(?:src|href)="(.*?)"', page.text))
    assert named == {f"docs/{name}" for name in ASSETS}
    for name, kind in ASSETS.items():
        file = await stranger.get(f"/docs/{name}")
        assert file.status_code == 200
        assert file.headers["content-type"].startswith(kind)
        assert len(file.content) > 1000
        # A style sheet could ask for more, such as fonts.
        assert not re.search(rb"(?:url\(|@import ?)['\"]?https?:", file.content) or kind == "text/javascript"


async def test_the_document_has_every_route_once(stranger: httpx.AsyncClient) -> None:
    document = (await stranger.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert {path: set(operations) for path, operations in document["paths"].items()} == {
        "/api/v1/instances": {"get", "post"},
        "/api/v1/instances/{id}": {"get", "patch", "put", "delete"},
        "/api/v1/events": {"get"},
        "/api/v1/info": {"get", "post"},
        "/api/v1/tcping": {"get"},
        "/api/v1/metrics": {"get"},
        "/healthz": {"get"},
        "/ready": {"get"},
    }


async def test_the_document_tells_of_the_key_and_of_no_422(stranger: httpx.AsyncClient) -> None:
    document = (await stranger.get("/openapi.json")).json()
    assert document["security"] == [{"key": []}]
    assert document["components"]["securitySchemes"]["key"] == {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    operations: list[dict[str, Any]] = [each for path in document["paths"].values() for each in path.values()]
    for operation in operations:
        assert ("401" in operation["responses"]) == (operation.get("security") != [])
        assert "422" not in operation["responses"]
    assert "HTTPValidationError" not in document["components"]["schemas"]
    instance = document["components"]["schemas"]["InstanceAnswer"]
    assert set(instance["required"]) == set(instance["properties"])
