"""Runs coroutines on each event loop that a link may live on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from tests.unit.transport.links import PAIRS, SHARED

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.unit.transport.links import Pair

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.SelectorEventLoop}
try:
    import uvloop
except ImportError:
    pass
else:
    LOOPS["uvloop"] = uvloop.new_event_loop


@pytest.fixture(params=list(LOOPS.values()), ids=list(LOOPS))
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[object, object, None]], None]:
    """Runs a coroutine to its end; no callback may fail meanwhile."""

    async def clean(work: Coroutine[object, object, None]) -> None:
        failures: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, failure: failures.append(failure))
        try:
            await work
        finally:
            while SHARED:
                SHARED.pop().abort()
        assert not failures

    def run(work: Coroutine[object, object, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(clean(work))

    return run


@pytest.fixture(params=list(PAIRS.values()), ids=list(PAIRS))
def pair(request: pytest.FixtureRequest) -> Pair:
    """Makes two joined links of one transport."""
    made: Pair = request.param
    return made
