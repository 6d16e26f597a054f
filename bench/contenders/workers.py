"""nodepass as several processes, to be compared with itself as one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bench.contenders.nodepass import NodePass

if TYPE_CHECKING:
    from pathlib import Path

    from bench.model import Command, Ports, Setup


class Spread(NodePass):
    """nodepass with `workers=N` at both ends.

    A server of several serves no v1 clients, and wants to be told so by `strict=1`. All are told, so that only N differs.

    Args:
        name: at the head of its column.
        plain: the nodepass to be started.
        workers: processes of each end.
    """

    def __init__(self, name: str, plain: NodePass, workers: int) -> None:
        super().__init__(name, plain.program)
        self._parameters = f"&workers={workers}&strict=1"

    def commands(self, setup: Setup, ports: Ports, folder: Path) -> tuple[Command, ...]:
        commands = super().commands(setup, ports, folder)
        return tuple(replace(one, argv=(*one.argv[:-1], one.argv[-1] + self._parameters)) for one in commands)
