"""NP_LOG_FORMAT=json in every mode: each line of the output is an object."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import Echo, Master, Runner, echoed, free_port

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

JSON = {"NP_LOG_FORMAT": "json", "NP_REPORT_INTERVAL": "200ms"}


def objects(lines: Iterable[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


@pytest.mark.parametrize("workers", ["workers=1", "workers=2"])
def test_all_lines_of_a_tunnel_are_objects(np: Runner, workers: str) -> None:
    tunnel = np.tunnel(both=f"strict=1&{workers}", env=JSON)
    with Echo(tunnel.target):
        assert echoed(tunnel.users)
    for process in (tunnel.client, tunnel.server):
        process.wait_for('"event":"checkpoint"')
    for process in (tunnel.client, tunnel.server):
        assert process.stop() == 0
        lines = objects(process.stdout)
        assert {line["level"] for line in lines} >= {"info", "event"}
        assert all(line["message"] for line in lines)


def test_a_master_tells_which_instance_a_line_is_of(tmp_path: Path) -> None:
    url = f"client://sesame@127.0.0.1:{free_port()}/127.0.0.1:9?mode=1"
    with Master(tmp_path, env=JSON) as master:
        master.ready()
        with master.events() as events:
            id_ = master.create(url)["id"]
            # Front ends read an instance's lines as v1 writes them.
            assert "  INFO  " in events.wait_for("log", id=id_)["logs"]
            assert master.call("GET", f"/instances/{id_}").json["status"] == "running"
        assert master.stop() == 0
        assert any(line.get("tunnel") == id_ and "started" in line["message"] for line in objects(master.stdout))
