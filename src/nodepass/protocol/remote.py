"""A user's address as signals carry it: ``ip:port`` or ``[ip6]:port``."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from nodepass.errors import SignalError

# An IPv6 address may carry a zone ("%eth0"), as link-local users of a v1 peer do.
_REMOTE: Final = re.compile(
    r"(?:(?P<ipv4>[0-9.]{7,15})|\[(?P<ipv6>[0-9A-Fa-f:.]{2,45}(?:%[0-9A-Za-z_.-]{1,32})?)\]):(?P<port>0|[1-9][0-9]{0,4})"
)


def parse_remote(remote: str) -> tuple[str, int]:
    """Split the user's address of a launch signal.

    Args:
        remote: ``ip:port`` or ``[ip6]:port``.

    Returns:
        The IP address, without brackets, and the port.

    Raises:
        SignalError: it is anything else.
    """
    match = _REMOTE.fullmatch(remote)
    if match is not None:
        address, port = match["ipv4"] or match["ipv6"], int(match["port"])
        try:
            ipaddress.ip_address(address)
        except ValueError:
            pass
        else:
            if port <= 65535:
                return address, port
    raise SignalError(f"remote is {remote[:60]!r}, expected ip:port")
