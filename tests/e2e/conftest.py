"""Fixtures of the end-to-end tests, and the mark of those that run over every pool transport."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nodepass.config import PoolTransport
from tests.harness import Runner

if TYPE_CHECKING:
    from collections.abc import Iterator

MARK = "every_transport"

OFFERED = list(PoolTransport)

ALWAYS_ENCRYPTED = {PoolTransport.QUIC, PoolTransport.HTTP2}


@pytest.fixture
def np(request: pytest.FixtureRequest) -> Iterator[Runner]:
    """Starts nodepass processes; they end with the test."""
    runner = Runner(getattr(request, "param", PoolTransport.TCP))
    try:
        yield runner
    finally:
        runner.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "np" in metafunc.fixturenames and metafunc.definition.get_closest_marker(MARK):
        metafunc.parametrize("np", OFFERED, indirect=True, ids=lambda transport: transport.name.lower())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    repeated = [item for item in items if isinstance(item, pytest.Function) and repeats(item)]
    if repeated:
        config.hook.pytest_deselected(items=repeated)
        items[:] = [item for item in items if item not in repeated]


def repeats(item: pytest.Function) -> bool:
    """Whether a case is the same over this transport as another: a forwarder has none, QUIC and HTTP/2 are never plain."""
    values = item.callspec.params if hasattr(item, "callspec") else {}
    transport = values.get("np", PoolTransport.TCP)
    if transport is PoolTransport.TCP:
        return False
    if any(value == "single" or (isinstance(value, str) and "single" in value.split()) for value in values.values()):
        return True
    encrypted = values.get("tls") == 1 or str(values.get("setup")).endswith(" tls")
    return encrypted and transport in ALWAYS_ENCRYPTED
