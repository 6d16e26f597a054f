"""Fixtures of the adversity tests, and how many of their cases run.

Without more, a sample of the faults runs in which each fault and each transport occurs. With `NODEPASS_ADVERSITY=long`, as
`python -m tests.adversity --long` sets it, each fault runs over each kind of tunnel.
"""

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
