"""Fixtures of the end-to-end tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.harness import Runner

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def np() -> Iterator[Runner]:
    """Starts nodepass processes; they end with the test."""
    runner = Runner()
    try:
        yield runner
    finally:
        runner.close()
