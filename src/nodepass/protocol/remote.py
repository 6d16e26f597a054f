"""A user's address as signals carry it: ``ip:port`` or ``[ip6]:port``."""

from __future__ import annotations

import ipaddress
import re
from typing import Final

from nodepass.errors import SignalError

_BYTE: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"

# An IPv6 address may carry a zone ("%eth0"), as link-local users of a v1 peer do.
_REMOTE: Final = re.compile(
    rf"(?:(?P<ipv4>{_BYTE}(?:[.]{_BYTE}){{3}})"
    r"|\[(?P<ipv6>[0-9A-Fa-f:.]{2,45}(?:%[0-9A-Za-z_.-]{1,32})?)\]):(?P<port>0|[1-9][0-9]{0,4})"
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
        if port <= 65535 and (match["ipv4"] or _is_ipv6(address)):
            return address, port
    raise SignalError(f"remote is {remote[:60]!r}, expected ip:port")


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
