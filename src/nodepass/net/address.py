"""Socket addresses in one shape, whatever family they came in."""

from __future__ import annotations

import ipaddress
import socket
from typing import NamedTuple

IPV4_IN_IPV6 = "::ffff:"


class Address(NamedTuple):
    """An IP address and a port, as signals and PROXY headers have them.

    Args:
        ip: without brackets or scope; IPv4 in its own notation, also when it came over an IPv6 socket.
        port: 0 to 65535.
    """

    ip: str
    port: int

    def __str__(self) -> str:
        return f"[{self.ip}]:{self.port}" if ":" in self.ip else f"{self.ip}:{self.port}"


SocketAddress = tuple[str, int] | tuple[str, int, int, int]
"""What the socket module calls an address for IPv4 and IPv6."""


def from_socket(address: SocketAddress) -> Address:
    """Of the tuple that `accept`, `recvfrom` or `getpeername` gives."""
    ip = address[0]
    if ip.startswith(IPV4_IN_IPV6) and "." in ip:
        ip = ip[len(IPV4_IN_IPV6) :]
    return Address(ip.partition("%")[0], address[1])


def parse(text: str) -> Address:
    """Of `ip:port` or `[ip6]:port` that has been found to be one (`protocol.remote`)."""
    host, _, port = text.rpartition(":")
    if host.startswith("["):
        host = str(ipaddress.IPv6Address(host[1:-1]))
    return Address(host, int(port))


def family_of(ip: str) -> socket.AddressFamily:
    """AF_INET6 where the address has a colon, else AF_INET."""
    return socket.AF_INET6 if ":" in ip else socket.AF_INET


def is_loopback(ip: str) -> bool:
    """Whether an `Address`'s IP is one of this machine to itself."""
    return ip.startswith("127.") or ip == "::1"
