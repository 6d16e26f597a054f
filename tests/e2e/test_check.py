"""`nodepass check`: what it says of files and URLs, to people and to programs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.harness.process import TIMEOUT

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "s3cret-of-check"
GOOD = f'[tunnels.a]\nurl = "server://{SECRET}@:10101/:8080"\n'
BAD = '[tunnels.b]\nurl = "server://:1/:2?tls=9"\nmin = 5\n[tunnels.c]\n'


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "nodepass", "check", *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    assert SECRET not in done.stdout + done.stderr
    return done


def test_files_and_urls(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text(GOOD)
    good.chmod(0o600)
    bad.write_text(BAD)
    done = check(str(good), f"server://{SECRET}@:1/:2")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{good}: 1 tunnel, no errors\nURL: 1 tunnel, no errors\n"
    done = check(str(good), str(bad), f"server://{SECRET}@:1/:2?tls=9", str(tmp_path / "none"))
    assert (done.returncode, done.stdout) == (2, f"{good}: 1 tunnel, no errors\n")
    assert done.stderr.splitlines() == [
        f"nodepass: error: {bad}: [tunnels.b] min: not a parameter of a server",
        f"nodepass: error: {bad}: [tunnels.b] url: tls=9: expected 0, 1 or 2",
        f"nodepass: error: {bad}: [tunnels.c] expected url, or role: server, client, forwarder or master",
        "nodepass: error: URL: tls=9: expected 0, 1 or 2",
        f"nodepass: error: {tmp_path}/none: it cannot be read: No such file or directory",
    ]


def test_json_for_programs(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text(GOOD)
    path.chmod(0o644)
    done = check("--json", str(path))
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr, told["ok"]) == (0, "", True)
    assert [problem["severity"] for problem in told["problems"]] == ["warning"]
    path.write_text(BAD)
    done = check("--json", str(path))
    told = json.loads(done.stdout)
    assert (done.returncode, done.stderr, told["ok"]) == (2, "", False)
    assert told["problems"][0] == {
        "severity": "error",
        "file": str(path),
        "table": "tunnels.b",
        "key": "min",
        "problem": "not a parameter of a server",
    }


def test_nothing_to_check() -> None:
    done = check()
    assert done.returncode == 2
    assert done.stderr.startswith("nodepass: ")
