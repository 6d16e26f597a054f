"""`nodepass status` of a file: what it says, and its exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.e2e.test_run import a_tunnel
from tests.harness import free_port
from tests.harness.fleet import Fleet

if TYPE_CHECKING:
    from pathlib import Path


def test_status_tells_by_its_exit_code(tmp_path: Path) -> None:
    port, users = free_port(), free_port()
    server, client = a_tunnel(port, users, 9).split("[tunnels.client]")
    path = tmp_path / "t.toml"
    nobody = Fleet(path, server)
    done = nobody.nodepass("status")
    assert (done.returncode, done.stdout) == (3, "")
    assert "no `nodepass run` of this user" in done.stderr
    done = nobody.nodepass("status", str(path))
    assert (done.returncode, done.stdout) == (3, "")
    assert "nobody runs it" in done.stderr
    with nobody as fleet:
        fleet.well(4)
        assert fleet.status()["server"]["state"] == "listening"
        fleet.write("[tunnels.client]" + client)
        fleet.well(1)
        done = fleet.nodepass("status")
        assert done.stdout.splitlines()[1].split()[:3] == ["client", "client", "failed"]
        assert "cannot connect to" in done.stderr
        assert fleet.nodepass("status", "--wait", "0.2").returncode == 1
        fleet.write(f"{server}[tunnels.client]{client}")
        fleet.well(0)
        # What it failed of is over.
        assert fleet.status()["client"]["error"] == ""
        assert fleet.nodepass("status", str(path), "--api", "http://127.0.0.1:1/api").returncode == 2
