"""A host and a port, and the grammar of both."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeAlias

IPAddress: TypeAlias = IPv4Address | IPv6Address

_LONGEST_NAME: Final = 253
_LABEL: Final = re.compile(r"[A-Za-z0-9_-]{1,63}")
_ZONED_ADDRESS: Final = re.compile(r"[0-9A-Fa-f:.]+(?:%[A-Za-z0-9_.-]+)?")
_PORT: Final = re.compile(r"[0-9]{1,5}")
_BAD_HOST: Final = "a host name, an IPv4 address, or an IPv6 address in brackets"
BAD_PORT: Final = "a port from 1 to 65535"
"""What a port must be, for messages."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a connection.

    Args:
        host: name in its ASCII form, or IP address without brackets; empty for all interfaces.
        port: 1 to 65535.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def ip(self) -> IPAddress | None:
        """The host as an IP address; None when it is a name or empty."""
        return _address(self.host)

    @property
    def is_unspecified(self) -> bool:
        """Whether it stands for all interfaces."""
        address = self.ip
        return not self.host if address is None else address.is_unspecified

    @property
    def is_loopback(self) -> bool:
        """Whether it stays on this machine: ``localhost``, ``127.0.0.0/8`` or ``::1``."""
        address = self.ip
        if address is None:
            return self.host.rstrip(".").lower() == "localhost"
        # Python before 3.13 does not see the loopback in ::ffff:127.0.0.1.
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return (mapped or address).is_loopback


def parse_endpoint(text: str) -> Endpoint:
    """Read ``host:port``, where an IPv6 host stands in brackets and an empty host means all interfaces.

    Returns:
        The endpoint, an international name in its ASCII form, as resolvers, TLS and HTTP want it.

    Raises:
        ValueError: what is expected instead; it never repeats the text, which may hold a secret.
    """
    host, colon, port = text.rpartition(":")
    if not colon or port.endswith("]"):
        raise ValueError(f"expected host:port, with {BAD_PORT}")
    if not _PORT.fullmatch(port) or not 1 <= int(port) <= 65535:
        raise ValueError(f"expected {BAD_PORT}")
    return Endpoint(_host(host), int(port))


def _host(text: str) -> str:
    """Return the host of an endpoint without brackets."""
    if text.startswith("[") and text.endswith("]"):
        inner = text[1:-1]
        if isinstance(_address(inner), IPv6Address):
            return inner
        raise ValueError("expected an IPv6 address between the brackets")
    if ":" in text:
        raise ValueError("expected an IPv6 address in brackets: [::1]:80")
    return parse_host_name(text) if text else ""


def parse_host_name(text: str) -> str:
    """Check a host name or an IPv4 address.

    Returns:
        Its ASCII form: an international name as IDNA encodes it, any other as it is.

    Raises:
        ValueError: what is expected instead; it never repeats the text.
    """
    name = _ascii_name(text)
    labels = name.removesuffix(".").split(".")
    if len(name) > _LONGEST_NAME or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(f"expected {_BAD_HOST}")
    # No name ends in a number: such a text is meant as an IPv4 address, and resolvers disagree about which.
    if labels[-1].isdigit() and _address(name) is None:
        raise ValueError("expected four numbers from 0 to 255 in an IPv4 address")
    return name


def _ascii_name(text: str) -> str:
    """Return the name as IDNA encodes it; empty when it cannot, or is too long to try."""
    if len(text) > _LONGEST_NAME:
        return ""
    try:
        return text.encode("idna").decode("ascii")
    except UnicodeError:
        return ""


def _address(text: str) -> IPAddress | None:
    """Return the text as an IP address; None when it is none."""
    # `ip_address` takes any character after the % of an IPv6 zone; an interface's name is narrower.
    if not _ZONED_ADDRESS.fullmatch(text):
        return None
    try:
        return ip_address(text)
    except ValueError:
        return None


def parse_ip_address(text: str) -> IPAddress:
    """Read an IP address without brackets.

    Raises:
        ValueError: it is none; the message never repeats the text.
    """
    address = _address(text)
    if address is None:
        raise ValueError("expected an IP address")
    return address
