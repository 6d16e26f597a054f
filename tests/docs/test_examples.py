"""The programs of `examples` print what they are meant to, with other ports, and warn of nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.docs.outputs import assert_same
from tests.docs.pages import ROOT
from tests.docs.world import ENVIRONMENT, World

if TYPE_CHECKING:
    from pathlib import Path

MOST_LINES = 60
TIMEOUT = 60

EXPECTED = {
    "both_ends": """
        hello from the target
        22 bytes to users, 1 client
    """,
    "web_app_behind_nat": """
        hello, world
    """,
    "live_figures": """
        …
        received 50000000 bytes
        …
        the forwarder has sent 50000000 bytes
    """,
    "drive_a_master": """
        shop server running
        listed: shop
        listed: the entry with the API key
        1 entry is left
    """,
    "udp_echo": """
        sent 1 bytes, got 1: True
        sent 4 bytes, got 4: True
        sent 30000 bytes, got 30000: True
    """,
    "who_may_come_in": """
        near welcome
        far refused
    """,
    "watcher": """
        0 clients: nobody has come yet
        1 client: all is well
        0 clients: users are turned away
        1 client: all is well again
    """,
}
"""What each prints."""


def test_every_example_is_run() -> None:
    programs = {path.stem for path in (ROOT / "examples").glob("*.py")} - {"__init__"}
    assert programs == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_example(name: str, tmp_path: Path) -> None:
    source = (ROOT / "examples" / f"{name}.py").read_text(encoding="utf-8")
    assert len(source.splitlines()) <= MOST_LINES
    program = tmp_path / f"{name}.py"
    program.write_text(World().here(source), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(program)],
        env={**os.environ, **ENVIRONMENT}, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    shown = "\n".join(line.strip() for line in EXPECTED[name].strip().splitlines())
    assert_same(shown, done.stdout, name)
