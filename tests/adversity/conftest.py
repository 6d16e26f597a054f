"""Fixtures of the adversity tests, and how many of their cases run.

Without more, a sample of the faults runs in which each fault and each transport occurs. With `NODEPASS_ADVERSITY=long`, as
`python -m tests.adversity --long` sets it, each fault runs over each kind of tunnel.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.harness import Runner

if TYPE_CHECKING:
    from collections.abc import Iterator

TCP_MEMORY: Final = Path("/proc/sys/net/ipv4/tcp_mem")
"""Pages that all TCP connections of the machine may take together: few, under pressure, at most."""


@pytest.fixture
def np() -> Iterator[Runner]:
    """Starts nodepass processes; they end with the test."""
    runner = Runner()
    try:
        yield runner
    finally:
        runner.close()


@pytest.fixture
def tcp_memory() -> Iterator[None]:
    """Let the machine queue four times as much for TCP, if it may be told: users, tunnel and targets are all on it.

    Where the limit is reached the system breaks connections, of whomever.
    """
    before = TCP_MEMORY.read_text()
    more = " ".join(str(4 * int(pages)) for pages in before.split())
    try:
        with suppress(OSError):
            TCP_MEMORY.write_text(more)
        yield
    finally:
        with suppress(OSError):
            TCP_MEMORY.write_text(before)
