"""Lines that somebody else can cause as often as he likes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nodepass import log
from nodepass.log import INFO
from tests.unit.relay.fakes import Lines

if TYPE_CHECKING:
    import pytest

PERIOD = 0.05


async def until(lines: Lines, count: int) -> None:
    """Wait until there are so many."""
    async with asyncio.timeout(10):
        while len(lines.lines) < count:
            turn = asyncio.Event()
            asyncio.get_running_loop().call_later(PERIOD / 10, turn.set)
            await turn.wait()


async def test_the_first_come_at_once_and_the_last_of_a_period_says_how_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "SELDOM_PERIOD", PERIOD)
    lines = Lines()
    for burst, at_once in ((1, ["a 0"]), (3, ["b 0", "b 1", "b 2"])):
        kind = at_once[0][0]
        lines.lines.clear()
        for number in range(10):
            lines.log.seldom(kind, INFO, "%s %d", kind, number, burst=burst)
        assert lines.lines == at_once
        await until(lines, burst + 1)
        assert lines.lines[burst:] == [f"{kind} 9 (and {9 - burst} more like it)"]
        # As long as they go on, there is one a period.
        lines.log.seldom(kind, INFO, "%s %s", kind, "again", burst=burst)
        lines.log.seldom(kind, INFO, "%s %s", kind, "and again", burst=burst)
        assert len(lines.lines) == burst + 1
        await until(lines, burst + 2)
        assert lines.lines[-1] == f"{kind} and again (and 1 more like it)"


async def test_kinds_are_apart() -> None:
    lines = Lines()
    for number in range(3):
        lines.log.seldom(str(number), INFO, "%d", number)
    assert lines.lines == ["0", "1", "2"]
