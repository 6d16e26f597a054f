"""The socket of `nodepass run`, by which `nodepass status` asks, and others who connect to it."""

from __future__ import annotations

import os
import random
import socket
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

from tests.harness import TIMEOUT, free_port
from tests.harness.fleet import Fleet

if TYPE_CHECKING:
    from pathlib import Path

MANY = 300


def test_who_says_nothing_or_nonsense_does_not_keep_status_from_its_answer(tmp_path: Path) -> None:
    text = f'[tunnels.a]\nurl = "client://k@127.0.0.1:{free_port()}/127.0.0.1:9?mode=1"\n'
    dice = random.Random(1)
    with Fleet(tmp_path / "t.toml", text) as fleet, ExitStack() as stack:
        fleet.well()
        (path,) = (tmp_path / "runtime").rglob("*.sock")
        before = fleet.rss()
        for number in range(MANY):
            sock = stack.enter_context(socket.socket(socket.AF_UNIX))
            sock.settimeout(TIMEOUT)
            sock.connect(os.fspath(path))
            with suppress(OSError):
                if number % 2:
                    sock.sendall(dice.randbytes(20_000))
            if number % 100 == 0:
                assert fleet.status()["a"]["state"]
        fleet.well()
        assert fleet.rss() - before < 16 << 20
        assert fleet.stop() == 0
        assert not fleet.matches("Traceback|ERROR")
        assert not fleet.stderr
