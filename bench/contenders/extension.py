"""nodepass through a gate, which may take the extension out of its handshake: what does the extension cost?

Both variants have the gate in the way of the handshake and haproxy in the way of the pool, so that the extension is all
that differs.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bench.contenders.nodepass import NodePass
from bench.model import BenchError, Command, Ports
from bench.programs import path_of

if TYPE_CHECKING:
    from pathlib import Path

    from bench.model import Setup
    from bench.ports import PortMaker


class Gated(NodePass):
    """nodepass whose client meets the server through `bench.gate`.

    Args:
        name: at the head of its column.
        plain: the nodepass to be started.
        makes: the port of the gate.
        strips: whether the gate takes the extension out.
    """

    def __init__(self, name: str, plain: NodePass, makes: PortMaker, *, strips: bool) -> None:
        super().__init__(name, plain.program)
        self._makes = makes
        self.strips = strips

    def refusal(self, setup: Setup) -> str:
        try:
            path_of("haproxy")
        except BenchError as error:
            return str(error)
        return ""

    def commands(self, setup: Setup, ports: Ports, folder: Path) -> tuple[Command, ...]:
        server, _ = self.ungated(setup, ports, folder)
        gate = self._makes.next()
        _, client = self.ungated(setup, Ports(ports.users, gate, ports.target), folder)
        argv = [sys.executable, "-m", "bench.gate", str(gate), str(ports.tunnel), str(folder)]
        if self.strips:
            argv.append("--strip")
        return server, Command("gate", tuple(argv), gate, counted=False), client

    def ungated(self, setup: Setup, ports: Ports, folder: Path) -> tuple[Command, ...]:
        """The same without the gate."""
        return super().commands(setup, ports, folder)
