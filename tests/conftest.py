"""Options and fixtures of all tests."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import hypothesis
import pytest

from tests.harness.debug_loops import LOOPS, DebugLoops

if TYPE_CHECKING:
    from collections.abc import Iterator

# How long one example takes says something about the machine, not about what is tested.
hypothesis.settings.register_profile("nodepass", deadline=None)
hypothesis.settings.load_profile("nodepass")

WATCHING = pytest.StashKey[DebugLoops]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--debug-loops",
        choices=LOOPS,
        help="run product processes on this event loop in asyncio's debug mode, and watch them",
    )


def pytest_configure(config: pytest.Config) -> None:
    if loop := config.getoption("--debug-loops"):
        watching = config.stash[WATCHING] = DebugLoops(loop)
        config.add_cleanup(watching.close)


@pytest.fixture(autouse=True)
def _loops_of_this_test(pytestconfig: pytest.Config) -> Iterator[None]:
    yield
    if WATCHING in pytestconfig.stash:
        pytestconfig.stash[WATCHING].check()


@pytest.fixture(autouse=True, scope="session")
def _loops_at_the_end(pytestconfig: pytest.Config) -> Iterator[None]:
    """What a process of many tests does when it is ended."""
    yield
    if WATCHING in pytestconfig.stash:
        pytestconfig.stash[WATCHING].check()


@pytest.fixture
def many_files() -> Iterator[None]:
    """As many descriptors as this process may have: where it got 1024, they would not do for thousands of connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
