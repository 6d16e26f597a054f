"""What stands in for a page's machines: all of them are this one, and each port is a free one.

This table is all that makes a command in a test differ from the same one in the page.
"""

from __future__ import annotations

import getpass
import re
from typing import TYPE_CHECKING

from tests.harness import free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

HOSTS: Mapping[str, str] = {
    "server.example": "127.0.0.1",
    "gateway.example": "127.0.0.1",
    "bastion.example": "127.0.0.1",
    "game.example": "127.0.0.1",
    "db.internal": "127.0.0.1",
    # Several machines of a network stay several: all of 127.0.0.0/8 is this one.
    "10.0.0.": "127.44.0.",
}
"""What is written, and what it is here."""

PORTS: Mapping[str, str] = {
    "10101": "tunnel",
    "10102": "another tunnel",
    "8080": "users of a web page",
    "8081": "others of them",
    "9000": "a target of the reader's own",
    "9001": "another one",
    "9002": "another one",
    "9090": "a master",
    "9091": "another one",
    "2222": "users of SSH",
    "16379": "users of redis",
    "16380": "others of them",
    "16381": "others of them",
    "6379": "redis",
    "5353": "users of DNS",
    "27015": "a game",
    "27016": "its players",
    "80": "a web server",
    "22": "sshd",
    "53": "a name server",
}
"""Each becomes a free port, the same one throughout a page. 443 stays: a client speaks TLS to this port and no other."""

ENVIRONMENT: Mapping[str, str] = {
    # So that no test waits for seconds.
    "NP_REPORT_INTERVAL": "1s",
    "NP_SERVICE_COOLDOWN": "100ms",
    # What Python prints comes at once, although no terminal is there.
    "PYTHONUNBUFFERED": "1",
    "NO_COLOR": "1",
}
"""Variables of each command, on top of this process's."""

_HIGH = re.compile(r"(?<![\w.])(\d{4,5})(?!\w)")
_LOW = re.compile(r"(:|listen |-p |Port )(80|22|53)(?![\w.:])")


class World:
    """The hosts and ports of one page."""

    def __init__(self) -> None:
        self._ports: dict[str, str] = {}
        number = free_port()
        self.front = f"127.45.{number >> 8}.{number & 255}"
        """The address of `tunnel.example`, of which port 443 must be free."""

    def port(self, written: str) -> str:
        """What a port of the page is here."""
        if written not in PORTS:
            return written
        if written not in self._ports:
            self._ports[written] = str(free_port())
        return self._ports[written]

    def here(self, text: str) -> str:
        """Say a text of the page as it is here."""
        for written, address in {**HOSTS, "tunnel.example": self.front, "listen 443": f"listen {self.front}:443"}.items():
            text = text.replace(written, address)
        text = text.replace("me@", f"{getpass.getuser()}@")
        text = _HIGH.sub(lambda match: self.port(match[1]), text)
        return _LOW.sub(lambda match: match[1] + self.port(match[2]), text)
