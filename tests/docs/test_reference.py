"""What the site takes from the code is whole, and no public name is left out."""

from __future__ import annotations

import re

import nodepass
from nodepass import errors
from sitegen import commands, interface, tables
from sitegen.errors import exceptions
from tests.docs.pages import ROOT


def test_every_route_and_shape_is_there() -> None:
    document, routes, schemas = interface.document(), interface.routes(), interface.schemas()
    for path, operations in document["paths"].items():
        for method in operations:
            assert f"### `{method.upper()} {path}`" in routes
    for name in document["components"]["schemas"]:
        assert f"### {name}\n" in schemas
    for name in re.findall(r"`([A-Z]\w+[a-z])`", routes):
        assert f"### {name}\n" in schemas


def test_every_metric_is_there() -> None:
    metrics = interface.metrics()
    assert "| `nodepass_instances` | gauge |" in metrics
    assert "| `nodepass_instance_tcp_received_bytes_total` | counter |" in metrics
    assert "python_gc" not in metrics


def test_every_command_is_there() -> None:
    text = commands.commands()
    for name in ("nodepass", "nodepass demo", "nodepass genkey", "nodepass ctl", "nodepass ctl add", "nodepass ctl tcping"):
        assert f"### `{name}`\n" in text
    assert "--seconds N" in text
    assert "-h, --help" in text
    assert "\b" not in text


def test_every_exception_is_there() -> None:
    lines = exceptions()
    names = {name for name in vars(errors) if isinstance(getattr(errors, name), type)}
    assert all(re.search(rf"- `nodepass\.(errors\.)?{name}`: \S", lines) for name in names)


def test_every_public_name_is_documented() -> None:
    page = (ROOT / "docs" / "reference" / "python.md").read_text(encoding="utf-8") + exceptions()
    for name in nodepass.__all__:
        if name != "__version__":
            assert f"nodepass.{name}" in page, name


def test_tables() -> None:
    assert "| `tls` | expected" not in tables.values()
    assert "| `tls` | 0, 1 or 2 |" in tables.values()
    assert "| `min` |" in tables.parameters()
    assert "| `NP_REPORT_INTERVAL` |" in tables.variables()
