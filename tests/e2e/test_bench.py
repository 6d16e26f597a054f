"""The bench, for real, in a cheap row of each kind that needs no other program; and what is left of it after Ctrl-C."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import psutil

from tests.harness import Process

ROOT = Path(__file__).parents[2]
PATIENCE = 120.0

ROWS = ("version", "new-connections/tcp", "first-byte/tcp+tls2", "instances-1", "workers-hellos/single+tls")


def bench(*arguments: str) -> Process:
    return Process((sys.executable, "-m", "bench", "--quick", *arguments), cwd=ROOT, name="bench")


def test_rows_are_measured_and_written(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    only = [argument for row in ROWS for argument in ("--only", row)]
    with bench(*only, "--runs", "1", "--json", str(path)) as process:
        assert process.wait(PATIENCE) == 0
    results = json.loads(path.read_text())
    rows = {row["name"]: row for row in results["rows"]}
    assert set(rows) == set(ROWS)
    assert results["machine"]["commit"]
    assert results["asked"]["runs"] == results["asked"]["fresh_runs"] == 1
    for row in rows.values():
        # In a row of workers, it bears another name.
        ours = row["contenders"][0]
        assert ours not in row["failures"]
        assert any(line.startswith(row["name"]) for line in process.stdout)
        for figure in row["figures"]:
            (value,) = figure["values"][ours]
            assert value > 0
    with bench("--only", "version", "--runs", "1", "--compare", str(path)) as process:
        assert process.wait(PATIENCE) == 0
    assert any(line.startswith("version") and "%" in line for line in process.stdout)


def test_nothing_is_left_after_ctrl_c() -> None:
    with bench("--only", "idle-2000/tcp", "--runs", "50") as process:
        process.wait_for("idle-2000/tcp …")
        # The echo, and both ends of a tunnel. That they have been started, nothing tells.
        started: list[psutil.Process] = []
        while len(started) < 3:
            assert process.is_running
            started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 130
    _, alive = psutil.wait_procs(started, timeout=0)
    assert alive == []
