"""What takes time at a start, and what is not the contender's."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from bench.contenders import V1
from bench.loads import starts
from bench.loads.starts import FirstByte, Version
from bench.model import BenchError, Command, NotOfferedError, Ports, Setup, Target
from bench.ports import PortMaker
from bench.stage import Stage
from bench.targets import Targets
from tests.unit.bench.test_runner import Fake

if TYPE_CHECKING:
    from pathlib import Path


class Slow(Fake):
    """Tells when its commands are made."""

    def __init__(self, events: list[str]) -> None:
        super().__init__("slow")
        self._events = events

    def commands(self, setup: Setup, ports: Ports, folder: Path) -> tuple[Command, ...]:
        self._events.append("commands")
        return (Command("sleeps", (sys.executable, "-c", "import sys; sys.stdin.read()")),)


class Clock:
    """Tells when it is looked at."""

    def __init__(self, events: list[str]) -> None:
        self._events = events

    def perf_counter(self) -> float:
        self._events.append("clock")
        return 0.0


def test_the_clock_starts_when_certificates_have_been_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    monkeypatch.setattr(starts, "time", Clock(events))
    with Targets(PortMaker().next(), tmp_path) as targets:
        targets.need(Target.ECHO)
        # Users come to the target itself.
        stage = Stage(Slow(events), Setup(), Ports(targets.port, 1, targets.port), targets, tmp_path, 1)
        try:
            FirstByte().measure(stage)
        finally:
            stage.stop()
    assert events[:2] == ["commands", "clock"]
    assert events.count("commands") == 1


class Printer(Fake):
    """Its command for the version is this script."""

    def __init__(self, script: str) -> None:
        super().__init__("printer")
        self._script = script

    def version(self) -> tuple[str, ...]:
        return (sys.executable, "-c", self._script)


def stage_of(contender: Fake | V1, folder: Path) -> Stage:
    return Stage(contender, Setup(), Ports(1, 2, 3), Targets(3, folder), folder, 1)


def test_an_error_is_no_version(tmp_path: Path) -> None:
    assert Version().measure(stage_of(Printer("print('1.2.3')"), tmp_path)).values["--version"] > 0
    with pytest.raises(BenchError, match="ended with 3: b'wrong"):
        Version().measure(stage_of(Printer("import sys; sys.stderr.write('wrong'); sys.exit(3)"), tmp_path))


def test_v1_has_no_version(tmp_path: Path) -> None:
    with pytest.raises(NotOfferedError, match="v1 has no --version"):
        Version().measure(stage_of(V1("/program"), tmp_path))
