"""The systemd unit, as systemd's own tools judge it. Nothing is started."""

from __future__ import annotations

import os
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


def commands_of(*settings: str) -> list[list[str]]:
    """The arguments of nodepass in the unit's lines of these settings."""
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    programs = tuple(f"{setting}={INSTALLED} " for setting in settings)
    return [line.split()[1:] for line in lines if line.startswith(programs)]


def test_the_command_is_one() -> None:
    commands = commands_of("ExecStart", "ExecReload")
    assert [command[0] for command in commands] == ["run", "check"]
    for command in commands:
        help_text = subprocess.run(
            [sys.executable, "-m", "nodepass", command[0], "--help"], capture_output=True, text=True, check=True
        ).stdout
        assert all(option in help_text for option in command if option.startswith("--"))


@pytest.mark.parametrize(("mode", "code"), [(1, 0), (7, 2)])
def test_a_reload_is_refused_for_an_error_and_not_for_a_credential(tmp_path: Path, mode: int, code: int) -> None:
    """systemd gives `ExecReload` no folder of credentials."""
    (tmp_path / "web.toml").write_text(f"""\
[tunnels.web]
role = "server"
tunnel = "127.0.0.1:10101"
targets = "127.0.0.1:8080"
mode = {mode}
tls = 1
strict = true
tunnel_key_credential = "tunnel-key"
""")
    (check,) = commands_of("ExecReload")
    arguments = [word.replace("/etc/nodepass/%i", str(tmp_path / "web")) for word in check]
    environ = {name: value for name, value in os.environ.items() if name != "CREDENTIALS_DIRECTORY"}
    done = subprocess.run(
        [sys.executable, "-m", "nodepass", *arguments], env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == code, done.stdout + done.stderr
