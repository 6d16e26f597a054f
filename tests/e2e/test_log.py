"""`log`: which lines each of the six levels shows."""

from __future__ import annotations

import re

import pytest

from tests.harness import Echo, Runner, Tunnel, echoed, turned_away, wait_tcp

EVERY = {"DEBUG", "INFO", "WARN", "ERROR", "EVENT"}
LEVELS = {
    "debug": EVERY,
    "info": EVERY - {"DEBUG"},
    "warn": {"WARN", "ERROR", "EVENT"},
    "error": {"ERROR", "EVENT"},
    "event": {"EVENT"},
    "none": set[str](),
}
LINE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}  (DEBUG|INFO|WARN|ERROR|EVENT)  \S.*")


def provoke_every_level(tunnel: Tunnel) -> None:
    """A user that is served, and one that finds no target."""
    wait_tcp(tunnel.users)
    with Echo(tunnel.target):
        assert echoed(tunnel.users)
    assert turned_away(tunnel.users)


@pytest.mark.parametrize("level", LEVELS)
def test_level_shows_its_lines_and_no_others(np: Runner, level: str) -> None:
    # Silent levels have no line to wait for: the server's port for users tells that it is there.
    tunnel = np.tunnel(both=f"log={level}", wait=False, silent=True, env={"NP_REPORT_INTERVAL": "200ms"})
    provoke_every_level(tunnel)
    if "EVENT" in LEVELS[level]:
        tunnel.client.checkpoint()
    assert tunnel.client.stop() == 0
    assert tunnel.server.stop() == 0
    lines = tunnel.server.lines + tunnel.client.lines
    found = {match[1] if (match := LINE.fullmatch(line)) else line for line in lines}
    assert found == LEVELS[level]
