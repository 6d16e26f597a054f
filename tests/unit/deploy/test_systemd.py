"""The systemd unit, as systemd's own tools judge it. Nothing is started."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
UNIT = ROOT / "deploy" / "systemd" / "nodepass@.service"
INSTALLED = "/opt/nodepass/bin/nodepass"
WORST_EXPOSURE = 2.0
"""Of 10; a service that talks to the network cannot come to much less."""

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """An instance of the unit, whose program is there."""
    text = UNIT.read_text(encoding="utf-8")
    assert INSTALLED in text
    path = tmp_path / "nodepass@web.service"
    path.write_text(text.replace(INSTALLED, sys.executable))
    return path


def analyze(*arguments: str) -> str:
    done = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout


@needs_systemd
def test_systemd_finds_nothing_wrong(unit: Path) -> None:
    assert analyze("verify", "--man=no", str(unit)) == ""


@needs_systemd
def test_what_systemd_would_find(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("RestartSec=2", "RestartSecs=2"))
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
    assert "RestartSecs" in done.stderr


@needs_systemd
def test_little_is_exposed(unit: Path) -> None:
    told = analyze("security", "--offline=yes", "--no-pager", str(unit))
    (exposure,) = re.findall(r"Overall exposure level for \S+: ([0-9.]+)", told)
    assert float(exposure) <= WORST_EXPOSURE


def test_the_command_is_one() -> None:
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    commands = [line.split()[1:] for line in lines if line.startswith(("ExecStart=", "ExecReload=/opt"))]
    assert [command[0] for command in commands] == ["run", "check"]
    for command in commands:
        help_text = subprocess.run(
            [sys.executable, "-m", "nodepass", command[0], "--help"], capture_output=True, text=True, check=True
        ).stdout
        assert all(option in help_text for option in command if option.startswith("--"))
