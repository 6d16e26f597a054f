"""The master's REST API and its metrics, as Markdown, from what the master itself would answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from prometheus_client.parser import text_string_to_metric_families

from nodepass.config import parse_url
from nodepass.log import NONE, Log
from nodepass.master.api.app import Parts, make_routes
from nodepass.master.api.docs import openapi_document
from nodepass.master.info import Info
from nodepass.master.metrics import Metrics
from nodepass.master.system import System
from nodepass.master.tcping import Tcping
from nodepass.net.dns import Resolver
from nodepass.net.tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from nodepass.config import MasterConfig

PREFIX = "/api"


class _NoCore:
    """Stands where the routes have the instances: to be described, no route needs any."""

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(name)


def document() -> dict[str, Any]:
    """The OpenAPI document of a master with the default prefix."""
    config = cast("MasterConfig", parse_url(f"master://127.0.0.1:9090{PREFIX}?log=none"))
    log = Log(NONE)
    core: Any = _NoCore()
    parts = Parts(core, Info(config, System()), Tcping(Resolver(0, log, Tasks(log)), log), Metrics(), log)
    return openapi_document(make_routes(PREFIX, parts))


def routes() -> str:
    """A section for each path and method."""
    return "\n".join(_routes(document()))


def _routes(described: Mapping[str, Any]) -> Iterator[str]:
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            yield f"### `{method.upper()} {path}`\n"
            yield f"{operation['summary']}. {operation.get('description', '')}\n"
            yield from _parameters(operation.get("parameters", ()))
            if body := operation.get("requestBody"):
                yield f"Body: {_schema_name(body['content']['application/json']['schema'])}.\n"
            yield from _answers(operation["responses"])


def _parameters(described: Any) -> Iterator[str]:
    for parameter in described:
        where = "in the path" if parameter["in"] == "path" else f"in the {parameter['in']}"
        meaning = parameter.get("description", "")
        yield f"- `{parameter['name']}`, {where}{': ' if meaning else ''}{meaning}"
    yield ""


def _answers(described: Mapping[str, Any]) -> Iterator[str]:
    yield "| status | answer |"
    yield "|---|---|"
    for status, answer in described.items():
        shapes = [_schema_name(content.get("schema", {})) for content in answer.get("content", {}).values()]
        # Errors are described by what they mean, answers by what they are.
        shown = [answer["description"].rstrip("."), *(shape for shape in shapes if shape not in {"text", ""})]
        yield f"| {status} | {', '.join(shown)} |"
    yield ""


def schemas() -> str:
    """A section for each shape of JSON."""
    return "\n".join(_schemas(document()["components"]["schemas"]))


def _schemas(described: Mapping[str, Any]) -> Iterator[str]:
    for name, schema in described.items():
        yield f"### {name}\n"
        yield f"{schema.get('description', '')}\n"
        if "enum" in schema:
            yield f"One of {', '.join(f'`{value}`' for value in schema['enum'])}.\n"
            continue
        required = set(schema.get("required", ()))
        yield "| member | type | meaning |"
        yield "|---|---|---|"
        for member, shape in schema.get("properties", {}).items():
            needed = "" if member in required else ", may be left out"
            yield f"| `{member}` | {_type(shape)}{needed} | {shape.get('description', '')} |"
        yield ""


def _schema_name(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if schema.get("type") == "array":
        return f"a list of {_schema_name(schema['items'])}"
    return "text" if schema.get("type") == "string" else ""


def _type(shape: Mapping[str, Any]) -> str:
    """What a member is, in few words."""
    if "$ref" in shape:
        return _schema_name(shape)
    if "anyOf" in shape:
        return " or ".join(dict.fromkeys(_type(choice) for choice in shape["anyOf"]))
    values = [shape["const"]] if "const" in shape else shape.get("enum")
    if values is not None:
        return ", ".join(f"`{value}`" if value else "empty" for value in values)
    kind = str(shape.get("type", "any"))
    inner = shape.get("items") or shape.get("additionalProperties")
    return f"{kind} of {_type(inner)}" if inner else kind


def metrics() -> str:
    """One row for each metric that the master itself writes."""
    rows = []
    for family in text_string_to_metric_families(Metrics().text(()).decode()):
        if not family.name.startswith("nodepass_"):
            continue
        name = f"{family.name}_total" if family.type == "counter" else family.name
        rows.append(f"| `{name}` | {family.type} | {family.documentation} |")
    return "\n".join(("| name | type | meaning |", "|---|---|---|", *rows))
