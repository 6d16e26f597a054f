"""How long the machine has been up is told by a clock that nobody can set."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psutil

from nodepass.master.system import Sample, System

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_uptime_does_not_jump_with_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    system = System()
    before, now = system.uptime, time.time
    for hour in (3600, -3600):
        monkeypatch.setattr(time, "time", lambda hour=hour: now() + hour)
        assert abs(system.uptime - before) < 60


def test_a_machine_of_which_nothing_can_be_read_has_no_figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As where there is no /proc."""
    monkeypatch.setattr(psutil, "PROCFS_PATH", str(tmp_path))
    system = System()
    assert system.sample == Sample()
    assert system.uptime > 0
