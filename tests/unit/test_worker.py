"""What a process does that is one of several of an instance, before its loop runs."""

from __future__ import annotations

import gc
import signal
import socket
import sys
from typing import TYPE_CHECKING

from nodepass import worker
from nodepass.net.packets import encode
from nodepass.tunnel.workers.cells import Cells
from nodepass.tunnel.workers.child import ORPHANED
from nodepass.tunnel.workers.messages import Start

if TYPE_CHECKING:
    import pytest

URL = "client://k@127.0.0.1:9/127.0.0.1:10?mode=1"
START = Start(0, 1, URL, 1, shows_errors=False, shutdown_timeout=1.0, chain="", private_key="")


def test_the_instance_is_made_before_the_loop_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it imports takes a tenth of a second, and a loop that runs is for nothing so long."""
    happened: list[str] = []

    def make(_: Start) -> None:
        happened.append("made")

    def live(_: None, __: Start, control: socket.socket, cells: Cells) -> int:
        control.close()
        cells.close()
        happened.append("runs")
        return 0

    monkeypatch.setattr(worker, "_make_instance", make)
    monkeypatch.setattr(worker, "_live", live)
    monkeypatch.setattr(worker, "run", int)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    cells = Cells.make(START.count)
    parent, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with parent:
        monkeypatch.setattr(sys, "argv", ["worker", str(ours.detach())])
        socket.send_fds(parent, [encode(START)], [cells.descriptor])
        assert worker.main() == 0
    cells.close()
    assert happened == ["made", "runs"]


def test_without_a_parent_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    parent, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent.close()
    monkeypatch.setattr(sys, "argv", ["worker", str(ours.detach())])
    # Whether its socket is closed, the filter of warnings says.
    assert worker.main() == ORPHANED
    gc.collect()
