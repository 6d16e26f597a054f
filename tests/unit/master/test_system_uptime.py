"""How long the machine has been up is told by a clock that nobody can set."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from nodepass.master.system import System

if TYPE_CHECKING:
    import pytest


def test_uptime_does_not_jump_with_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    system = System()
    before, now = system.uptime, time.time
    for hour in (3600, -3600):
        monkeypatch.setattr(time, "time", lambda hour=hour: now() + hour)
        assert abs(system.uptime - before) < 60
