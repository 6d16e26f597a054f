"""Who counts as one source where strangers are limited: an IPv4 address, or an IPv6 network of 64 bits.

Whoever has one IPv6 address has 2**64 of them.
"""

from __future__ import annotations

from ipaddress import IPv6Address


def source_of(ip: str) -> str | bytes:
    """Give what stands for the source of an address; of one that IPv6 maps, it is the IPv4 address."""
    if ":" not in ip:
        return ip
    address = IPv6Address(ip)
    mapped = address.ipv4_mapped
    return address.packed[:8] if mapped is None else str(mapped)
