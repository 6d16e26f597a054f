"""What a master tells about itself (spec: master.md, Info)."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from nodepass.master import system
from nodepass.version import __version__

if TYPE_CHECKING:
    from nodepass.config import MasterConfig


class Info:
    """The master's settings, its age, and its machine.

    Args:
        config: of the master.
        machine: its machine.
    """

    def __init__(self, config: MasterConfig, machine: system.System) -> None:
        self._config = config
        self._machine = machine
        self._begun = time.monotonic()

    def members(self, master_id: str, alias: str) -> dict[str, object]:
        """The members of the JSON, in the order of the specification.

        Args:
            master_id: of the master.
            alias: of the master.
        """
        return {
            "mid": master_id,
            "alias": alias,
            "os": system.OPERATING_SYSTEM,
            "arch": system.ARCHITECTURE,
            **asdict(self._machine.sample),
            "sysup": self._machine.uptime,
            "ver": __version__,
            "name": system.HOST_NAME,
            "uptime": int(time.monotonic() - self._begun),
            "log": self._config.log.value,
            "tls": str(self._config.tls.value),
            "crt": self._config.crt,
            "key": self._config.key,
        }
